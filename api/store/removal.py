"""Removing a job's folder from a directory: bottom up, never out of the folder, whatever others do there meanwhile.

Links are unlinked, mount points are not crossed. What cannot be removed stops nothing else, but keeps what is to go
last.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from api.store.descriptors import ABSENT, FOLDER, PLACE, Descent, mount_of, opened, shown_name
from api.store.store import RemovedFiles
from artifacts.errors import StoreError

_PASSES = 5  # others may be writing there
_MOST_ERRORS = 100
_HOPELESS = frozenset({errno.ENOTCONN, errno.ESTALE, errno.EROFS})  # so it will be with everything else
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


def remove_folder(parent: int, name: str, prefix: str, last: Sequence[str]) -> RemovedFiles:
    """Remove the folder `name`, whose key is `prefix`, from an open folder. Raises StoreError or OSError."""
    try:
        top = os.open(name, FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        _unlink_link(parent, name)
        return RemovedFiles(0, 0)
    try:
        removal = _Removal(top, prefix)
        removal.empty(frozenset(last))
        for path in last:
            _remove_file(top, prefix, path)
        for _ in range(_PASSES):
            removal.empty(frozenset())
            if _remove_itself(parent, name):
                return RemovedFiles(removal.files, removal.bytes)
    finally:
        os.close(top)
    raise StoreError("remove", prefix, OSError(errno.ENOTEMPTY, "others go on writing there"))


class _Removal:
    """What was removed below one folder, and what is in the way."""

    def __init__(self, top: int, prefix: str) -> None:
        self.files = self.bytes = 0
        self._top, self._prefix, self._mount = top, prefix, mount_of(top)
        self._descent: Descent
        self._kept: frozenset[str] = frozenset()
        self._kept_folders: frozenset[str] = frozenset()
        self._refused: list[tuple[str, OSError]] = []
        self._left: list[tuple[str, OSError]] = []

    def empty(self, kept: frozenset[str]) -> None:
        """Remove all but the files `kept` and the folders they lie in. Raises StoreError where not all could go."""
        self._kept = kept
        self._kept_folders = frozenset(folder for path in kept for folder in _folders_above(path))
        for _ in range(_PASSES):
            self._refused, self._left = [], []
            self._descent = Descent(self._top)
            try:
                self._pass()
            finally:
                self._descent.close()
            if self._refused or not self._left:
                break
        for path, error in self._refused or self._left:
            raise StoreError("remove", self._prefix + path, error) from error

    def _pass(self) -> None:
        folders = [self._sweep()]
        while folders:
            if folders[-1]:
                if self._enter(folders[-1].pop()):
                    folders.append(self._sweep())
                continue
            folders.pop()
            while folders:
                name, path = self._descent.names[-1], self._path_of()
                if self._descent.leave():
                    self._remove_emptied(name, path)
                    break
                folders.pop()

    def _sweep(self) -> list[str]:
        """Remove the files of the folder come to; the folders in it."""
        folders: list[str] = []
        try:
            with os.scandir(self._descent.fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif self._path_of(entry.name) not in self._kept:
                        self._unlink(entry.name)
        except OSError as error:
            self._refuse(self._path_of(), error)
        return folders

    def _unlink(self, name: str) -> None:
        folder = self._descent.fd
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            os.unlink(name, dir_fd=folder)
        except OSError as error:
            self._refuse(self._path_of(name), error)
        else:
            if stat.S_ISREG(found.st_mode):
                self.files += 1
                self.bytes += found.st_size

    def _enter(self, name: str) -> bool:
        try:
            self._descent.enter(name)
        except OSError as error:
            self._remove_unread(name, error)
            return False
        if mount_of(self._descent.fd) == self._mount:
            return True
        self._refuse(self._path_of(), OSError(errno.EBUSY, "something is mounted there"))
        self._descent.leave()
        return False

    def _remove_unread(self, name: str, cause: OSError) -> None:
        """Remove a folder that may not be read: it may be empty."""
        try:
            os.rmdir(name, dir_fd=self._descent.fd)
        except OSError:
            self._refuse(self._path_of(name), cause)

    def _remove_emptied(self, name: str, path: str) -> None:
        if path in self._kept_folders:
            return
        try:
            os.rmdir(name, dir_fd=self._descent.fd)
        except OSError as error:
            if error.errno in _NOT_EMPTY:
                self._left.append((path, error))
            else:
                self._refuse(path, error)

    def _refuse(self, path: str, error: OSError) -> None:
        """Note what is in the way. What has gone, or has become something else, is the next pass's business."""
        if error.errno in _HOPELESS or len(self._refused) >= _MOST_ERRORS:
            raise StoreError("remove", self._prefix + path, error) from error
        if error.errno == errno.EISDIR or (error.errno in ABSENT and error.errno != errno.ENOENT):
            self._left.append((path, error))
        elif error.errno != errno.ENOENT:
            self._refused.append((path, error))

    def _path_of(self, name: str = "") -> str:
        names = [*self._descent.names, name] if name else self._descent.names
        return "/".join(shown_name(each) for each in names)


def _folders_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _remove_itself(parent: int, name: str) -> bool:
    """Whether the folder has gone, or something else stands in its place by now."""
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        if error.errno in _NOT_EMPTY:
            return False
        if error.errno not in ABSENT:
            raise
    return True


def _remove_file(top: int, prefix: str, path: str) -> None:
    folder, _, name = path.rpartition("/")
    try:
        with opened(top, folder, PLACE | os.O_DIRECTORY) as fd:
            os.unlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno not in (*ABSENT, errno.EISDIR):  # a folder of that name goes with the rest
            raise StoreError("remove", prefix + path, error) from error


def _unlink_link(parent: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
