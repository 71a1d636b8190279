"""GraphQL over real parts: a store in a directory, the real terms and cleaner, PhJobs in memory, a Flask client."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from api.auth.caller import Caller
from api.auth.links import LinkSigner
from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import FileLock
from api.errors import NotAuthenticated
from api.jobs.job import ArtifactStatus, Draft, Job, format_time
from api.metrics import ApiMetrics
from api.retention.expiry import RetentionPolicy
from api.retention.service import RetentionService
from api.schema.view import graphql_blueprint
from api.services import Services
from api.settings import ApiSettings
from api.store.posix import PosixStore
from api.store.store import Store
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT, job_prefix
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header
from artifacts.report import Report, format_report

DAY = 86400
ENDED = 1_700_000_000
CALLERS = {
    "alice": Caller("1", "alice", ["Team_A", "other"]),
    "bob": Caller("2", "bob", ["b"]),
    "root": Caller("3", "root", ["b"], is_admin=True),
    "robot": Caller("4", "robot", is_service=True),
    "nobody": Caller("5", "nobody"),
}
FOREIGN = 'phjobs.primehub.io "{}" not found'


class MadeJobs:
    """PhJobs in memory. `collecting`: those whose sidecar still runs."""

    def __init__(self) -> None:
        self.known: dict[str, Job] = {}
        self.collecting: set[str] = set()
        self.cancelled: list[str] = []
        self.notes: dict[str, int] = {}

    def get(self, job: str) -> Job | None:
        return self.known.get(job)

    def all(self) -> Sequence[Job]:
        return list(self.known.values())

    def create(self, draft: Draft) -> Job:
        name = f"job-new-{len(self.known)}"
        fields = {name: getattr(draft, name) for name in draft.__dataclass_fields__}
        self.known[name] = Job(id=name, uid="uid", create_time=format_time(time.time()), **fields)
        return self.known[name]

    def cancel(self, job: Job) -> None:
        self.cancelled.append(job.id)

    def is_collecting(self, job: Job) -> bool:
        return self.has_active_pod(job.group, job.id) or not job.has_ended

    def has_active_pod(self, group: str, job: str) -> bool:
        return job in self.collecting

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        self.notes[job.id] = expired_at
        self.known[job.id] = replace(self.known[job.id], annotated_expiry=expired_at)

    def check(self) -> None: ...


class Api:
    """The endpoint, and all that is behind it. `ahead`: seconds that the service's clock is ahead."""

    def __init__(self, root: Path, store: Store | None = None, introspection: bool = False) -> None:
        root.mkdir(exist_ok=True)
        self.root, self.store, self.jobs, self.ahead = root, store or PosixStore(str(root)), MadeJobs(), 0.0
        environ = {"PHJOB_API_STORE": "/none", "PHJOB_API_AUTH": "none"}
        settings = ApiSettings.from_env(environ | {"PHJOB_API_INTROSPECTION": str(introspection)})
        metrics = ApiMetrics(CollectorRegistry())
        terms = RetentionService(self.store, self.jobs, RetentionPolicy(7 * DAY, 365 * DAY), self.clock)
        self.lock = FileLock(root / "lock")
        cleaner = Cleaner(self.store, self.jobs, settings, metrics, self.lock, self.clock)
        links = LinkSigner(b"k" * 32, 300, self.clock)
        self.services = Services(settings, self.jobs, self.store, terms, cleaner, links, metrics, self.clock)
        self.app = flask.Flask("tested", static_folder=None)
        self.app.register_blueprint(graphql_blueprint(self.services, _caller))
        self.client: FlaskClient = self.app.test_client()

    def clock(self) -> float:
        return time.time() + self.ahead

    def add(self, job: str, group: str = "Team_A", **fields: Any) -> Job:
        """A PhJob that has ended, unless `fields` say otherwise."""
        times = {"create_time": format_time(ENDED), "finish_time": format_time(time.time() - 60)}
        self.jobs.known[job] = Job(**({"id": job, "uid": "uid", "group": group, "phase": "Succeeded"} | times | fields))
        return self.jobs.known[job]

    def fill(
        self,
        job: str,
        files: Mapping[str, bytes],
        group: str = "team-a",
        state: str = "sealed",
        expires_in: float = DAY,
        **report: Any,
    ) -> str:
        """A job folder as the collector leaves it; returns its prefix in the store."""
        prefix = job_prefix(group, job)
        sealed = {} if state == "syncing" else {"sealed_at": ENDED}
        told = Report(job, state, started_at=ENDED, updated_at=ENDED, **(sealed | report))
        header = ManifestHeader(job, "uid")
        entries = [ManifestEntry(path, len(content), 0, 0, 0, "ab" * 32) for path, content in files.items()]
        lines = [format_header(header), *(format_entry(entry, header) for entry in entries)]
        expiry = b"%d\n" % (time.time() + expires_in)
        collected = {REPORT: format_report(told), MANIFEST: "".join(lines).encode()}
        for name, content in {**files, **collected, EXPIRED_AT: expiry, LEGACY_EXPIRED_AT: expiry}.items():
            self.store.write(prefix + name, content)
        return prefix

    def post(self, body: Any, user: str = "alice", **options: Any) -> tuple[int, Any]:
        """Status and answer to a JSON body."""
        response = self.client.post("/api/graphql", json=body, headers={"X-Caller": user}, **options)
        return response.status_code, response.json

    def send(self, content: bytes, media_type: str = "application/json", user: str = "alice") -> tuple[int, Any]:
        """Status and answer to any body."""
        headers = {"X-Caller": user, "Content-Type": media_type}
        response = self.client.post("/api/graphql", data=content, headers=headers)
        return response.status_code, json.loads(response.data)

    def ask(self, query: str, user: str = "alice", **variables: Any) -> Any:
        """The data of an operation that meets no error."""
        status, answer = self.post({"query": query, "variables": variables}, user)
        assert (status, answer.get("errors")) == (200, None), answer
        return answer["data"]

    def fail(self, query: str, user: str = "alice", **variables: Any) -> tuple[str, str]:
        """Code and message of the one error that an operation meets while it is executed."""
        status, answer = self.post({"query": query, "variables": variables}, user)
        assert status == 200, answer
        (error,) = answer["errors"]
        return error["extensions"]["code"], error["message"]

    def refuse(self, query: str, user: str = "alice", **variables: Any) -> str:
        """Message of an operation that is not executed."""
        status, answer = self.post({"query": query, "variables": variables}, user)
        assert status == 400, answer
        assert "data" not in answer
        return str(answer["errors"][0]["message"])


def artifact_status(
    state: str = "sealed", files: int = 3, size: int = 4096, expired_at: float | None = None
) -> ArtifactStatus:
    """What a PhJob's status tells."""
    return ArtifactStatus(state, files, size, int(time.time() + DAY if expired_at is None else expired_at))


def _caller() -> Caller:
    name = flask.request.headers.get("X-Caller", "")
    if name not in CALLERS:
        raise NotAuthenticated("no token: send one in the header Authorization: Bearer")
    return CALLERS[name]
