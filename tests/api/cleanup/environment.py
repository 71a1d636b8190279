"""A store with job folders, PhJobs, and the retention service and the cleaner over both, for tests."""

import os
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
from api.jobs.order import NEWEST_FIRST, JobOrder
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
    """PhJobs in memory. `collecting` are the jobs whose sidecar runs; `annotations` are the annotated expiries."""

    def __init__(self, *jobs: Job) -> None:
        self.phjobs = {job.id: job for job in jobs}
        self.collecting: set[str] = set()
        self.annotations: dict[str, int] = {}

    def get(self, job: str) -> Job | None:
        return self.phjobs.get(job)

    def read(self, job: Job) -> Job:
        return job

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        return order.sort(self.phjobs.values())

    def create(self, draft: Draft) -> Job:
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        raise NotImplementedError

    def is_collecting(self, job: Job) -> bool:
        return self.has_active_pod(job.group, job.id) or not job.has_ended

    def has_active_pod(self, group: str, job: str) -> bool:
        return job in self.collecting

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        self.annotations[job.id] = expired_at
        self.phjobs[job.id] = replace(self.phjobs[job.id], annotated_expiry=expired_at)

    def annotate_missing(self, job: Job, since: int) -> None:
        self.phjobs[job.id] = replace(self.phjobs[job.id], missing_since=since)

    def check(self) -> None: ...


class StoreEnvironment:
    """One store, PhJobs, a clock with a settable offset in seconds, and the services over them.

    `root` is the store's directory, or None for a bucket.
    """

    def __init__(
        self, store: Store, lock: Path, settings: Mapping[str, str] | None = None, root: Path | None = None
    ) -> None:
        self.store, self.root, self.jobs, self.clock_offset = store, root, FakeJobs(), 0.0
        self.metrics = ApiMetrics(CollectorRegistry())
        self.settings = ApiSettings.from_env({"PHJOB_API_STORE": "/none", "PHJOB_API_AUTH": "none", **(settings or {})})
        policy = RetentionPolicy(self.settings.retention_seconds, self.settings.max_retention_seconds)
        self.retention = RetentionService(store, self.jobs, policy, self.clock)
        self.lock = FileLock(lock)
        self.cleaner = Cleaner(store, self.jobs, self.settings, self.metrics, self.lock, self.clock)

    def clock(self) -> float:
        """Return the time of the API's clock."""
        return time.time() + self.clock_offset

    def add_folder(
        self,
        job: str,
        group: str = "a",
        expires_in: float | None = -DAY,
        legacy_in: float | None = -DAY,
        files: Mapping[str, bytes] = FILES,
    ) -> JobFolder:
        """Write a sealed job folder. `expires_in` and `legacy_in`: seconds from now; None: no file.

        In a directory, the report was written 9 days ago, as at the end of the job.
        """
        prefix = job_prefix(group, job)
        for name, content in {**files, MANIFEST: b"{}\n", REPORT: b"{}\n"}.items():
            self.store.write(prefix + name, content)
        for name, seconds in ((EXPIRED_AT, expires_in), (LEGACY_EXPIRED_AT, legacy_in)):
            if seconds is not None:
                self.store.write(prefix + name, b"%d\n" % (time.time() + seconds))
        if self.root:
            os.utime(self.root / prefix / REPORT, (time.time() - 9 * DAY,) * 2)
        return self.folder(job, group)

    def add_phjob(self, job: str, group: str = "a", phase: str = "Succeeded", ended_ago: float = 9 * DAY) -> Job:
        """Add a PhJob that ended `ended_ago` seconds ago; 0 if it has not ended."""
        self.jobs.phjobs[job] = Job(
            job, "uid", group, phase=phase, finish_time=format_time(time.time() - ended_ago) if ended_ago else ""
        )
        return self.jobs.phjobs[job]

    def folder(self, job: str, group: str = "a") -> JobFolder:
        """Return the job's folder as a request resolves it."""
        return JobFolder(group, job, self.jobs.get(job))

    def list_keys(self, prefix: str = "groups/") -> list[str]:
        """Return all keys below `prefix`, sorted."""
        return sorted(prefix + item.name for item in self.store.list(prefix) if item.size is not None)

    def remaining_jobs(self) -> list[str]:
        """Return the jobs with any file in the store, as group/job."""
        return sorted({"/".join((key.split("/")[1], key.split("/")[3])) for key in self.list_keys()})


def directory_environment(root: Path, settings: Mapping[str, str] | None = None) -> StoreEnvironment:
    """Return an environment whose store is a directory."""
    root.mkdir(exist_ok=True)
    return StoreEnvironment(PosixStore(str(root)), root / "phjob-artifacts/cleanup/lock", settings, root)
