"""Scans the artifacts folder: finds its files, and the paths that cannot be examined.

Syncs rely on scans alone; file events only trigger them. A scan reads names and stats, streams each folder, and stops
at link loops. It visits the folder's own tree first, level by level, and links to folders afterwards, so that neither
deep folders nor large linked ones hide the job's own files. Its memory is bounded: it reads at most `max_entries`
entries and stores at most PATH_BYTES_PER_ENTRY bytes of paths for each of them, and no path longer than a key.
"""

import math
import os
import stat
import time
from collections import deque
from typing import NamedTuple

from artifacts.names import MAX_NAME_BYTES, RESERVED, encode_path, path_problem
from sidecar.file_signature import signature_of
from sidecar.scan import Scan, ScanOptions, add_skipped
from sidecar.source import PathRefused, Source
from sidecar.sparse import DataCounter, has_holes

MAX_DEPTH = 100
MAX_LINK_SECONDS = 5.0  # for links to folders, which may lead to a slow mount
PATH_BYTES_PER_ENTRY = 320
_ENTRIES_PER_CHECK = 64  # of the time and of the bytes


class _Folder(NamedTuple):
    """A folder that has been listed, by its name in `parent`: the paths of all folders could need much memory."""

    parent: "_Folder | None"
    name: str
    depth: int
    device: int
    inode: int

    def path(self) -> str:
        """Return the path relative to the artifacts folder."""
        names, folder = [], self
        while folder.parent:
            names.append(folder.name)
            folder = folder.parent
        return "/".join(reversed(names))

    def has_ancestor(self, device: int, inode: int) -> bool:
        """Whether this is the folder with that device and inode, or is in it."""
        folder: _Folder | None = self
        while folder:
            if (folder.device, folder.inode) == (device, inode):
                return True
            folder = folder.parent
        return False


def scan_source(source: Source, options: ScanOptions, max_seconds: float = math.inf) -> Scan:
    """Scan the artifacts folder for at most `max_seconds`. Errors are recorded in the result, not raised."""
    started = time.monotonic()
    scanner = _Scanner(source, options, started + max_seconds)
    scanner.run()
    scanner.scan.duration_seconds = time.monotonic() - started
    return scanner.scan


class _Scanner:
    """The state of one running scan."""

    def __init__(self, source: Source, options: ScanOptions, deadline: float) -> None:
        self._source, self._options, self._globs = source, options, options.globs
        self._remaining_entries = options.max_entries
        self._remaining_bytes = options.max_entries * PATH_BYTES_PER_ENTRY
        self._data_counter = DataCounter(source.open_file)
        self._is_linked = False  # whether the folder that is being listed was reached by a link
        self._deadline = deadline  # monotonic seconds
        self._has_stopped = False  # before the end, for lack of entries, bytes or time
        self._has_hidden_paths = bool(source.view.hidden_paths)
        self._pending: deque[tuple[_Folder | None, list[str]]] = deque()  # folders to be listed: (parent, names)
        self._folder_links: list[tuple[str, _Folder]] = []  # links to folders: (path, folder that contains the link)
        self._hard_links: dict[int, str] = {}  # device and inode -> first path in byte order
        # The folder that is being listed, the prefix of its entries, its path in main, and the folders in it
        self._folder = _Folder(None, "", 0, 0, 0)
        self._prefix = self._real_path = ""
        self._subfolders: list[str] = []
        self.scan = Scan()

    def run(self) -> None:
        self._scan_tree(None, "")
        self.scan.is_truncated = self._has_stopped
        if self._folder_links and not self.scan.is_truncated:
            self._scan_folder_links()

    def _scan_folder_links(self) -> None:
        """Scan the folders that links lead to, in order of the links, as far as entries, bytes and time suffice."""
        self._is_linked, self._deadline = True, min(self._deadline, time.monotonic() + MAX_LINK_SECONDS)
        self._folder_links.sort()
        for number, (path, folder) in enumerate(self._folder_links):
            self._scan_tree(folder, path.rpartition("/")[2])
            if self._has_stopped:
                for left_path, _ in self._folder_links[number:]:
                    encoded = encode_path(left_path)
                    self.scan.uncertain.add(encoded)
                    self.scan.linked.add(encoded)
                    self._skip(
                        "link_over_limit", encoded, detail="the scan reached its limit on entries, paths or time"
                    )
                return

    def _scan_tree(self, parent: _Folder | None, name: str) -> None:
        """Scan a folder and the folders in it, level by level."""
        self._pending = deque([(parent, [name])])
        while self._pending:
            parent, names = self._pending.popleft()
            prefix = f"{parent.path()}/" if parent and parent.parent else ""
            for folder_name in names:
                if self._must_stop():
                    return
                self._scan_folder(prefix + folder_name, parent, folder_name)

    def _must_stop(self) -> bool:
        is_exhausted = self._remaining_entries <= 0 or self._remaining_bytes <= 0
        self._has_stopped = self._has_stopped or is_exhausted or time.monotonic() > self._deadline
        return self._has_stopped

    def _scan_folder(self, path: str, parent: _Folder | None, name: str) -> None:
        if parent and self._is_too_long(encode_path(f"{path}/x")):
            self._skip_unless_excluded("invalid_name", path)  # no key could name a file in it
            return
        try:
            fd, self._real_path = self._source.open_folder(path)
        except (PathRefused, OSError) as error:
            if path or not self._has_no_artifacts(error):
                self._record_error(path, error, self._is_linked)
            return
        try:
            self._list_folder(path, parent, name, fd)
        except OSError as error:
            self._record_error(path, error, self._is_linked)
        finally:
            os.close(fd)

    def _list_folder(self, path: str, parent: _Folder | None, name: str, fd: int) -> None:
        status = os.fstat(fd)
        folder = _Folder(parent, name, parent.depth + 1 if parent else 0, status.st_dev, status.st_ino)
        if folder.depth > MAX_DEPTH or (parent and parent.has_ancestor(status.st_dev, status.st_ino)):
            self._skip("too_deep" if folder.depth > MAX_DEPTH else "link_loop", encode_path(path))
            return
        if not parent:
            self.scan.exists, self.scan.folder_id = True, (status.st_dev, status.st_ino)
        job_folder_path = self._source.path_in_job_folder(self._real_path)
        if job_folder_path is not None and job_folder_path.split("/")[0] in RESERVED:
            return
        view = self._source.view
        if self._real_path == view.job_artifacts:
            self._skip_unless_excluded("other_jobs", path)
            self._pending.append((folder, [os.path.basename(view.job_folder)]))
            return
        self._folder, self._prefix, self._subfolders = folder, f"{path}/" if path else "", []
        self._examine_entries(fd, job_folder_path)
        if self._subfolders:
            self._pending.append((folder, self._subfolders))

    def _examine_entries(self, fd: int, job_folder_path: str | None) -> None:
        with os.scandir(fd) as dir_entries:
            for dir_entry in dir_entries:
                self._examine(dir_entry, job_folder_path)
                self._remaining_entries -= 1
                if self._remaining_entries % _ENTRIES_PER_CHECK == 0 and self._must_stop():
                    return

    def _examine(self, dir_entry: os.DirEntry[str], folder_in_job_folder: str | None) -> None:
        path, is_linked = self._prefix + dir_entry.name, self._is_linked
        try:
            if self._has_hidden_paths and not self._source.view.is_visible(f"{self._real_path}/{dir_entry.name}"):
                raise PathRefused("outside_volumes", f"{self._real_path}/{dir_entry.name}")
            if dir_entry.is_dir(follow_symlinks=False):
                self._add_subfolder(dir_entry.name)
            elif dir_entry.is_symlink():
                is_linked = True
                self._follow_link(path, dir_entry.name)
            else:
                status = dir_entry.stat(follow_symlinks=False)
                in_job_folder = None if folder_in_job_folder is None else f"{folder_in_job_folder}/{dir_entry.name}"
                self._add_file(path, status, in_job_folder, is_linked)
        except (PathRefused, OSError) as error:
            self._record_error(path, error, is_linked)

    def _add_subfolder(self, name: str) -> None:
        self._subfolders.append(name)
        self._consume_bytes(name)

    def _follow_link(self, path: str, name: str) -> None:
        if not self._options.follow_links:
            self._skip("link_skipped" if self._globs.is_included(path) else "excluded", encode_path(path))
            return
        try:
            status, real_path = self._source.stat_target(path)
        except (FileNotFoundError, NotADirectoryError):
            self._skip("broken_link", encode_path(path))
            return
        if not stat.S_ISDIR(status.st_mode):
            self._add_file(path, status, self._source.path_in_job_folder(real_path), is_linked=True)
        elif self._is_linked:
            self._add_subfolder(name)
        elif self._globs.is_excluded(path):
            self._skip("excluded", encode_path(path))
        else:
            self._folder_links.append((path, self._folder))
            self._consume_bytes(path)

    def _add_file(self, path: str, status: os.stat_result, job_folder_path: str | None, is_linked: bool) -> None:
        """Record a file, or why it is not collected."""
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
                self._consume_bytes(in_place)
        else:
            self.scan.files[encoded] = signature_of(status)
            self._consume_bytes(encoded)
            if self._options.keep_holes and has_holes(status):
                self._count_data(path, encoded, status)
            if is_linked:
                self.scan.linked.add(encoded)
            elif status.st_nlink > 1:
                self._add_hard_link(encoded, status)

    def _count_data(self, path: str, encoded: str, status: os.stat_result) -> None:
        try:
            size = self._data_counter.count(path, status)
        except (PathRefused, OSError):
            return  # copying the file will report that
        if size is not None:
            self.scan.sparse[encoded] = size

    def _add_hard_link(self, path: str, status: os.stat_result) -> None:
        """Record a name of a file with several names. The first in byte order is the own file."""
        inode = status.st_dev << 64 | status.st_ino
        other = self._hard_links.setdefault(inode, path)
        if other is not path:
            self.scan.linked.add(max(path, other))
            self._hard_links[inode] = min(path, other)

    def _consume_bytes(self, text: str) -> None:
        self._remaining_bytes -= len(text) if text.isascii() else 4 * len(text)  # the most that Python stores

    def _is_too_long(self, encoded: str) -> bool:
        if len(encoded) <= MAX_NAME_BYTES and encoded.isascii():
            return False
        return path_problem(encoded, self._options.prefix_bytes) is not None

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
        self._skip("broken_link" if stat.S_ISLNK(status.st_mode) else "not_a_folder", "")
        return True

    def _record_error(self, path: str, error: PathRefused | OSError, is_linked: bool) -> None:
        """Record a path as uncertain. A path that vanished during the scan counts as removed instead."""
        if isinstance(error, FileNotFoundError | NotADirectoryError) and path:
            return
        encoded = encode_path(path)
        if path and not self._globs.is_included(path):
            self._skip("excluded", encoded)
            return
        if isinstance(error, PathRefused):
            self._skip(error.reason, encoded, detail=error.detail)
            if error.reason == "other_jobs" or (path and error.reason == "link_loop"):
                return  # nothing is uncertain: there is no file to collect
        else:
            reason = "unreadable" if isinstance(error, PermissionError) else "source_error"
            self._skip(reason, encoded, detail=error.strerror or "")
        self.scan.uncertain.add(encoded)
        self._consume_bytes(encoded)
        if is_linked:
            self.scan.linked.add(encoded)

    def _skip_unless_excluded(self, reason: str, path: str) -> None:
        self._skip("excluded" if self._globs.is_excluded(path) else reason, encode_path(path))

    def _skip(self, reason: str, path: str, size: int = 0, detail: str = "") -> None:
        add_skipped(self.scan.skipped, reason, path, size, detail)
