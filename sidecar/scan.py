"""Scans the artifacts folder: finds its files, and the paths that cannot be examined.

Syncs rely on scans alone; file events only trigger them. A scan reads names and stats, streams each folder, and stops
at link loops. Its memory is bounded: about 210 bytes per file, and at most `max_entries` entries.
"""

import os
import stat
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from artifacts.names import MAX_NAME_BYTES, RESERVED, encode_path, path_problem
from artifacts.report import MAX_PATHS, Skipped
from sidecar.file_signature import FileSignature, signature_of
from sidecar.globs import Globs
from sidecar.source import PathRefused, Source

MAX_DEPTH = 100
_Ancestors = tuple["_Ancestors", int, int] | None  # the folders above: (outer ancestors, device, inode)


@dataclass
class Scan:
    """The result of one scan. Paths are relative and encoded.

    `exists`: there is an artifacts folder; `folder_id` is its (device, inode). `linked_files`: files reached by a
    link. `in_place`: path in the job folder -> size, of files that are already there. `uncertain`: paths of files
    and folders that could not be examined ("": the whole folder); copies at or below these paths are retained.
    `is_truncated`: there were more entries than the scan may read.
    """

    exists: bool = False
    folder_id: tuple[int, int] = (0, 0)
    files: dict[str, FileSignature] = field(default_factory=dict)
    linked_files: set[str] = field(default_factory=set)
    in_place: dict[str, int] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    is_truncated: bool = False
    duration_seconds: float = 0.0


class _Entry(NamedTuple):
    """An entry of a folder: its raw path, and the folders above it."""

    path: str
    ancestors: _Ancestors
    depth: int


def add_skipped(skipped: dict[str, Skipped], reason: str, path: str, size: int = 0, detail: str = "") -> None:
    """Count one more file that is not collected for `reason`."""
    row = skipped.setdefault(reason, Skipped())
    row.files += 1
    row.bytes += size
    row.detail = row.detail or detail
    if len(row.paths) < MAX_PATHS:
        row.paths.append(path or ".")


def merge_skipped(target: Skipped, row: Skipped) -> None:
    """Add the counts and paths of `row` to `target`."""
    target.files += row.files
    target.bytes += row.bytes
    target.detail = target.detail or row.detail
    target.paths += row.paths[: MAX_PATHS - len(target.paths)]


def scan_source(source: Source, globs: Globs, prefix_bytes: int, max_entries: int) -> Scan:
    """Scan the artifacts folder, at most `max_entries` entries. Errors are recorded in the result, not raised.

    `prefix_bytes` is the length of an object's key up to the artifact's path.
    """
    started = time.perf_counter()
    scanner = _Scanner(source, globs, prefix_bytes, max_entries)
    scanner.run()
    scanner.scan.duration_seconds = time.perf_counter() - started
    return scanner.scan


class _Scanner:
    """The state of one running scan."""

    def __init__(self, source: Source, globs: Globs, prefix_bytes: int, max_entries: int) -> None:
        self._source, self._globs, self._prefix_bytes = source, globs, prefix_bytes
        self._remaining_entries = max_entries
        self._has_hidden_paths = bool(source.view.hidden_paths)
        self._real_path = ""  # the path in main of the folder that is being listed
        self._folders = [_Entry("", None, 0)]  # still to be listed
        self.scan = Scan()

    def run(self) -> None:
        while self._folders and not self.scan.is_truncated:
            folder = self._folders.pop()
            try:
                fd, real_path = self._source.open_folder(folder.path)
            except (PathRefused, OSError) as error:
                if folder.path or not self._has_no_artifacts(error):
                    self._record_error(folder.path, error)
                continue
            try:
                self._list_folder(folder, fd, real_path)
            except OSError as error:
                self._record_error(folder.path, error)
            finally:
                os.close(fd)

    def _list_folder(self, folder: _Entry, fd: int, real_path: str) -> None:
        status = os.fstat(fd)
        if folder.depth > MAX_DEPTH or _is_ancestor(status, folder.ancestors):
            self._skip("too_deep" if folder.depth > MAX_DEPTH else "link_loop", encode_path(folder.path))
            return
        if not folder.path:
            self.scan.exists, self.scan.folder_id = True, (status.st_dev, status.st_ino)
        job_folder_path = self._source.path_in_job_folder(real_path)
        if job_folder_path is not None and job_folder_path.split("/")[0] in RESERVED:
            return
        self._real_path = real_path
        ancestors = (folder.ancestors, status.st_dev, status.st_ino)
        prefix = f"{folder.path}/" if folder.path else ""
        with os.scandir(fd) as dir_entries:
            for dir_entry in dir_entries:
                entry = _Entry(prefix + dir_entry.name, ancestors, folder.depth + 1)
                self._examine(dir_entry, entry, job_folder_path)
                self._remaining_entries -= 1
                if self._remaining_entries <= 0:
                    self.scan.is_truncated = True
                    return

    def _examine(self, dir_entry: os.DirEntry[str], entry: _Entry, folder_in_job_folder: str | None) -> None:
        try:
            if self._has_hidden_paths and not self._source.view.is_visible(f"{self._real_path}/{dir_entry.name}"):
                raise PathRefused("outside_volumes", f"{self._real_path}/{dir_entry.name}")
            if dir_entry.is_dir(follow_symlinks=False):
                self._folders.append(entry)
            elif dir_entry.is_symlink():
                self._follow_link(entry)
            else:
                status = dir_entry.stat(follow_symlinks=False)
                in_job_folder = None if folder_in_job_folder is None else f"{folder_in_job_folder}/{dir_entry.name}"
                self._add_file(entry.path, status, in_job_folder)
        except (PathRefused, OSError) as error:
            self._record_error(entry.path, error)

    def _follow_link(self, entry: _Entry) -> None:
        try:
            status, real_path = self._source.stat_target(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            self._skip("broken_link", encode_path(entry.path))
            return
        if stat.S_ISDIR(status.st_mode):
            self._folders.append(entry)
        elif self._add_file(entry.path, status, self._source.path_in_job_folder(real_path)):
            self.scan.linked_files.add(encode_path(entry.path))

    def _add_file(self, path: str, status: os.stat_result, job_folder_path: str | None) -> bool:
        """Record a file, or why it is not collected. Returns whether it is to be copied."""
        encoded = encode_path(path)
        if not self._globs.is_empty and not self._globs.is_included(path):
            self._skip("excluded", encoded, status.st_size)
        elif not stat.S_ISREG(status.st_mode):
            self._skip("special_file", encoded)
        elif self._is_too_long(encoded):
            self._skip("invalid_name", encoded, status.st_size)
        elif job_folder_path is not None:
            in_place = job_folder_path.lstrip("/")
            if in_place.split("/", 1)[0] not in RESERVED:
                self.scan.in_place[in_place] = status.st_size
        else:
            self.scan.files[encoded] = signature_of(status)
            return True
        return False

    def _is_too_long(self, encoded: str) -> bool:
        if len(encoded) <= MAX_NAME_BYTES and encoded.isascii():
            return False
        return path_problem(encoded, self._prefix_bytes) is not None

    def _has_no_artifacts(self, error: PathRefused | OSError) -> bool:
        """Whether the artifacts folder does not exist although its parent does, which is not an error.

        A broken link or a file at its path is recorded as skipped.
        """
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            return False
        try:
            status = self._source.lstat_artifacts()
        except FileNotFoundError:
            return self._source.has_parent_folder()
        except OSError:
            return False
        if stat.S_ISLNK(status.st_mode):
            self._skip("broken_link", "")
        else:
            self._skip("not_a_folder", "")
        return True

    def _record_error(self, path: str, error: PathRefused | OSError) -> None:
        """Record a path as uncertain. A path that vanished during the scan counts as removed instead."""
        if isinstance(error, FileNotFoundError | NotADirectoryError) and path:
            return
        encoded = encode_path(path)
        if path and not self._globs.is_included(path):
            self._skip("excluded", encoded)
            return
        self.scan.uncertain.add(encoded)
        if isinstance(error, PathRefused):
            self._skip(error.reason, encoded, detail=error.detail)
        else:
            reason = "unreadable" if isinstance(error, PermissionError) else "source_error"
            self._skip(reason, encoded, detail=error.strerror or "")

    def _skip(self, reason: str, path: str, size: int = 0, detail: str = "") -> None:
        add_skipped(self.scan.skipped, reason, path, size, detail)


def _is_ancestor(status: os.stat_result, ancestors: _Ancestors) -> bool:
    while ancestors:
        ancestors, device, inode = ancestors
        if (device, inode) == (status.st_dev, status.st_ino):
            return True
    return False
