"""The GraphQL endpoint with real services and a store in a directory; only the PhJobs are in memory."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from api.auth.caller import Caller
from api.auth.links import LinkSigner
from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import FileLock
from api.definitions.definition import ImageDefinition, InstanceTypeDefinition
from api.errors import NotAuthenticated
from api.jobs.job import ArtifactStatus, Draft, Job, format_time
from api.jobs.order import NEWEST_FIRST, JobOrder
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
NOT_FOUND_MESSAGE = 'phjobs.primehub.io "{}" not found'


class FakeJobSource:
    """PhJobs in memory. `collecting` has the names of jobs whose sidecar still runs."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.collecting: set[str] = set()
        self.cancelled: list[str] = []
        self.annotations: dict[str, int] = {}
        self.commands: dict[str, str] = {}  # the whole commands of shortened jobs

    def get(self, job: str) -> Job | None:
        return self.jobs.get(job)

    def read(self, job: Job) -> Job:
        return replace(self.jobs[job.id], command=self.commands.get(job.id, job.command))

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        return order.sort(self.jobs.values())

    def create(self, draft: Draft) -> Job:
        name = f"job-new-{len(self.jobs)}"
        fields = {name: getattr(draft, name) for name in draft.__dataclass_fields__}
        self.jobs[name] = Job(id=name, uid="uid", create_time=format_time(time.time()), **fields)
        return self.jobs[name]

    def cancel(self, job: Job) -> None:
        self.cancelled.append(job.id)

    def is_collecting(self, job: Job) -> bool:
        return self.has_active_pod(job.group, job.id) or not job.has_ended

    def has_active_pod(self, group: str, job: str) -> bool:
        return job in self.collecting

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        self.annotations[job.id] = expired_at
        self.jobs[job.id] = replace(self.jobs[job.id], annotated_expiry=expired_at)

    def annotate_missing(self, job: Job, since: int) -> None:
        self.jobs[job.id] = replace(self.jobs[job.id], missing_since=since)

    def check(self) -> None: ...


@dataclass
class FakeDefinitions:
    """The definitions of a cluster; none at first."""

    known_types: Sequence[InstanceTypeDefinition] = ()
    known_images: Sequence[ImageDefinition] = ()

    def instance_types(self) -> Sequence[InstanceTypeDefinition]:
        return self.known_types

    def images(self) -> Sequence[ImageDefinition]:
        return self.known_images


class Api:
    """The endpoint and its services. `clock_offset_seconds` is added to the services' clock."""

    def __init__(self, root: Path, store: Store | None = None, introspection: bool = False) -> None:
        root.mkdir(exist_ok=True)
        self.root, self.store, self.jobs, self.clock_offset_seconds = (
            root,
            store or PosixStore(str(root)),
            FakeJobSource(),
            0.0,
        )
        environ = {"PHJOB_API_STORE": "/none", "PHJOB_API_AUTH": "none"}
        settings = ApiSettings.from_env(environ | {"PHJOB_API_INTROSPECTION": str(introspection)})
        metrics = ApiMetrics(CollectorRegistry())
        terms = RetentionService(self.store, self.jobs, RetentionPolicy(7 * DAY, 365 * DAY), self.clock)
        self.lock = FileLock(root / "lock")
        cleaner = Cleaner(self.store, self.jobs, settings, metrics, self.lock, self.clock)
        links = LinkSigner(b"k" * 32, 300, self.clock)
        self.definitions = FakeDefinitions()
        self.services = Services(
            settings, self.jobs, self.store, terms, cleaner, links, metrics, self.clock, self.definitions
        )
        self.app = flask.Flask("tested", static_folder=None)
        self.app.register_blueprint(graphql_blueprint(self.services, _caller))
        self.client: FlaskClient = self.app.test_client()

    def clock(self) -> float:
        return time.time() + self.clock_offset_seconds

    def add_job(self, job: str, group: str = "Team_A", **fields: Any) -> Job:
        """Add a PhJob; it ended 9 days ago, unless `fields` change that."""
        times = {"create_time": format_time(ENDED), "finish_time": format_time(time.time() - 9 * DAY)}
        self.jobs.jobs[job] = Job(**({"id": job, "uid": "uid", "group": group, "phase": "Succeeded"} | times | fields))
        return self.jobs.jobs[job]

    def write_folder(
        self,
        job: str,
        files: Mapping[str, bytes],
        group: str = "team-a",
        state: str = "sealed",
        expires_in: float = DAY,
        **report: Any,
    ) -> str:
        """Write a job folder like the collector; return its prefix in the store. The report was written 9 days ago."""
        prefix = job_prefix(group, job)
        sealed = {} if state == "syncing" else {"sealed_at": ENDED}
        document = Report(job, state, started_at=ENDED, updated_at=ENDED, **(sealed | report))
        header = ManifestHeader(job, "uid")
        entries = [ManifestEntry(path, len(content), 0, 0, 0, "ab" * 32) for path, content in files.items()]
        lines = [format_header(header), *(format_entry(entry, header) for entry in entries)]
        expiry = b"%d\n" % (time.time() + expires_in)
        collected = {REPORT: format_report(document), MANIFEST: "".join(lines).encode()}
        for name, content in {**files, **collected, EXPIRED_AT: expiry, LEGACY_EXPIRED_AT: expiry}.items():
            self.store.write(prefix + name, content)
        if (report_path := self.root / prefix / REPORT).exists():
            os.utime(report_path, (time.time() - 9 * DAY,) * 2)
        return prefix

    def post(self, body: Any, user: str = "alice", **options: Any) -> tuple[int, Any]:
        """Post a JSON body; return the status and the response."""
        response = self.client.post("/api/graphql", json=body, headers={"X-Caller": user}, **options)
        return response.status_code, response.json

    def send(self, content: bytes, media_type: str = "application/json", user: str = "alice") -> tuple[int, Any]:
        """Post any body; return the status and the response."""
        headers = {"X-Caller": user, "Content-Type": media_type}
        response = self.client.post("/api/graphql", data=content, headers=headers)
        return response.status_code, json.loads(response.data)

    def execute(self, query: str, user: str = "alice", **variables: Any) -> Any:
        """Execute an operation that must have no errors; return its data."""
        status, answer = self.post({"query": query, "variables": variables}, user)
        assert (status, answer.get("errors")) == (200, None), answer
        return answer["data"]

    def execute_error(self, query: str, user: str = "alice", **variables: Any) -> tuple[str, str]:
        """Execute an operation that must have one error; return its code and message."""
        status, answer = self.post({"query": query, "variables": variables}, user)
        assert status == 200, answer
        (error,) = answer["errors"]
        return error["extensions"]["code"], error["message"]

    def refusal_message(self, query: str, user: str = "alice", **variables: Any) -> str:
        """Send an operation that must be refused; return the message."""
        status, answer = self.post({"query": query, "variables": variables}, user)
        assert status == 400, answer
        assert "data" not in answer
        return str(answer["errors"][0]["message"])


def artifact_status(
    state: str = "sealed", files: int = 3, size: int = 4096, expired_at: float | None = None
) -> ArtifactStatus:
    """An artifact status; by default it expires in a day."""
    return ArtifactStatus(state, files, size, int(time.time() + DAY if expired_at is None else expired_at))


def _caller() -> Caller:
    name = flask.request.headers.get("X-Caller", "")
    if name not in CALLERS:
        raise NotAuthenticated("no token: send one in the header Authorization: Bearer")
    return CALLERS[name]
