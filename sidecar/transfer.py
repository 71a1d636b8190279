"""Bringing one file from the job's volumes into the job folder, and saying what became of it."""

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from artifacts.errors import StoreConflict, StoreError
from artifacts.names import decode_path
from sidecar.copy import Aborted, Copied, Copier, OverBudget, SourceError
from sidecar.lease import is_open_for_writing
from sidecar.source import Opened, OpenFolders, Refused, Source
from sidecar.stamp import Stamp, stamp_of
from sidecar.store import Store

ATTEMPTS = 3  # for a file that changes under the copy


class Outcome(NamedTuple):
    """What became of one file. No `reason`: it was copied, `size` bytes, from what looked like `mark`.

    `reason` is a key of artifacts.report.REASONS, or "vanished" (no longer there, or not to be copied any more).
    """

    reason: str = ""
    detail: str = ""
    mark: Stamp = b""
    size: int = 0
    digest: bytes = b""
    unstable: bool = False


class Transfer:
    """Copies single files for one sync; safe to use from several threads. Never raises for a file's sake."""

    def __init__(self, source: Source, store: Store, copier: Copier, main_runs: bool) -> None:
        self._store, self._main_runs = store, main_runs
        self._folders = OpenFolders(source)
        self._copier = copier

    def copy(self, path: str, planned: int, exists: bool) -> Outcome:
        """Copy the file at the encoded `path`: `planned` bytes are within the limits, `exists`: so is an older copy."""
        opened = _open(self._folders.open_file, path)
        if isinstance(opened, Outcome):
            return opened
        fd, found = opened
        try:
            return self._write(path, fd, found, planned, exists)
        except SourceError as error:
            return Outcome("source_error", error.cause.strerror or "")
        except StoreConflict as error:
            return Outcome("store_conflict", error.cause.strerror or "")
        except StoreError as error:
            return Outcome("store_error", error.cause.strerror or "")
        except OverBudget:
            return Outcome("over_limit")
        except Aborted:
            return Outcome("not_reached")
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let go of the folders; no copy may be under way."""
        self._folders.close()

    def _write(self, path: str, fd: int, found: os.stat_result, planned: int, exists: bool) -> Outcome:
        executable = bool(found.st_mode & stat.S_IXUSR)
        copied, is_read = Copied(planned, b""), False

        def fill(target: int) -> None:
            nonlocal copied, is_read
            if is_read:  # the file changed, or the store cannot rename and has it written twice
                os.lseek(fd, 0, os.SEEK_SET)
            is_read = True
            copied = self._copier.copy(fd, target, max(planned, copied.size))

        mark = stamp_of(found)
        for attempt in range(ATTEMPTS):
            self._store.write(path, fill, executable, exists or attempt > 0)
            after = stamp_of(os.fstat(fd))
            if after == mark:
                unstable = self._main_runs and is_open_for_writing(fd)
                return Outcome("", "", mark, copied.size, copied.digest, unstable)
            before, mark = mark, after
        return Outcome("", "", before, copied.size, copied.digest, unstable=True)


def probe(source: Source, path: str) -> Outcome | None:
    """Why the file at the encoded `path` cannot be copied, found out by opening it; None where it can."""
    opened = _open(source.open_file, path)
    if isinstance(opened, Outcome):
        return opened
    os.close(opened[0])
    return None


def _open(open_file: Callable[[str], Opened], path: str) -> Opened | Outcome:
    try:
        return open_file(raw_path(path))
    except Refused as refused:
        return Outcome("vanished" if refused.reason == "in_place" else refused.reason, refused.detail)
    except (FileNotFoundError, NotADirectoryError):
        return Outcome("vanished")
    except OSError as error:
        return Outcome("unreadable" if isinstance(error, PermissionError) else "source_error", error.strerror or "")


def raw_path(path: str) -> str:
    """The path in main of an encoded path, as os functions take it."""
    return os.fsdecode(decode_path(path)) if "%" in path else path
