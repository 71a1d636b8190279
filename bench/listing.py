"""Measures the first page of a job with very many files: time, memory, requests. Baseline: listing all files."""

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
from bench.data import DataSet, create_data
from bench.listing_server import PREFIX
from bench.stores import Disk, wait_for_writeback
from bench.table import BenchError, Row, failed_row, format_duration, value_row

RowFilter = Callable[[str], bool]
_PAGE = 1000
_LATENCY_MILLISECONDS = 20

# Runs in a new process, like the API's first request after its start, so that imports and peak memory count.
_FIRST_PAGE = """
import itertools, json, sys, time
from api.store.factory import open_store
store = open_store(sys.argv[1])
list(store.list("groups/nobody/"))
started = time.perf_counter()
names = [file.name for file in itertools.islice(store.list(sys.argv[2]), int(sys.argv[3]))]
seconds = time.perf_counter() - started
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # rusage includes the parent's
print(json.dumps([seconds, int(peak.split()[1]) / 1024, len(names)]))
"""


def rows(disk: Disk, quick: bool, is_selected: RowFilter) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    files = 20_000 if quick else 100_000
    rounds = 3 if quick else 7
    for shape, folders in (("", 0), (", 20 folders", 20)):
        data = DataSet("", files, 8, folders)
        for kind, measure in (("directory", _directory), ("bucket", _bucket)):
            name = f"{kind}: page 1 of {files:,} files{shape}"
            if is_selected(name):
                try:
                    yield from measure(name, disk, data, rounds)
                except BenchError as error:
                    yield failed_row(name, error)


def _directory(name: str, disk: Disk, data: DataSet, rounds: int) -> Iterator[Row]:
    root = disk.new_folder()
    job = root / PREFIX
    job.parent.mkdir(parents=True)
    create_data(data, job)
    wait_for_writeback(root)
    full_listings = [_list_all(job) for _ in range(rounds)]
    pages = [_first_page(str(root), {}) for _ in range(rounds)]
    yield value_row(name, [seconds * 1000 for seconds, _ in pages], " ms", 300, format_duration(full_listings))
    yield value_row(f"{name}, memory", [memory for _, memory in pages], " MB", 100)
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
        before = _list_count(url)
        pages = [_first_page("s3://bucket", environ) for _ in range(rounds)]
        list_count = (_list_count(url) - before) / rounds - 1  # each run lists once before the measurement
        yield value_row(name, [seconds * 1000 for seconds, _ in pages], " ms", 300)
        yield value_row(f"{name}, memory", [memory for _, memory in pages], " MB", 100)
        yield value_row(f"{name}, requests", [list_count], "", 1)


def _list_all(job: Path) -> float:
    """Return the seconds to list and sort all files, as a simple program does."""
    started = time.perf_counter()
    found = []
    for folder, _, names in os.walk(job):
        found += [(os.path.join(folder, name), os.lstat(os.path.join(folder, name))) for name in names]
    found.sort(key=lambda item: item[0])
    return time.perf_counter() - started


def _first_page(url: str, environ: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds to the first page, and the process' peak memory in MB."""
    process = subprocess.run(
        [sys.executable, "-c", _FIRST_PAGE, url, job_prefix("g", "job"), str(_PAGE)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise BenchError(process.stderr.strip().splitlines()[-1])
    seconds, memory, files = json.loads(process.stdout)
    if files != _PAGE:
        raise BenchError(f"{files} files instead of {_PAGE}")
    return seconds, memory


@contextmanager
def _serving(data: DataSet) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "bench.listing_server",
        str(data.files),
        str(data.folders),
        str(_LATENCY_MILLISECONDS),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _list_count(url: str) -> int:
    with urllib.request.urlopen(f"{url}/lists", timeout=10) as response:
        return int(response.read())
