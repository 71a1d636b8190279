"""Looking at the artifacts folder: which files there are now, and what cannot be told.

The scan is the truth; events are hints. It reads names and stats only, streams each folder, and ends link loops.
Its memory is bounded: about 210 bytes for a file (name, stamp, table), for at most as many entries as it is told.
"""

import os
import stat
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from artifacts.names import MAX_NAME_BYTES, RESERVED, encode_path, path_problem
from artifacts.report import MAX_PATHS, Skipped
from sidecar.globs import Globs
from sidecar.source import Refused, Source
from sidecar.stamp import Stamp, stamp_of

MAX_DEPTH = 100
_Chain = tuple["_Chain", int, int] | None  # the folders a path leads through: (outer chain, device, inode)


@dataclass
class Scan:
    """What one look found. Paths are relative and encoded.

    `exists`: there is an artifacts folder, and `folder` is its (device, inode). `linked`: files reached by a link.
    `in_place`: path in the job folder -> size, of what already lies there. `unsure`: paths (of files, or of folders
    and all below them) about which nothing can be said, "" being everything: their copies are kept.
    `truncated`: there was more than may be looked at.
    """

    exists: bool = False
    folder: tuple[int, int] = (0, 0)
    files: dict[str, Stamp] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    in_place: dict[str, int] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    truncated: bool = False
    seconds: float = 0.0


class _Folder(NamedTuple):
    """A folder still to be listed: its raw path, and the folders that lead to it."""

    path: str
    chain: _Chain
    depth: int


def add_skipped(skipped: dict[str, Skipped], reason: str, path: str, size: int = 0, detail: str = "") -> None:
    """Count one more file that is left out for `reason`."""
    row = skipped.setdefault(reason, Skipped())
    row.files += 1
    row.bytes += size
    row.detail = row.detail or detail
    if len(row.paths) < MAX_PATHS:
        row.paths.append(path or ".")


def merge_skipped(into: Skipped, row: Skipped) -> None:
    """Add one row of left-out files to another."""
    into.files += row.files
    into.bytes += row.bytes
    into.detail = into.detail or row.detail
    into.paths += row.paths[: MAX_PATHS - len(into.paths)]


def scan_source(source: Source, globs: Globs, prefix_bytes: int, most: int) -> Scan:
    """Look at everything in the artifacts folder, at most `most` entries of it.

    `prefix_bytes`: the length of an object's key up to the artifact's path. Raises nothing for what it cannot read.
    """
    started = time.perf_counter()
    walk = _Walk(source, globs, prefix_bytes, most)
    walk.run()
    walk.scan.seconds = time.perf_counter() - started
    return walk.scan


class _Walk:
    """One scan under way."""

    def __init__(self, source: Source, globs: Globs, prefix_bytes: int, most: int) -> None:
        self._source, self._globs, self._prefix_bytes = source, globs, prefix_bytes
        self._left = most
        self._hides = bool(source.view.hidden_paths)
        self._real_path = ""  # in main, of the folder that is being listed
        self._todo = [_Folder("", None, 0)]
        self.scan = Scan()

    def run(self) -> None:
        while self._todo and not self.scan.truncated:
            folder = self._todo.pop()
            try:
                fd, real_path = self._source.open_folder(folder.path)
            except (Refused, OSError) as error:
                if folder.path or not self._is_missing(error):
                    self._cannot(folder.path, error)
                continue
            try:
                self._list(folder, fd, real_path)
            except OSError as error:
                self._cannot(folder.path, error)
            finally:
                os.close(fd)

    def _list(self, folder: _Folder, fd: int, real_path: str) -> None:
        found = os.fstat(fd)
        if folder.depth > MAX_DEPTH or _leads_through(folder.chain, found):
            self._skip("too_deep" if folder.depth > MAX_DEPTH else "link_loop", encode_path(folder.path))
            return
        if not folder.path:
            self.scan.exists, self.scan.folder = True, (found.st_dev, found.st_ino)
        own = self._source.path_in_place(real_path)
        if own is not None and own.split("/")[0] in RESERVED:
            return
        self._real_path = real_path
        chain = (folder.chain, found.st_dev, found.st_ino)
        prefix = f"{folder.path}/" if folder.path else ""
        with os.scandir(fd) as entries:
            for entry in entries:
                self._look(entry, _Folder(prefix + entry.name, chain, folder.depth + 1), own)
                self._left -= 1
                if self._left <= 0:
                    self.scan.truncated = True
                    return

    def _look(self, entry: os.DirEntry[str], place: _Folder, own: str | None) -> None:
        try:
            if self._hides and not self._source.view.sees(f"{self._real_path}/{entry.name}"):
                raise Refused("outside_volumes", f"{self._real_path}/{entry.name}")
            if entry.is_dir(follow_symlinks=False):
                self._todo.append(place)
            elif entry.is_symlink():
                self._follow(place)
            else:
                self._add(place.path, entry.stat(follow_symlinks=False), own if own is None else f"{own}/{entry.name}")
        except (Refused, OSError) as error:
            self._cannot(place.path, error)

    def _follow(self, place: _Folder) -> None:
        try:
            found, real_path = self._source.locate(place.path)
        except (FileNotFoundError, NotADirectoryError):
            self._skip("broken_link", encode_path(place.path))
            return
        if stat.S_ISDIR(found.st_mode):
            self._todo.append(place)
        elif self._add(place.path, found, self._source.path_in_place(real_path)):
            self.scan.linked.add(encode_path(place.path))

    def _add(self, path: str, found: os.stat_result, own: str | None) -> bool:
        """Enter what was found; tell whether it is a file to copy."""
        encoded = encode_path(path)
        if not self._globs.all and not self._globs.admits(path):
            self._skip("excluded", encoded, found.st_size)
        elif not stat.S_ISREG(found.st_mode):
            self._skip("special_file", encoded)
        elif self._is_too_long(encoded):
            self._skip("invalid_name", encoded, found.st_size)
        elif own is not None:
            place = own.lstrip("/")
            if place.split("/", 1)[0] not in RESERVED:
                self.scan.in_place[place] = found.st_size
        else:
            self.scan.files[encoded] = stamp_of(found)
            return True
        return False

    def _is_too_long(self, encoded: str) -> bool:
        if len(encoded) <= MAX_NAME_BYTES and encoded.isascii():
            return False
        return path_problem(encoded, self._prefix_bytes) is not None

    def _is_missing(self, error: Refused | OSError) -> bool:
        """Whether there is just no artifacts folder (yet, or any more): the folder it belongs in has none."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            return False
        try:
            found = self._source.lstat()
        except FileNotFoundError:
            return self._source.has_parent()
        except OSError:
            return False
        if stat.S_ISLNK(found.st_mode):
            self._skip("broken_link", "")
        else:
            self._skip("not_a_folder", "")
        return True

    def _cannot(self, path: str, error: Refused | OSError) -> None:
        """What vanished meanwhile is a removal and needs no word; of all else the copies are kept."""
        if isinstance(error, FileNotFoundError | NotADirectoryError) and path:
            return
        encoded = encode_path(path)
        if path and not self._globs.admits(path):
            self._skip("excluded", encoded)
            return
        self.scan.unsure.add(encoded)
        if isinstance(error, Refused):
            self._skip(error.reason, encoded, detail=error.detail)
        else:
            reason = "unreadable" if isinstance(error, PermissionError) else "source_error"
            self._skip(reason, encoded, detail=error.strerror or "")

    def _skip(self, reason: str, path: str, size: int = 0, detail: str = "") -> None:
        add_skipped(self.scan.skipped, reason, path, size, detail)


def _leads_through(chain: _Chain, found: os.stat_result) -> bool:
    while chain:
        chain, device, inode = chain
        if (device, inode) == (found.st_dev, found.st_ino):
            return True
    return False
