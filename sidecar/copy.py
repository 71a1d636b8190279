"""Copying one file: the bytes from a descriptor to a descriptor, their digest in the same pass, and where to stop.

How is chosen by what the store is (docs/architecture.md has the measurements): within the kernel on a local disk
where no digest is wanted, 1 MiB blocks everywhere else, since FUSE splits anything else into small writes.
"""

import errno
import hashlib
import os
import threading
from typing import NamedTuple

from sidecar.digest import Digest
from sidecar.store import write_all

BLOCK_BYTES = 1024 * 1024
SMALL_BYTES = 64 * 1024  # below which a read and a write are cheaper than the kernel's own copy
_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.EIO}


class OverBudget(Exception):
    """The file has more bytes than the limits leave for it."""


class Aborted(Exception):
    """Time ran out."""


class SourceError(Exception):
    """The job's file could not be read; `cause` is the operating system's error."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror)
        self.cause = cause


class Budget:
    """Bytes that files may grow beyond what was planned for them, shared by all copies of a sync."""

    def __init__(self, spare_bytes: int) -> None:
        self._left = spare_bytes
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Take `size` bytes (less than 0 gives back), or raise OverBudget."""
        with self._lock:
            if size > self._left:
                raise OverBudget
            self._left -= size


class Copied(NamedTuple):
    """What was written: bytes and digest (32 bytes, or none)."""

    size: int
    digest: bytes


class Copier:
    """Copies content with one way of doing it. `abort` is looked at between blocks."""

    def __init__(self, digest: bool, in_kernel: bool, budget: Budget, abort: threading.Event) -> None:
        self._digest, self._in_kernel = digest, in_kernel and not digest
        self._budget, self._abort = budget, abort

    def copy(self, source: int, target: int, planned: int) -> Copied:
        """Copy until the source ends. `planned` bytes are paid for; what is beyond comes out of the budget.

        Raises SourceError, OSError (the target's), OverBudget or Aborted.
        """
        if self._in_kernel and planned >= SMALL_BYTES:
            done = self._copy_in_kernel(source, target, planned)
            if done >= 0:
                return Copied(done, b"")
        if planned < BLOCK_BYTES:
            return self._copy_small(source, target, planned)
        return self._copy_blocks(source, target, planned, b"")

    def _copy_small(self, source: int, target: int, planned: int) -> Copied:
        content = _read(source, planned + 1)
        if len(content) != planned:  # it has grown or shrunk, or the read was short
            return self._copy_blocks(source, target, planned, content)
        written = os.write(target, content)
        if written != planned:
            write_all(target, memoryview(content)[written:])
        return Copied(planned, hashlib.sha256(content).digest() if self._digest else b"")

    def _copy_blocks(self, source: int, target: int, planned: int, block: bytes) -> Copied:
        """Copy `block`, which has been read already, and all that follows."""
        done = 0
        digest = Digest() if self._digest else None
        try:
            while block := block or _read(source, BLOCK_BYTES):
                if self._abort.is_set():
                    raise Aborted
                self._pay(done + len(block), planned, done)
                if digest:
                    digest.update(block)
                write_all(target, block)
                done += len(block)
                block = b""
        finally:
            hashed = digest.finish() if digest else b""
        return Copied(done, hashed)

    def _copy_in_kernel(self, source: int, target: int, planned: int) -> int:
        """Bytes copied, or -1 where the kernel cannot copy between these two and nothing was copied."""
        done = 0
        while True:
            if self._abort.is_set():
                raise Aborted
            try:
                count = os.copy_file_range(source, target, 64 * BLOCK_BYTES)
            except OSError as error:
                if done == 0 and error.errno in _NO_KERNEL_COPY:
                    return -1
                raise
            if done == count == 0:  # as of files that some file systems make up when they are read
                return -1
            self._pay(done + count, planned, done)
            done += count
            if count == 0 or done == planned:
                return done

    def _pay(self, now: int, planned: int, before: int) -> None:
        beyond = max(now, planned) - max(before, planned)
        if beyond:
            self._budget.take(beyond)


def _read(source: int, size: int) -> bytes:
    try:
        return os.read(source, size)
    except OSError as error:
        raise SourceError(error) from error
