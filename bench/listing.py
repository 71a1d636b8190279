"""Rows on listing a job of very many files: the first page, against looking at all of them, and what it needs."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from artifacts.layout import job_prefix
from bench.bucket import PREFIX
from bench.data import DataSet, make
from bench.stores import Disk, settle
from bench.table import BenchError, Row, absent, absolute, duration

Wanted = Callable[[str], bool]
_PAGE = 1000
_LATENCY_MILLISECONDS = 20

# In a process of its own, as the API's first request after its start: what it imports, and what it takes at most.
_FIRST_PAGE = """
import itertools, json, sys, time
from api.store.factory import open_store
store = open_store(sys.argv[1])
list(store.list("groups/nobody/"))
started = time.perf_counter()
names = [item.name for item in itertools.islice(store.list(sys.argv[2]), int(sys.argv[3]))]
seconds = time.perf_counter() - started
most = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # rusage has the parent's in it
print(json.dumps([seconds, int(most.split()[1]) / 1024, len(names)]))
"""


def rows(disk: Disk, quick: bool, wanted: Wanted) -> Iterator[Row]:
    """All rows of this topic that are wanted."""
    files = 20_000 if quick else 100_000
    rounds = 3 if quick else 7
    for shape, folders in (("", 0), (", 20 folders", 20)):
        data = DataSet("", files, 8, folders)
        for kind, measure in (("directory", _directory), ("bucket", _bucket)):
            name = f"{kind}: page 1 of {files:,} files{shape}"
            if wanted(name):
                try:
                    yield from measure(name, disk, data, rounds)
                except BenchError as error:
                    yield absent(name, error)


def _directory(name: str, disk: Disk, data: DataSet, rounds: int) -> Iterator[Row]:
    root = disk.new_folder()
    job = root / PREFIX
    job.parent.mkdir(parents=True)
    make(data, job)
    settle(root)
    all_of_it = [_look_at_all(job) for _ in range(rounds)]
    pages = [_first_page(str(root), {}) for _ in range(rounds)]
    yield absolute(name, [seconds * 1000 for seconds, _ in pages], " ms", 300, duration(all_of_it))
    yield absolute(f"{name}, memory", [memory for _, memory in pages], " MB", 100)
    subprocess.run(["rm", "-rf", root], check=True)


def _bucket(name: str, _: Disk, data: DataSet, rounds: int) -> Iterator[Row]:
    with _serving(data) as url:
        environ = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        before = _lists(url)
        pages = [_first_page("s3://bucket", environ) for _ in range(rounds)]
        lists = (_lists(url) - before) / rounds - 1  # one was to get ready
        yield absolute(name, [seconds * 1000 for seconds, _ in pages], " ms", 300)
        yield absolute(f"{name}, memory", [memory for _, memory in pages], " MB", 100)
        yield absolute(f"{name}, requests", [lists], "", 1)


def _look_at_all(job: Path) -> float:
    """Seconds to list the files as a simple program would: all of them, sorted."""
    started = time.perf_counter()
    found = []
    for folder, _, names in os.walk(job):
        found += [(os.path.join(folder, each), os.lstat(os.path.join(folder, each))) for each in names]
    found.sort(key=lambda each: each[0])
    return time.perf_counter() - started


def _first_page(url: str, environ: Mapping[str, str]) -> tuple[float, float]:
    """Seconds to the first page, and the most memory of the whole process, in MB."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_PAGE, url, job_prefix("g", "job"), str(_PAGE)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(done.stderr.strip().splitlines()[-1])
    seconds, memory, files = json.loads(done.stdout)
    if files != _PAGE:
        raise BenchError(f"{files} files instead of {_PAGE}")
    return seconds, memory


@contextmanager
def _serving(data: DataSet) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.bucket", str(data.files), str(data.folders), str(_LATENCY_MILLISECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _lists(url: str) -> int:
    with urllib.request.urlopen(f"{url}/lists", timeout=10) as answer:
        return int(answer.read())
