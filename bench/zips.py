"""Measures ZIPs of many small files in a directory. Baseline: `zip -0`, which stores files uncompressed as well."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from api.files.archive import archive, list_sizes
from api.folder import JobFolder
from api.store.posix import PosixStore
from bench.data import DataSet, create_data
from bench.stores import Disk
from bench.table import NotMeasurable, Row, failed_row, ratio_row

FOLDER = JobFolder("g", "job")


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    data = DataSet("", 1000 if quick else 2000, 100, 20)
    name = f"ZIP of {data.files:,} small files"
    if not is_selected(name):
        return
    if shutil.which("zip") is None:
        yield failed_row(name, NotMeasurable("requires zip"))
        return
    root = disk.new_folder()
    job = root / FOLDER.prefix
    job.parent.mkdir(parents=True)
    create_data(data, job)
    store = PosixStore(str(root))
    base, ours = [], []
    for _ in range(3 if quick else 7):
        base.append(_zip(job))
        ours.append(_archive(store))
    subprocess.run(["rm", "-rf", root], check=True)
    yield ratio_row(name, base, ours)


def _zip(job: Path) -> float:
    started = time.perf_counter()
    subprocess.run(["zip", "-0", "-q", "-r", "-", "."], cwd=job, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _archive(store: PosixStore) -> float:
    started = time.perf_counter()
    sizes = list_sizes(store, FOLDER.prefix, "")
    for _ in archive(store, FOLDER, "", sizes):
        pass
    return time.perf_counter() - started
