"""Copies the content of one file between descriptors and hashes it in the same pass, within the limits.

On a local disk without a digest, the kernel copies. In all other cases, content is copied in blocks of 1 MiB, because
FUSE splits anything else into small writes. Holes of sparse files are neither read nor written.
"""

import errno
import hashlib
import os
import queue
import threading
import time
from typing import NamedTuple

from sidecar.sparse import data_ranges
from sidecar.store import write_all

BLOCK_BYTES = 1024 * 1024
MIN_KERNEL_COPY_BYTES = 64 * 1024  # for smaller files, a read and a write are cheaper than copy_file_range
MAX_HOLE_HASH_SECONDS = 4.0  # for all files of a sync; past it, sparse files get no digest
_NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.EIO}
_ZEROS = memoryview(bytes(BLOCK_BYTES))


class GrowthExceeded(Exception):
    """The file grew by more bytes than the limits allow."""


class CopyAborted(Exception):
    """The deadline of the last sync has passed."""


class SourceError(Exception):
    """The job's file cannot be read; `cause` is the operating system's error."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(cause.strerror)
        self.cause = cause


class GrowthBudget:
    """Bytes by which files may exceed their planned sizes, shared by all copies of a sync. Thread-safe."""

    def __init__(self, spare_bytes: int) -> None:
        self._spare_bytes = spare_bytes
        self._lock = threading.Lock()

    def consume(self, size_bytes: int) -> None:
        """Consume `size_bytes`; a negative number returns bytes to the budget. Raises GrowthExceeded."""
        with self._lock:
            if size_bytes > self._spare_bytes:
                raise GrowthExceeded
            self._spare_bytes -= size_bytes


class CopiedContent(NamedTuple):
    """The copy: size in bytes, SHA-256 (32 bytes, or b"" if not computed), and how many of the bytes are in holes."""

    size: int
    digest: bytes
    hole_bytes: int = 0


class Copier:
    """Copies content in the way that `digest` and `in_kernel` select. `abort` is checked between blocks."""

    def __init__(self, digest: bool, in_kernel: bool, budget: GrowthBudget, abort: threading.Event) -> None:
        self._digest, self._in_kernel = digest, in_kernel and not digest
        self._budget, self._abort = budget, abort
        self._hole_hash_seconds = MAX_HOLE_HASH_SECONDS

    def copy(self, source: int, target: int, planned_bytes: int) -> CopiedContent:
        """Copy until the source ends. Bytes beyond `planned_bytes` are consumed from the budget.

        Raises SourceError, OSError (of the target), GrowthExceeded or CopyAborted.
        """
        if self._in_kernel and planned_bytes >= MIN_KERNEL_COPY_BYTES:
            copied = self._copy_in_kernel(source, target, planned_bytes)
            if copied >= 0:
                return CopiedContent(copied, b"")
        if planned_bytes < BLOCK_BYTES:
            return self._copy_small(source, target, planned_bytes)
        return self._copy_blocks(source, target, planned_bytes, b"")

    def copy_sparse(self, source: int, target: int, planned_bytes: int) -> CopiedContent:
        """Copy only the data of a sparse file, like `copy`. `planned_bytes` does not include holes.

        The digest includes the holes, as zeros. Bytes that are appended meanwhile are not copied.
        """
        size = os.fstat(source).st_size
        hasher = hashlib.sha256() if self._digest and self._hole_hash_seconds > 0 else None
        position = copied = 0
        for start, end in data_ranges(source, size):
            hasher = self._hash_hole(hasher, start - position)
            position = os.lseek(target, start, os.SEEK_SET)
            while position < end:
                if self._abort.is_set():
                    raise CopyAborted
                try:
                    block = os.pread(source, min(BLOCK_BYTES, end - position), position)
                except OSError as error:
                    raise SourceError(error) from error
                if not block:  # the file was truncated
                    break
                self._consume(copied + len(block), planned_bytes, copied)
                write_all(target, block)
                if hasher:
                    hasher.update(block)
                position, copied = position + len(block), copied + len(block)
        size = max(position, min(size, os.fstat(source).st_size))
        hasher = self._hash_hole(hasher, size - position)
        os.ftruncate(target, size)
        return CopiedContent(size, hasher.digest() if hasher else b"", size - copied)

    def _hash_hole(self, hasher: "hashlib._Hash | None", size: int) -> "hashlib._Hash | None":
        """Hash `size` zeros. Returns None if there is no time to do so."""
        while hasher and size > 0:
            if self._abort.is_set():
                raise CopyAborted
            if self._hole_hash_seconds <= 0:
                return None
            started = time.perf_counter()
            hasher.update(_ZEROS[:size])
            self._hole_hash_seconds -= time.perf_counter() - started
            size -= len(_ZEROS)
        return hasher

    def _copy_small(self, source: int, target: int, planned_bytes: int) -> CopiedContent:
        try:
            content = os.read(source, planned_bytes + 1)
        except OSError as error:
            raise SourceError(error) from error
        if len(content) != planned_bytes:  # the file grew or shrank, or the read was short
            return self._copy_blocks(source, target, planned_bytes, content)
        written = os.write(target, content)
        if written != planned_bytes:
            write_all(target, memoryview(content)[written:])
        return CopiedContent(planned_bytes, hashlib.sha256(content).digest() if self._digest else b"")

    def _copy_blocks(self, source: int, target: int, planned_bytes: int, block: bytes) -> CopiedContent:
        """Copy `block`, which has already been read, and the rest of the source."""
        copied = 0
        hasher = BackgroundHasher() if self._digest else None
        try:
            while block := block or _read(source, BLOCK_BYTES):
                if self._abort.is_set():
                    raise CopyAborted
                self._consume(copied + len(block), planned_bytes, copied)
                if hasher:
                    hasher.update(block)
                write_all(target, block)
                copied += len(block)
                block = b""
        finally:
            digest = hasher.finish() if hasher else b""
        return CopiedContent(copied, digest)

    def _copy_in_kernel(self, source: int, target: int, planned_bytes: int) -> int:
        """Return the bytes copied, or -1 if the kernel cannot copy between the two and has copied nothing."""
        copied = 0
        while True:
            if self._abort.is_set():
                raise CopyAborted
            try:
                count = os.copy_file_range(source, target, 64 * BLOCK_BYTES)
            except OSError as error:
                if copied == 0 and error.errno in _NO_KERNEL_COPY:
                    return -1
                raise
            if copied == count == 0:  # also the result for files whose content is generated on read, as in /proc
                return -1
            self._consume(copied + count, planned_bytes, copied)
            copied += count
            if count == 0 or copied == planned_bytes:
                return copied

    def _consume(self, total: int, planned_bytes: int, total_before: int) -> None:
        growth = max(total, planned_bytes) - max(total_before, planned_bytes)
        if growth:
            self._budget.consume(growth)


class BackgroundHasher:
    """Computes the SHA-256 of blocks in a second thread, while the caller writes them.

    Used by one thread. The caller must call `finish` in every case, since it ends the thread.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._blocks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(2)  # bounds the blocks that wait in memory
        self._thread = threading.Thread(target=self._run, name="digest", daemon=True)
        self._thread.start()

    def update(self, block: bytes) -> None:
        """Queue the next block; waits if two blocks are queued."""
        self._slots.acquire()
        self._blocks.put(block)

    def finish(self) -> bytes:
        """End the thread and return the digest of all blocks (32 bytes)."""
        self._blocks.put(None)
        self._thread.join()
        return self._hash.digest()

    def _run(self) -> None:
        while (block := self._blocks.get()) is not None:
            self._hash.update(block)
            self._slots.release()


def _read(source: int, size: int) -> bytes:
    try:
        return os.read(source, size)
    except OSError as error:
        raise SourceError(error) from error
