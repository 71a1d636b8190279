"""Caches the parsed PhJob files of a folder, and reads only those that changed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

# mtime, ctime, inode and size: differs after every write of a file.
Signature = tuple[int, ...]


class PhJobCache(Generic[T]):
    """The PhJob files in `folder`, parsed by `read`, which returns None for a file that cannot be used."""

    def __init__(self, folder: Path, read: Callable[[str], T | None]) -> None:
        self.folder, self._read = folder, read
        self._entries: dict[str, tuple[Signature, T | None]] = {}

    def refresh(self) -> dict[str, T]:
        """Read the files that changed, and return all usable PhJobs by name, the oldest file first. Raises OSError."""
        signatures = dict(sorted(self._list(), key=lambda item: item[1]))
        entries = {}
        for job, signature in signatures.items():
            cached = self._entries.get(job)
            entries[job] = cached if cached and cached[0] == signature else (signature, self._read(job))
        self._entries = entries
        return {job: value for job, (_, value) in entries.items() if value is not None}

    def ignore(self, job: str) -> None:
        """Omit the PhJob until its file changes."""
        if job in self._entries:
            self._entries[job] = (self._entries[job][0], None)

    def path(self, job: str) -> Path:
        """Return the path of the PhJob's file."""
        return self.folder / f"{job}.json"

    def _list(self) -> Iterator[tuple[str, Signature]]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
                    yield entry.name.removesuffix(".json"), signature
