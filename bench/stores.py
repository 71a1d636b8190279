"""The disk for the data, and the stores: one on the disk itself, and one as slow as a network file system.

The disk is an ext4 image in memory, because measurements on a machine's own disk vary with its other activity.
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
from bench.data import DataSet, create_data
from bench.table import NotMeasurable
from tests.storefs import build, tmpfs
from tests.storefs.mount import mounted

SLOW_MICROSECONDS = 5000
_IMAGE_BYTES = 4 * 1024**3
_INODES = 600_000


@dataclass(frozen=True)
class BenchmarkStore:
    """A shared store. `path` is the mount that writers use; `backing` is the folder behind it, for fast checks.

    The kernel caches a mount's entries for seconds, and does not notice files that were removed behind the mount. So
    every job folder has a new name, and their parent folder is never removed.
    """

    name: str
    path: Path
    backing: Path

    def __post_init__(self) -> None:
        (self.backing / JOB_ARTIFACTS).mkdir()

    def clear(self) -> None:
        """Remove all job folders and wait for the write-back."""
        for entry in (self.backing / JOB_ARTIFACTS).iterdir():
            shutil.rmtree(entry)
        wait_for_writeback(self.backing)


@dataclass
class Disk:
    """The local disk, below the folder `path`."""

    path: Path
    kind: str
    _created: set[str] = field(default_factory=set)

    def home(self, data: DataSet) -> Path:
        """Return a job's home with the data set in `artifacts`. It is created by the first call."""
        home = self.path / "homes" / data.name
        if data.name not in self._created:
            create_data(data, home / "artifacts")
            self._created.add(data.name)
            wait_for_writeback(self.path)
        return home

    def drop(self, data: DataSet) -> None:
        """Remove the data set's home."""
        shutil.rmtree(self.path / "homes" / data.name)
        self._created.discard(data.name)

    def new_folder(self) -> Path:
        """Create an empty folder."""
        return Path(tempfile.mkdtemp(dir=self.path))


def wait_for_writeback(path: Path) -> None:
    """Wait until the file system has written back its data, so that the next measurement does not include that time."""
    subprocess.run(["sync", "-f", str(path)], check=True)


@contextmanager
def local_disk(folder: Path | None) -> Iterator[Disk]:
    """Yield a disk: an ext4 image in memory if we are root, else a folder. A given `folder` is always used."""
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
    options = "lazy_itable_init=0,lazy_journal_init=0"  # else the kernel continues the initialization while we measure
    subprocess.run(["mkfs.ext4", "-q", "-F", "-N", str(_INODES), "-E", options, str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def local_store(disk: Disk) -> Iterator[BenchmarkStore]:
    """Yield a store on the local disk itself."""
    path = disk.new_folder()
    yield BenchmarkStore("local", path, path)


@contextmanager
def slow_store(disk: Disk) -> Iterator[BenchmarkStore]:
    """Yield a FUSE mount whose create, write, flush and mkdir take 5 ms longer. Raises NotMeasurable."""
    missing = build.missing()
    if missing is not None:
        raise NotMeasurable(f"requires {missing}")
    backing, path = disk.new_folder(), disk.new_folder()
    os.chmod(backing, 0o755)
    slow = SLOW_MICROSECONDS
    with mounted(backing, path, cache_seconds=5, create=slow, write=slow, flush=slow, mkdir=slow):
        yield BenchmarkStore("slow", path, backing)
