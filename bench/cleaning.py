"""How long the cleanup takes where every request to the store does, and how its time and memory grow with the jobs.

All jobs are due: the most that one run can have to do. `python -m bench.cleaning [JOBS ...]` measures other sizes.
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
from bench.table import BenchError, Row, absent, absolute

DELAY_MS = 20
GROUPS = 20
GOAL_SECONDS = 30.0
JOBS, JOBS_QUICK = 10_000, 2_000


def rows(disk: Disk, quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """The rows of the table: seconds, and what the memory grows by."""
    jobs = JOBS_QUICK if quick else JOBS
    what = f"cleanup of {jobs} jobs, {DELAY_MS} ms a request"
    if not wanted(what):
        return
    try:
        measured = measure(jobs)
    except BenchError as error:
        yield absent(what, error)
        return
    yield absolute(what, [measured["seconds"]], " s", GOAL_SECONDS * jobs / JOBS)
    yield absolute(f"{what}: memory gained", [measured["gained_mb"]], " MB")


def measure(jobs: int) -> dict[str, float]:
    """Clean so many jobs in a process of its own: seconds, MB before and gained, requests for each job."""
    with _server(jobs) as url, TemporaryDirectory() as place:
        environment = {**os.environ, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        environment |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
        command = [sys.executable, "-m", "bench.cleaning", "--clean", str(jobs), str(Path(place) / "lock")]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise BenchError("the cleanup failed")
        with urlopen(f"{url}/phfs/counts") as answer:
            counts = answer.read().decode()
    measured: dict[str, float] = json.loads(done.stdout)
    requests = sum(int(part.partition("=")[2]) for part in counts.split())
    return {**measured, "requests_per_job": round(requests / jobs, 2)}


def _ended(jobs: int) -> EndedJobs:
    """Jobs that the cleanup asks about, each."""
    end = format_time(time.time() - 8 * 86400)
    return EndedJobs(
        Job(f"job-{number:07}", "", f"group-{number % GROUPS:03}", phase="Succeeded", finish_time=end)
        for number in range(jobs)
    )


def _clean(jobs: int, lock: Path) -> None:
    settings = ApiSettings.from_env({"PHJOB_API_STORE": "s3://phfs", "PHJOB_API_AUTH": "none", **os.environ})
    store, known = open_store(settings.store), _ended(jobs)
    cleaner = Cleaner(store, known, settings, ApiMetrics(CollectorRegistry()), FileLock(lock), time.time)
    store.check()
    before, begun = _peak_mb(), time.monotonic()
    cleaned = cleaner.clean(None, force=True)
    seconds = time.monotonic() - begun
    if (cleaned.removed, cleaned.failed) != (jobs, 0):
        raise BenchError(f"removed {cleaned.removed} of {jobs}, {cleaned.failed} failed")
    gained, cpu = _peak_mb() - before, sum(os.times()[:2])
    print(json.dumps({"seconds": round(seconds, 2), "before_mb": before, "gained_mb": gained, "cpu": round(cpu, 2)}))


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@contextmanager
def _server(jobs: int) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.s3", str(DELAY_MS), str(GROUPS), str(jobs)]
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
