"""A store with job folders in it, PhJobs, and a cleaner over both, for tests of the cleanup."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from api.auth.caller import Caller
from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import FileLock
from api.folder import JobFolder
from api.jobs.job import Draft, Job, format_time
from api.metrics import ApiMetrics
from api.retention.expiry import RetentionPolicy
from api.retention.service import RetentionService
from api.settings import ApiSettings
from api.store.posix import PosixStore
from api.store.store import Store
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT, job_prefix

DAY = 86400
ALICE = Caller("1", "alice", ["a"])
FILES = {"model.bin": b"m" * 100, "sub/log.txt": b"l" * 10, "sub/deep/naïve 1.csv": b""}


class FakeJobs:
    """PhJobs of a test. `collecting`: those whose sidecar still runs; `notes`: what was noted."""

    def __init__(self, *jobs: Job) -> None:
        self.known = {job.id: job for job in jobs}
        self.collecting: set[str] = set()
        self.notes: dict[str, int] = {}

    def get(self, job: str) -> Job | None:
        return self.known.get(job)

    def all(self) -> Sequence[Job]:
        return list(self.known.values())

    def create(self, draft: Draft) -> Job:
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        raise NotImplementedError

    def is_collecting(self, job: Job) -> bool:
        return self.has_active_pod(job.group, job.id) or not job.has_ended

    def has_active_pod(self, group: str, job: str) -> bool:
        return job in self.collecting

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        self.notes[job.id] = expired_at
        self.known[job.id] = replace(self.known[job.id], annotated_expiry=expired_at)

    def check(self) -> None: ...


class StoreEnvironment:
    """One store, the PhJobs, a clock that can be set, and the parts over them."""

    def __init__(self, store: Store, lock: Path, settings: Mapping[str, str] | None = None) -> None:
        self.store, self.jobs, self.ahead = store, FakeJobs(), 0.0
        self.metrics = ApiMetrics(CollectorRegistry())
        self.settings = ApiSettings.from_env({"PHJOB_API_STORE": "/none", "PHJOB_API_AUTH": "none", **(settings or {})})
        rules = RetentionPolicy(self.settings.retention_seconds, self.settings.max_retention_seconds)
        self.retention = RetentionService(store, self.jobs, rules, self.clock)
        self.lock = FileLock(lock)
        self.cleaner = Cleaner(store, self.jobs, self.settings, self.metrics, self.lock, self.clock)

    def clock(self) -> float:
        """The time as the API sees it."""
        return time.time() + self.ahead

    def fill(
        self,
        job: str,
        group: str = "a",
        expires_in: float | None = -DAY,
        legacy_in: float | None = -DAY,
        files: Mapping[str, bytes] = FILES,
    ) -> JobFolder:
        """A job folder as the collector leaves it, its expiry files so many seconds from now (None: without one)."""
        prefix = job_prefix(group, job)
        for name, content in {**files, MANIFEST: b"{}\n", REPORT: b"{}\n"}.items():
            self.store.write(prefix + name, content)
        for name, seconds in ((EXPIRED_AT, expires_in), (LEGACY_EXPIRED_AT, legacy_in)):
            if seconds is not None:
                self.store.write(prefix + name, b"%d\n" % (time.time() + seconds))
        return self.folder(job, group)

    def add_phjob(self, job: str, group: str = "a", phase: str = "Succeeded", ended_ago: float = 3 * DAY) -> Job:
        """A PhJob, ended so many seconds ago unless `phase` says that it runs."""
        self.jobs.known[job] = Job(
            job, "uid", group, phase=phase, finish_time=format_time(time.time() - ended_ago) if ended_ago else ""
        )
        return self.jobs.known[job]

    def folder(self, job: str, group: str = "a") -> JobFolder:
        """The job's folder as a request sees it."""
        return JobFolder(group, job, self.jobs.get(job))

    def stored(self, prefix: str = "groups/") -> list[str]:
        """All that is stored below `prefix`, sorted."""
        return sorted(prefix + item.name for item in self.store.list(prefix) if item.size is not None)

    def left(self) -> list[str]:
        """The jobs of which anything is left, as group/job."""
        return sorted({"/".join((key.split("/")[1], key.split("/")[3])) for key in self.stored()})


def directory_environment(root: Path, settings: Mapping[str, str] | None = None) -> StoreEnvironment:
    """A env whose store is a directory."""
    root.mkdir(exist_ok=True)
    return StoreEnvironment(PosixStore(str(root)), root / "phjob-artifacts/cleanup/lock", settings)
