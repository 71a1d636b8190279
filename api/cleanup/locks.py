"""The lock that allows only one process at a time to run the cleanup; here, a locked file."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from api.errors import ConflictError, ServiceUnavailable

HELD_ELSEWHERE = "another cleanup is running: wait for its end"


class CleanupLock(Protocol):
    """Held by at most one process at a time."""

    def hold(self) -> AbstractContextManager[Callable[[], bool]]:
        """Hold it for one run; gives what tells whether it is still held. Raises ConflictError if another
        holds it, and ServiceUnavailable if the lock cannot be read."""


class FileLock:
    """For processes that see one file system: a file below the store's directory, or of the machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def hold(self) -> Iterator[Callable[[], bool]]:
        """Hold the file's lock, which ends with the process however that ends."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServiceUnavailable(f"the lock file {self._path} cannot be opened: {error.strerror}") from error
        try:
            _lock(file, self._path)
            yield lambda: os.fstat(file).st_nlink > 0  # whoever removes the file gives the lock away
        finally:
            os.close(file)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConflictError(HELD_ELSEWHERE) from error
    except OSError as error:
        raise ServiceUnavailable(f"the lock file {path} cannot be locked: {error.strerror}") from error
    with suppress(OSError):  # who runs, for people
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
