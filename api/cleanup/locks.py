"""The lock that allows only one process at a time to run the cleanup; here, a locked file."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from api.errors import ConflictError, ServiceUnavailable

HELD_ELSEWHERE = "another cleanup is running: retry when it has finished"


class CleanupLock(Protocol):
    """A lock held by at most one process at a time."""

    def hold(self) -> AbstractContextManager[Callable[[], bool]]:
        """Hold the lock while the block runs. Yields a function that checks that the lock is still held.

        Raises:
            ConflictError: another process holds the lock.
            ServiceUnavailable: the lock cannot be read.
        """


class FileLock:
    """A CleanupLock for processes on one file system: a file below the store's directory, or on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def hold(self) -> Iterator[Callable[[], bool]]:
        """Hold the file's lock. The kernel releases the lock when the process ends."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServiceUnavailable(f"the lock file {self._path} cannot be opened: {error.strerror}") from error
        try:
            _lock(file, self._path)
            yield lambda: os.fstat(file).st_nlink > 0  # if the file is removed, another process can lock a new one
        finally:
            os.close(file)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConflictError(HELD_ELSEWHERE) from error
    except OSError as error:
        raise ServiceUnavailable(f"the lock file {path} cannot be locked: {error.strerror}") from error
    with suppress(OSError):  # the process ID is for people
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
