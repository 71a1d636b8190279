"""Measures a plan of the cleanup over a directory, and how much it slows down requests in the same process."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry

from api.auth.links import LinkSigner
from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import FileLock
from api.jobs.job import Job, format_time
from api.metrics import ApiMetrics
from api.retention.expiry import RetentionPolicy
from api.retention.service import RetentionService
from api.services import Services
from api.settings import ApiSettings
from api.store.factory import open_store
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, job_prefix
from bench.graphql import FILES_QUERY, Serve, graphql_app, serving
from bench.jobs import EndedJobs
from bench.stores import Disk
from bench.table import Row, value_row

JOBS, JOBS_QUICK = 10_000, 2_000
GOAL_RATIO = 2.0
_FILES = 1000
_IDLE_REQUESTS = 300
_PAUSE_SECONDS = 0.002  # between two requests


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    jobs = JOBS_QUICK if quick else JOBS
    name = f"cleanup plan of {jobs:,} jobs"
    if not is_selected(name):
        return
    root = disk.new_folder()
    _create_jobs(root, jobs)
    services = _services(root, jobs)
    serve = serving(graphql_app(services), FILES_QUERY)
    _request_while(serve, lambda count: count < _IDLE_REQUESTS // 3)
    idle = _request_while(serve, lambda count: count < _IDLE_REQUESTS)
    seconds: list[float] = []
    thread = threading.Thread(target=lambda: seconds.append(_plan(services.cleaner)))
    thread.start()
    busy = _request_while(serve, lambda _: thread.is_alive())
    thread.join()
    subprocess.run(["rm", "-rf", root], check=True)
    yield value_row(name, seconds, " s")
    for percent in (50, 99):
        ratio = _percentile(busy, percent) / _percentile(idle, percent)
        baseline = f"{_percentile(idle, percent) * 1000:.1f} ms"
        yield value_row(f"{name}: list meanwhile, p{percent}", [ratio], "x", GOAL_RATIO, baseline)


def _plan(cleaner: Cleaner) -> float:
    started = time.perf_counter()
    cleaner.plan(None)
    return time.perf_counter() - started


def _request_while(serve: Serve, may_continue: Callable[[int], bool]) -> list[float]:
    """Send requests one after another. Returns their seconds, sorted."""
    seconds: list[float] = []
    while may_continue(len(seconds)):
        started = time.perf_counter()
        serve()
        seconds.append(time.perf_counter() - started)
        time.sleep(_PAUSE_SECONDS)
    return sorted(seconds)


def _percentile(values: list[float], percent: int) -> float:
    return values[min(len(values) * percent // 100, len(values) - 1)]


def _create_jobs(root: Path, jobs: int) -> None:
    """Create job folders that are not due; the first one has files to list."""
    content = b"%d\n" % (time.time() + 86400)
    for number in range(1, jobs + 1):
        folder = root / job_prefix("a", f"job-{number}")
        for name in (EXPIRED_AT, LEGACY_EXPIRED_AT):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(content)
    for number in range(_FILES):
        (root / job_prefix("a", "job-1") / f"file{number:05}.bin").touch()


def _services(root: Path, jobs: int) -> Services:
    settings = ApiSettings.from_env({"PHJOB_API_STORE": os.fspath(root), "PHJOB_API_AUTH": "none"})
    end = format_time(time.time() - 60)
    source = EndedJobs(
        Job(f"job-{number}", "", "a", phase="Succeeded", finish_time=end) for number in range(1, jobs + 1)
    )
    store, metrics = open_store(settings.store), ApiMetrics(CollectorRegistry())
    policy = RetentionPolicy(settings.retention_seconds, settings.max_retention_seconds)
    retention = RetentionService(store, source, policy, time.time)
    cleaner = Cleaner(store, source, settings, metrics, FileLock(root / "lock"), time.time)
    return Services(settings, source, store, retention, cleaner, LinkSigner(b"", 300, time.time), metrics)
