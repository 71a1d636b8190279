"""The PhJobs' files as they were last read: one that was not written anew is not read again.

Apart from who reads them: the runner's server looks for what is to be done, the API for what there is.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

# Differs once a file was written anew.
Stamp = tuple[int, ...]


class Seen(Generic[T]):
    """What `read` makes of each file in `folder`; None: it cannot be used, and is left alone until it changes."""

    def __init__(self, folder: Path, read: Callable[[str], T | None]) -> None:
        self.folder, self._read = folder, read
        self._known: dict[str, tuple[Stamp, T | None]] = {}

    def look(self) -> dict[str, T]:
        """What can be used, by job, the file that was written first at the head. Raises OSError."""
        stamps = dict(sorted(self._list(), key=lambda each: each[1]))
        known = {}
        for job, stamp in stamps.items():
            before = self._known.get(job)
            known[job] = before if before and before[0] == stamp else (stamp, self._read(job))
        self._known = known
        return {job: found for job, (_, found) in known.items() if found is not None}

    def leave(self, job: str) -> None:
        """Leave the job alone until its file changes."""
        if job in self._known:
            self._known[job] = (self._known[job][0], None)

    def path(self, job: str) -> Path:
        return self.folder / f"{job}.json"

    def _list(self) -> Iterator[tuple[str, Stamp]]:
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    stamp = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
                    yield entry.name.removesuffix(".json"), stamp
