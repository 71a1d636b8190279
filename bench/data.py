"""The data sets: artifacts of a job, created once per run and used for the baseline and for the sidecar."""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHANGED_FILES = 10


@dataclass(frozen=True)
class DataSet:
    """`files` files of `size` bytes, spread over `folders` folders (0: none)."""

    name: str
    files: int
    size: int
    folders: int

    def __str__(self) -> str:
        size = f"{self.size // 1024} kB" if self.size < 1024 * 1024 else f"{self.size // (1024 * 1024)} MB"
        return f"{self.name} = {self.files:,} x {size if self.size >= 1024 else f'{self.size} bytes'}" + (
            f" in {self.folders} folders" if self.folders else ""
        )

    def paths(self) -> Iterator[str]:
        """Yield the files' paths relative to the artifacts folder."""
        for number in range(self.files):
            yield f"d{number % self.folders:03}/f{number:06}" if self.folders else f"f{number:06}"


def create_data(data: DataSet, artifacts: Path) -> None:
    """Create the artifacts folder with the data set."""
    artifacts.mkdir(parents=True)
    for number in range(data.folders):
        (artifacts / f"d{number:03}").mkdir()
    content = bytearray(os.urandom(data.size))
    for number, path in enumerate(data.paths()):
        content[:8] = number.to_bytes(8, "little")  # no two files are equal
        (artifacts / path).write_bytes(content)


def sample_paths(data: DataSet) -> list[str]:
    """Return an evenly spread selection of paths, which are those that `change_sample` changes."""
    return list(data.paths())[:: max(1, data.files // CHANGED_FILES)][:CHANGED_FILES]


def change_sample(data: DataSet, artifacts: Path) -> None:
    """Overwrite the files of the sample with other bytes of the same length."""
    for path in sample_paths(data):
        (artifacts / path).write_bytes(os.urandom(data.size))


def hash_files(data: DataSet, artifacts: Path) -> float:
    """Return the seconds that one thread takes to read and hash all files: the minimum for a copy with digests."""
    started = time.perf_counter()
    for path in data.paths():
        with (artifacts / path).open("rb", buffering=0) as file:
            hasher = hashlib.sha256()
            while block := file.read(1024 * 1024):
                hasher.update(block)
            hasher.digest()
    return time.perf_counter() - started
