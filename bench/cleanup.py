"""Measures time and memory of the cleanup with a slow store, in which the artifacts of all jobs are due.

`python -m bench.cleanup [JOBS ...]` measures other numbers of jobs, to show how time and memory grow.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from prometheus_client import CollectorRegistry

from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import FileLock
from api.jobs.job import Job, format_time
from api.metrics import ApiMetrics
from api.settings import ApiSettings
from api.store.factory import open_store
from bench.jobs import EndedJobs
from bench.stores import Disk
from bench.table import BenchError, Row, failed_row, value_row

DELAY_MS = 20
GROUPS = 20
GOAL_SECONDS = 30.0
JOBS, JOBS_QUICK = 10_000, 2_000


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic: seconds, and growth of the memory."""
    jobs = JOBS_QUICK if quick else JOBS
    name = f"cleanup of {jobs} jobs, {DELAY_MS} ms per request"
    if not is_selected(name):
        return
    try:
        result = measure(jobs)
    except BenchError as error:
        yield failed_row(name, error)
        return
    yield value_row(name, [result["seconds"]], " s", GOAL_SECONDS * jobs / JOBS)
    yield value_row(f"{name}: memory growth", [result["gained_mb"]], " MB")


def measure(jobs: int) -> dict[str, float]:
    """Clean up `jobs` jobs in a new process. Returns seconds, MB before and added by the run, and requests per job."""
    with _server(jobs) as url, TemporaryDirectory() as folder:
        environment = {**os.environ, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        environment |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
        command = [sys.executable, "-m", "bench.cleanup", "--clean", str(jobs), str(Path(folder) / "lock")]
        process = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if process.returncode:
            raise BenchError("the cleanup failed")
        with urlopen(f"{url}/phfs/counts") as response:
            counts = response.read().decode()
    result: dict[str, float] = json.loads(process.stdout)
    requests = sum(int(part.partition("=")[2]) for part in counts.split())
    return {**result, "requests_per_job": round(requests / jobs, 2)}


def _ended_jobs(jobs: int) -> EndedJobs:
    """Return jobs that ended 8 days ago."""
    end = format_time(time.time() - 8 * 86400)
    return EndedJobs(
        Job(f"job-{number:07}", "", f"group-{number % GROUPS:03}", phase="Succeeded", finish_time=end)
        for number in range(jobs)
    )


def _clean(jobs: int, lock: Path) -> None:
    settings = ApiSettings.from_env({"PHJOB_API_STORE": "s3://phfs", "PHJOB_API_AUTH": "none", **os.environ})
    store, source = open_store(settings.store), _ended_jobs(jobs)
    cleaner = Cleaner(store, source, settings, ApiMetrics(CollectorRegistry()), FileLock(lock), time.time)
    store.check()
    before, started = _peak_mb(), time.monotonic()
    result = cleaner.clean(None, force=True)
    seconds = time.monotonic() - started
    if (result.removed, result.failed) != (jobs, 0):
        raise BenchError(f"removed {result.removed} of {jobs}, {result.failed} failed")
    gained, cpu = _peak_mb() - before, sum(os.times()[:2])
    print(json.dumps({"seconds": round(seconds, 2), "before_mb": before, "gained_mb": gained, "cpu": round(cpu, 2)}))


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@contextmanager
def _server(jobs: int) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.s3_server", str(DELAY_MS), str(GROUPS), str(jobs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--clean"]:
        _clean(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        for size in map(int, sys.argv[1:] or [str(JOBS)]):
            print(size, measure(size), flush=True)
