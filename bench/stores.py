"""Where the data and the copies lie: a local disk that gives steady numbers, and a store as slow as a network.

The disk is an ext4 image in memory: a machine's own disk is full of what ran before, and its numbers jump.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from artifacts.layout import JOB_ARTIFACTS
from bench.data import DataSet, make
from bench.table import Unavailable
from tests.storefs import build, tmpfs
from tests.storefs.mount import mounted

SLOW_MICROSECONDS = 5000
_IMAGE_BYTES = 4 * 1024**3
_INODES = 600_000


@dataclass(frozen=True)
class Store:
    """A shared store: `path` is what writers see, `backing` the same behind the mount, where looking costs nothing.

    The kernel remembers for seconds what a mount holds, and what is removed behind it is a surprise to whoever comes
    next: so job folders have names of their own, and the folder that they lie in stays.
    """

    name: str
    path: Path
    backing: Path

    def __post_init__(self) -> None:
        (self.backing / JOB_ARTIFACTS).mkdir()

    def clear(self) -> None:
        """Remove every job's folder, and let what was written settle."""
        for entry in (self.backing / JOB_ARTIFACTS).iterdir():
            shutil.rmtree(entry)
        settle(self.backing)


@dataclass
class Disk:
    """The local disk, below the folder `path`."""

    path: Path
    kind: str
    _made: set[str] = field(default_factory=set)

    def home(self, data: DataSet) -> Path:
        """The job's home with the data set in `artifacts`, made when first asked for."""
        home = self.path / "homes" / data.name
        if data.name not in self._made:
            make(data, home / "artifacts")
            self._made.add(data.name)
            settle(self.path)
        return home

    def drop(self, data: DataSet) -> None:
        """Remove the data set."""
        shutil.rmtree(self.path / "homes" / data.name)
        self._made.discard(data.name)

    def new_folder(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.path))


def settle(path: Path) -> None:
    """Wait until the file system has written back, so that the next one timed does not pay for it."""
    subprocess.run(["sync", "-f", str(path)], check=True)


@contextmanager
def local_disk(folder: Path | None) -> Iterator[Disk]:
    """An ext4 image in memory, for root; otherwise, or if one is given, a folder."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as name:
        outer = Path(name)
        if folder is not None or tmpfs.missing() is not None or shutil.which("mkfs.ext4") is None:
            yield Disk(outer, f"the folder {folder or outer.parent}")
            return
        with tmpfs.tmpfs(outer, _IMAGE_BYTES + 64 * 1024**2), _image(outer / "image", outer / "disk") as path:
            yield Disk(path, "ext4 image in memory")


@contextmanager
def _image(image: Path, path: Path) -> Iterator[Path]:
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    options = "lazy_itable_init=0,lazy_journal_init=0"  # else the kernel goes on making it while we measure
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", str(_INODES), "-E", options, str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def local_store(disk: Disk) -> Iterator[Store]:
    """A store on the local disk itself."""
    path = disk.new_folder()
    yield Store("local", path, path)


@contextmanager
def slow_store(disk: Disk) -> Iterator[Store]:
    """A FUSE mount whose create, write, flush and mkdir take 5 ms more. Raises Unavailable."""
    missing = build.missing()
    if missing is not None:
        raise Unavailable(f"needs {missing}")
    backing, path = disk.new_folder(), disk.new_folder()
    os.chmod(backing, 0o755)
    slow = SLOW_MICROSECONDS
    with mounted(backing, path, cache_seconds=5, create=slow, write=slow, flush=slow, mkdir=slow):
        yield Store("slow", path, backing)
