"""Measures GraphQL requests in the server's process, from the request to the last byte of the response.

The baseline is the same schema and resolvers served by plain Flask and Graphene: parsed, validated and executed field
by field for each request, and written by `jsonify`. The store is a list in memory, so its time does not count.
"""

import contextlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import flask
from prometheus_client import CollectorRegistry

from api.auth.caller import Caller
from api.auth.links import LinkSigner
from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import FileLock
from api.jobs.job import ArtifactStatus, Job, format_time
from api.jobs.source import JobSource
from api.metrics import ApiMetrics
from api.retention.expiry import RetentionPolicy
from api.retention.service import RetentionService
from api.schema.context import RequestContext
from api.schema.schema import SCHEMA
from api.schema.view import graphql_blueprint
from api.services import Services
from api.settings import ApiSettings
from api.store.store import FileMissing, FileStat, Item, OnRead, OnUnreadable, OpenFile, RemovedFiles
from api.usage import UsageCache
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, job_prefix
from bench.jobs import EndedJobs
from bench.stores import Disk
from bench.table import BenchError, Goal, Row, ratio_row, value_row

_NOW = 1_800_000_000.0
_CALLER = Caller("1", "bench", ["a"])
_PREFIX = job_prefix("a", "job-1")
FILES_QUERY = '{ phJob(where: {id: "job-1"}) { id artifact { prefix items { name size lastModified } } } }'
_PAGE = """{ phJob(where: {id: "job-1"}) { artifact { itemsConnection(first: 1000) {
  pageInfo { endCursor } edges { cursor node { name size lastModified } } } } } }"""
_JOBS = "{ phJobs { id displayName phase userName createTime artifact { state totalCount totalSize expiredAt } } }"

# Name, query, number of files, number of jobs, goal for the ratio, goal for our median in milliseconds.
_CASES: tuple[tuple[str, str, int, int, Goal | None, float | None], ...] = (
    ("GraphQL: 1000 files of a job", FILES_QUERY, 1000, 1, Goal(8), 2),
    ("GraphQL: a page of 1000 files", _PAGE, 1000, 1, None, None),
    ("GraphQL: 10,000 files of a job", FILES_QUERY, 10_000, 1, None, None),
    ("GraphQL: 1000 jobs with state and totals", _JOBS, 1, 1000, None, None),
)

Serve = Callable[[], bytes]


def rows(_: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    for name, query, files, jobs, ratio, milliseconds in _CASES:
        if not is_selected(name):
            continue
        services = services_of(_jobs(jobs), files)
        plain, ours = (serving(app, query) for app in (_plain(services), graphql_app(services)))
        if json.loads(plain()) != json.loads(ours()):
            raise BenchError(f"{name}: the two responses differ")
        base, own = _measure_in_turn(plain, ours, max(4, (40_000 if quick else 200_000) // (files + jobs)))
        yield ratio_row(name, base, own, goal=ratio)
        if milliseconds is not None:
            yield value_row(f"{name}, median", [second * 1000 for second in own], " ms", milliseconds)


def _measure_in_turn(plain: Serve, ours: Serve, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each request to both applications."""
    base: list[float] = []
    own: list[float] = []
    for _ in range(rounds):
        for serve, seconds in ((plain, base), (ours, own)):
            started = time.perf_counter()
            serve()
            seconds.append(time.perf_counter() - started)
    return base, own


def serving(app: flask.Flask, query: str) -> Serve:
    """Return a function that sends the query to a WSGI application and returns the response's body."""
    body = json.dumps({"query": query}).encode()
    environ = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/api/graphql", "QUERY_STRING": "",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.errors": io.StringIO(),
    }  # fmt: skip

    def serve() -> bytes:
        statuses: list[str] = []

        def start(status: str, *_: Any) -> Callable[[bytes], object]:
            statuses.append(status)
            return sent.write

        sent = io.BytesIO()
        chunks = app(environ | {"wsgi.input": io.BytesIO(body)}, start)
        content = b"".join(chunks)
        with contextlib.suppress(AttributeError):
            chunks.close()  # type: ignore[attr-defined]
        if statuses != ["200 OK"]:
            raise BenchError(f"GraphQL answered {statuses}: {content[:200]!r}")
        return content

    return serve


def graphql_app(services: Services, caller: Caller = _CALLER) -> flask.Flask:
    """Return an application that has only our endpoint, for requests of `caller`."""
    app = flask.Flask("ours", static_folder=None)
    app.register_blueprint(graphql_blueprint(services, lambda: caller))
    return app


def _plain(services: Services) -> flask.Flask:
    app = flask.Flask("plain", static_folder=None)
    usage = UsageCache(services.store, services.clock, time.monotonic)

    @app.post("/api/graphql")
    def graphql() -> flask.Response:
        request = flask.request.get_json()
        result = SCHEMA.execute(
            request["query"], variables=request.get("variables"), context=RequestContext(_CALLER, services, usage)
        )
        if result.errors:
            raise BenchError(f"the plain server failed: {result.errors[0]}")
        return flask.jsonify(data=result.data)

    return app


def services_of(known: JobSource, files: int = 0) -> Services:
    """Return the services for these jobs, and a store in memory in which the first job has files."""
    store = _Memory([Item(f"folder{n % 10}/file{n:05d}.bin", n * 1000, _NOW - n * 1.5, _NOW) for n in range(files)])
    metrics = ApiMetrics(CollectorRegistry())
    settings = ApiSettings.from_env({"PHJOB_API_STORE": "/none", "PHJOB_API_AUTH": "none"})

    def clock() -> float:
        return _NOW

    terms = RetentionService(store, known, RetentionPolicy(86400, 365 * 86400), clock)
    cleaner = Cleaner(store, known, settings, metrics, FileLock(Path("/none")), clock)
    return Services(settings, known, store, terms, cleaner, LinkSigner(b"", 300, clock), metrics, clock)


class _Memory:
    """A store in memory with the files of one job."""

    def __init__(self, items: list[Item]) -> None:
        self._items = sorted(items)
        self._small = {_PREFIX + name: b"%d\n" % (_NOW + 86400) for name in (EXPIRED_AT, LEGACY_EXPIRED_AT)}

    def list(
        self,
        prefix: str,
        *,
        after: str = "",
        recursive: bool = True,
        on_read: OnRead | None = None,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[Item]:
        return (file for file in self._items if file.name > after) if prefix == _PREFIX else iter(())

    def stat(self, key: str) -> FileStat:
        raise FileMissing(key)

    def open(self, key: str) -> OpenFile:
        raise FileMissing(key)

    def read(self, key: str, max_bytes: int) -> bytes:
        try:
            return self._small[key]
        except KeyError:
            raise FileMissing(key) from None

    def write(self, key: str, content: bytes) -> None:
        raise NotImplementedError

    def delete(self, key: str) -> None:
        raise NotImplementedError

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        raise NotImplementedError

    def check(self) -> None: ...

    def has_latency(self) -> bool:
        return False

    def capacity(self) -> None: ...


def _jobs(number: int) -> EndedJobs:
    status = ArtifactStatus("sealed", 12, 3456, int(_NOW + 86400))
    fields: dict[str, Any] = {"group": "a", "phase": "Succeeded", "user_name": "bench", "artifact_status": status}
    times = [format_time(_NOW - 60 * n) for n in range(number + 1)]
    return EndedJobs(
        Job(f"job-{n}", "uid", display_name=f"Job {n}", create_time=times[n], finish_time=times[n], **fields)
        for n in range(1, number + 1)
    )
