"""Removes a job folder from a directory: bottom up and never outside the folder, even if others write there.

Links are unlinked, and mount points are not crossed. A file that cannot be removed does not stop the removal of the
others, but the files that are removed last then stay.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence

from api.store.descriptors import (
    ABSENT,
    DIRECTORY_FLAGS,
    PATH_DIRECTORY_FLAGS,
    DirectoryStack,
    key_name,
    mount_id,
    open_below,
)
from api.store.store import RemovedFiles
from artifacts.errors import StoreError

_MAX_PASSES = 5  # others may be writing to the folder
_MAX_ERRORS = 100
_FATAL = frozenset({errno.ENOTCONN, errno.ESTALE, errno.EROFS})  # every other file would fail in the same way
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)


def remove_folder(parent: int, name: str, prefix: str, last: Sequence[str]) -> RemovedFiles:
    """Remove the folder `name`, whose key is `prefix`, from an open directory. Raises StoreError or OSError."""
    try:
        top = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        _unlink_link(parent, name)
        return RemovedFiles(0, 0)
    try:
        removal = _TreeRemoval(top, prefix)
        removal.empty(exclude=frozenset(last))
        for path in last:
            _remove_file(top, prefix, path)
        for _ in range(_MAX_PASSES):
            removal.empty(exclude=frozenset())
            if _remove_directory(parent, name):
                return RemovedFiles(removal.files, removal.bytes)
    finally:
        os.close(top)
    raise StoreError("remove", prefix, OSError(errno.ENOTEMPTY, "other processes keep writing to it"))


class _TreeRemoval:
    """Empties one folder, counts the removed files, and collects errors."""

    def __init__(self, top: int, prefix: str) -> None:
        self.files = self.bytes = 0
        self._top, self._prefix, self._mount = top, prefix, mount_id(top)
        self._stack: DirectoryStack
        self._excluded: frozenset[str] = frozenset()
        self._excluded_folders: frozenset[str] = frozenset()
        self._errors: list[tuple[str, OSError]] = []
        self._retryable: list[tuple[str, OSError]] = []

    def empty(self, exclude: frozenset[str]) -> None:
        """Remove everything except the files `exclude` and their folders. Raises StoreError if something stays."""
        self._excluded = exclude
        self._excluded_folders = frozenset(folder for path in exclude for folder in _parent_folders(path))
        for _ in range(_MAX_PASSES):
            self._errors, self._retryable = [], []
            self._stack = DirectoryStack(self._top)
            try:
                self._walk()
            finally:
                self._stack.close()
            if self._errors or not self._retryable:
                break
        for path, error in self._errors or self._retryable:
            raise StoreError("remove", self._prefix + path, error) from error

    def _walk(self) -> None:
        folders = [self._unlink_files()]
        while folders:
            if folders[-1]:
                if self._enter(folders[-1].pop()):
                    folders.append(self._unlink_files())
                continue
            folders.pop()
            while folders:
                name, path = self._stack.names[-1], self._path_of()
                if self._stack.leave():
                    self._remove_emptied(name, path)
                    break
                folders.pop()

    def _unlink_files(self) -> list[str]:
        """Remove the files of the current directory. Returns its subdirectories."""
        folders: list[str] = []
        try:
            with os.scandir(self._stack.fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif self._path_of(entry.name) not in self._excluded:
                        self._unlink(entry.name)
        except OSError as error:
            self._add_error(self._path_of(), error)
        return folders

    def _unlink(self, name: str) -> None:
        directory = self._stack.fd
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            os.unlink(name, dir_fd=directory)
        except OSError as error:
            self._add_error(self._path_of(name), error)
        else:
            if stat.S_ISREG(status.st_mode):
                self.files += 1
                self.bytes += status.st_size

    def _enter(self, name: str) -> bool:
        try:
            self._stack.enter(name)
        except OSError as error:
            self._remove_unreadable(name, error)
            return False
        if mount_id(self._stack.fd) == self._mount:
            return True
        self._add_error(self._path_of(), OSError(errno.EBUSY, "a file system is mounted there"))
        self._stack.leave()
        return False

    def _remove_unreadable(self, name: str, cause: OSError) -> None:
        """Remove a directory that cannot be opened: it may be empty."""
        try:
            os.rmdir(name, dir_fd=self._stack.fd)
        except OSError:
            self._add_error(self._path_of(name), cause)

    def _remove_emptied(self, name: str, path: str) -> None:
        if path in self._excluded_folders:
            return
        try:
            os.rmdir(name, dir_fd=self._stack.fd)
        except OSError as error:
            if error.errno in _NOT_EMPTY:
                self._retryable.append((path, error))
            else:
                self._add_error(path, error)

    def _add_error(self, path: str, error: OSError) -> None:
        """Record an error. Ignore a file that no longer exists; retry one that has become something else."""
        if error.errno in _FATAL or len(self._errors) >= _MAX_ERRORS:
            raise StoreError("remove", self._prefix + path, error) from error
        if error.errno == errno.EISDIR or (error.errno in ABSENT and error.errno != errno.ENOENT):
            self._retryable.append((path, error))
        elif error.errno != errno.ENOENT:
            self._errors.append((path, error))

    def _path_of(self, name: str = "") -> str:
        names = [*self._stack.names, name] if name else self._stack.names
        return "/".join(map(key_name, names))


def _parent_folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _remove_directory(parent: int, name: str) -> bool:
    """Remove an empty directory. Returns False if it is not empty, True if it is gone or replaced by another file."""
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
        with open_below(top, folder, PATH_DIRECTORY_FLAGS) as fd:
            os.unlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno not in (*ABSENT, errno.EISDIR):  # a folder of this name is removed with the rest
            raise StoreError("remove", prefix + path, error) from error


def _unlink_link(parent: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
