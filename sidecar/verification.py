"""Compares the copies in the store with the manifest: which of them were removed, truncated or overwritten by others?

Each copy costs one stat by its name in an open folder, so entries that others put into the job folder cost nothing.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from artifacts.errors import StoreError
from sidecar.manifest import is_intact
from sidecar.store import JobFolderStore
from sidecar.thread_pool import map_unordered

MAX_THREADS = 64  # on a remote store; each only waits for one small request at a time
_CHUNK_FILES = 16  # a remote folder may have all copies, so threads share its work
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class _Chunk(NamedTuple):
    """Some copies of one folder."""

    folder: str
    paths: list[str]


def find_lost(
    store: JobFolderStore, records: dict[str, bytes], is_remote: bool, should_stop: Callable[[], bool]
) -> set[str]:
    """Return the paths of `records` (path -> manifest record) whose copies are missing or differ in the store.

    Stops early once `should_stop()` is true. Raises StoreError if the store cannot be read.
    """

    def check(chunk: _Chunk) -> list[str] | StoreError:
        try:
            return _check_chunk(store, records, chunk)
        except StoreError as error:
            return error

    chunks = list(_split(records, _CHUNK_FILES if is_remote else len(records)))
    lost: set[str] = set()
    for item in map_unordered(check, chunks, MAX_THREADS if is_remote else 1, should_stop):
        if item is None:
            if should_stop():
                break
            continue
        if isinstance(item[1], StoreError):
            raise item[1]
        lost.update(item[1])
    return lost


def _split(paths: Iterable[str], chunk_files: int) -> Iterator[_Chunk]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    for folder, in_folder in folders.items():
        for start in range(0, len(in_folder), chunk_files):
            yield _Chunk(folder, in_folder[start : start + chunk_files])


def _check_chunk(store: JobFolderStore, records: dict[str, bytes], chunk: _Chunk) -> list[str]:
    fd = store.open_folder(chunk.folder)
    if fd is None:
        return chunk.paths
    name_start = len(chunk.folder) + 1 if chunk.folder else 0
    lost = []
    try:
        for path in chunk.paths:
            try:
                status = os.stat(path[name_start:], dir_fd=fd, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise StoreError("stat", path, error) from error
                lost.append(path)
            else:
                if not is_intact(records[path], status, store.has_change_times):
                    lost.append(path)
    finally:
        os.close(fd)
    return lost
