"""Measures trees in the directory store: wide, deep, with long names. Baselines: os.walk with lstat, and `rm -rf`."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from api.store.posix import PosixStore
from api.usage import count_usage
from artifacts.layout import job_prefix
from bench.stores import Disk
from bench.table import BenchError, Row, ratio_row, value_row

PREFIX = job_prefix("g", "job")
DEPTH_FACTOR = 8
GROWTH_GOAL = 10.0


@dataclass(frozen=True)
class Tree:
    """A chain of `depth` nested folders whose last one has `files` files; names have `name_length` characters."""

    name: str
    depth: int
    files: int
    name_length: int

    def create(self, folder: Path) -> None:
        """Create the tree in the folder, beyond the maximum length of a path."""
        folder.mkdir(parents=True)
        fd = os.open(folder, os.O_RDONLY)
        for _ in range(self.depth):
            os.mkdir("d" * self.name_length, dir_fd=fd)
            inner = os.open("d" * self.name_length, os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        for number in range(self.files):
            os.close(os.open(str(number).rjust(self.name_length, "f"), os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.close(fd)


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    files, depth, rounds = (5_000, 2_000, 3) if quick else (20_000, 8_000, 5)
    for tree in (Tree(f"{files:,} files", 0, files, 6), Tree(f"{files:,} files with long names", 3, files, 200)):
        name = f"directory: list and count {tree.name}"
        if is_selected(name):
            yield _list_row(name, disk, tree, rounds)
        name = f"directory: remove {tree.name}"
        if is_selected(name):
            yield ratio_row(name, *_removals(disk, tree, rounds))
    deep = Tree(f"{depth:,} nested folders", depth, 1, 1)
    name = f"directory: remove {deep.name}"
    if is_selected(name):
        base, ours = _removals(disk, deep, rounds)
        yield ratio_row(name, base, ours)
        shallow = Tree("", depth // DEPTH_FACTOR, 1, 1)
        growth = [_removal_cpu(disk, deep) / _removal_cpu(disk, shallow) for _ in range(rounds)]
        yield value_row(f"{name}, {DEPTH_FACTOR}x the depth", growth, "x", GROWTH_GOAL)


def _list_row(name: str, disk: Disk, tree: Tree, rounds: int) -> Row:
    root = disk.new_folder()
    tree.create(root / PREFIX)
    store = PosixStore(str(root))
    base, ours = [], []
    for _ in range(rounds):
        base.append(_timed(lambda: _walk(root / PREFIX)))
        ours.append(_timed(lambda: _count(store, tree.files)))
    subprocess.run(["rm", "-rf", root], check=True)
    return ratio_row(name, base, ours)


def _removals(disk: Disk, tree: Tree, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of `rm -rf` and of the store, in turn."""
    base, ours = [], []
    for _ in range(rounds):
        root = disk.new_folder()
        tree.create(root / PREFIX)
        base.append(_timed(lambda: subprocess.run(["rm", "-rf", root / PREFIX], check=True)))  # noqa: B023
        tree.create(root / PREFIX)
        ours.append(_timed(lambda: PosixStore(str(root)).remove(PREFIX)))  # noqa: B023
        subprocess.run(["rm", "-rf", root], check=True)
    return base, ours


def _removal_cpu(disk: Disk, tree: Tree) -> float:
    """Return the processor seconds of a removal, which vary less than its time."""
    root = disk.new_folder()
    tree.create(root / PREFIX)
    started = time.process_time()
    PosixStore(str(root)).remove(PREFIX)
    return time.process_time() - started


def _walk(job: Path) -> None:
    found = [os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(job) for name in names]
    sum(status.st_size for status in found)


def _count(store: PosixStore, files: int) -> None:
    items = (item._replace(name=f"job/{item.name}") for item in store.list(PREFIX))
    if count_usage(items, lambda: True).files != files:
        raise BenchError("the listing is incomplete")


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
