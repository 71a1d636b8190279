"""Copies one file from the job's volumes to the job folder, and returns the result or the reason for a failure."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from typing import NamedTuple

from artifacts.errors import StoreConflict, StoreError
from artifacts.names import decode_path
from sidecar.copy import CopiedContent, Copier, CopyAborted, GrowthExceeded, SourceError
from sidecar.copy_strategy import CopyStrategy
from sidecar.file_signature import FileSignature, is_racy, signature_of
from sidecar.file_system import is_local
from sidecar.source import OpenFile, PathRefused, Source, SourceFolders
from sidecar.sparse import has_holes
from sidecar.store import JobFolderStore

MAX_ATTEMPTS = 3  # for a file that changes during the copy
_MAX_REMOTE_SKEW_NS = 2_000_000_000  # how far the clock of a file server may be behind


class TransferResult(NamedTuple):
    """The result for one file. Without a `reason`, `size` bytes were copied from a file with this signature.

    `reason` is a key of artifacts.report.REASONS, or "vanished" (the file is gone, or is not to be copied any more).
    `racy`: a write after the copy may have left the signature as it is. `copy_ctime_ns`: of the copy, or 0 if unknown.
    `code`: the value of `errno` of a `store_error`.
    """

    reason: str = ""
    detail: str = ""
    signature: FileSignature = b""
    size: int = 0
    digest: bytes = b""
    unstable: bool = False
    racy: bool = False
    copy_ctime_ns: int = 0
    code: int = 0


class FileTransfer:
    """Copies single files for one sync. Safe to use from several threads; never raises because of a file.

    `main_is_running`: files may change. `strategy` is the store's.
    """

    def __init__(
        self, source: Source, store: JobFolderStore, copier: Copier, strategy: CopyStrategy, main_is_running: bool
    ) -> None:
        self._store, self._main_is_running = store, main_is_running
        self._keep_times, self._keep_holes = strategy.keep_times, strategy.keep_holes
        self._source_folders = SourceFolders(source, main_is_running)
        self._store_folders = store.open_folders()
        self._copier = copier
        self._max_skews: dict[int, int] = {}  # device -> nanoseconds

    def copy(self, path: str, planned_bytes: int, exists: bool) -> TransferResult:
        """Copy the file at the encoded `path`.

        The limits allow for `planned_bytes`. `exists`: the store may have an older copy.
        """
        opened = _open(self._source_folders.open_file, path)
        if isinstance(opened, TransferResult):
            return opened
        fd, status = opened
        try:
            return self._write(path, fd, status, planned_bytes, exists)
        except SourceError as error:
            return TransferResult("source_error", error.cause.strerror or "")
        except StoreConflict as error:
            return TransferResult("store_conflict", error.cause.strerror or "")
        except StoreError as error:
            return TransferResult("store_error", error.cause.strerror or "", code=error.cause.errno or 0)
        except GrowthExceeded:
            return TransferResult("over_limit")
        except CopyAborted:
            return TransferResult("not_reached")
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the folders of the source and of the store. No copy may be running."""
        self._source_folders.close()
        self._store_folders.close()

    def _write(self, path: str, fd: int, status: os.stat_result, planned_bytes: int, exists: bool) -> TransferResult:
        executable = bool(status.st_mode & stat.S_IXUSR)
        copied, was_read = CopiedContent(planned_bytes, b""), False

        def write_content(target: int) -> None:
            nonlocal copied, was_read
            if was_read:  # the file changed, or the store cannot rename and writes the file a second time
                os.lseek(fd, 0, os.SEEK_SET)
            was_read = True
            copy = self._copier.copy_sparse if self._keep_holes and has_holes(status) else self._copier.copy
            copied = copy(fd, target, max(planned_bytes, copied.size - copied.hole_bytes))
            if self._keep_times:
                _set_modified_at(target, status.st_mtime_ns)

        signature = signature_of(status)
        result = TransferResult()
        for attempt in range(MAX_ATTEMPTS):
            started_ns = time.time_ns()
            try:
                has_copy = exists or attempt > 0
                ctime_ns = self._store.write(path, write_content, executable, has_copy, self._store_folders)
            except (SourceError, StoreConflict, GrowthExceeded, CopyAborted):
                if attempt == 0:
                    raise
                return result  # that copy is in the store, so the manifest must list it
            status = os.fstat(fd)
            after = signature_of(status)
            if after == signature:
                unstable = self._main_is_running and is_open_for_writing(fd)
                racy = self._main_is_running and is_racy(signature, started_ns, self._max_skew_ns(fd, status.st_dev))
                return TransferResult("", "", signature, copied.size, copied.digest, unstable, racy, ctime_ns)
            result = TransferResult("", "", signature, copied.size, copied.digest, True, copy_ctime_ns=ctime_ns)
            signature = after
        return result

    def _max_skew_ns(self, fd: int, device: int) -> int:
        skew = self._max_skews.get(device)
        if skew is None:
            skew = self._max_skews[device] = 0 if is_local(fd) else _MAX_REMOTE_SKEW_NS
        return skew


def probe(source: Source, path: str) -> TransferResult | None:
    """Open the file at the encoded `path`. Returns the reason if it cannot be copied, else None."""
    opened = _open(source.open_file, path)
    if isinstance(opened, TransferResult):
        return opened
    os.close(opened[0])
    return None


def is_open_for_writing(fd: int) -> bool:
    """Whether a process has the file of `fd` (opened for reading) open or mapped for writing.

    Takes a read lease, which the kernel refuses in that case, and releases it at once. Writes through a memory map
    change none of the file's times until the kernel writes the page back, which may be never; the signature alone
    would accept an outdated copy for good. Returns False on file systems without leases (NFS, FUSE).

    SIGIO must be ignored: the kernel sends it if another process opens the file for writing between the two calls.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _set_modified_at(fd: int, ns: int) -> None:
    """Set the modification time. Some stores have none, and a job can set times that others do not support."""
    try:  # noqa: SIM105 - suppress() would cost 0.5 us a file
        os.utime(fd, ns=(ns, ns))
    except (OSError, OverflowError):
        pass


def _open(open_file: Callable[[str], OpenFile], path: str) -> OpenFile | TransferResult:
    try:
        return open_file(decode_to_os_path(path))
    except PathRefused as refused:
        return TransferResult("vanished" if refused.reason == "in_place" else refused.reason, refused.detail)
    except (FileNotFoundError, NotADirectoryError):
        return TransferResult("vanished")
    except OSError as error:
        return TransferResult(
            "unreadable" if isinstance(error, PermissionError) else "source_error", error.strerror or ""
        )


def decode_to_os_path(path: str) -> str:
    """Decode an encoded path to a path in main, in the form that functions of `os` accept."""
    return os.fsdecode(decode_path(path)) if "%" in path else path
