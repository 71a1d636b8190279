"""Removes a job folder from a directory: bottom up and never outside the folder, even if others write there.

Links are unlinked, and mount points are not crossed. A file that cannot be removed does not stop the removal of the
others, but the files that are removed last then stay. The cost is linear in the number of entries, at any depth: very
deep folders are moved to the top first, so that memory does not grow with the depth either.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from api.store.descriptors import (
    ABSENT,
    DIRECTORY_FLAGS,
    PATH_DIRECTORY_FLAGS,
    DirectoryStack,
    key_name,
    mount_id,
    open_below,
)
from api.store.posix_errors import DENIED, store_error
from api.store.store import RemovedFiles, StoreBlocked
from artifacts.errors import StoreError

_MAX_PASSES = 5  # others may be writing to the folder
_MAX_FAILURES = 100  # each may take as long as the store's timeout
_MAX_DEPTH = 1000  # deeper folders are moved to the top
_MAX_PATH_PARTS = 64  # of a path in an error; the tree may be deeper
_FATAL = frozenset({errno.ENOTCONN, errno.ESTALE, errno.EROFS})  # every other file would fail in the same way
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)

# Files that are removed later, as a tree: a folder has the names in it, a file has none.
_Exclusions = Mapping[str, "_Exclusions"]


def remove_folder(parent: int, name: str, prefix: str, last: Sequence[str]) -> RemovedFiles:
    """Remove the folder `name`, whose key is `prefix`, from an open directory. Raises StoreError or OSError."""
    try:
        top = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in ABSENT:
            _unlink_link(parent, name)
        elif error.errno not in DENIED or not _remove_directory(parent, name):  # a closed folder may be empty
            raise
        return RemovedFiles(0, 0)
    try:
        removal = _TreeRemoval(top, prefix)
        removal.empty(_exclusion_tree(last))
        for path in last:
            _remove_file(top, prefix, path)
        for _ in range(_MAX_PASSES):
            removal.empty({})
            if _remove_directory(parent, name):
                return RemovedFiles(removal.files, removal.bytes)
    finally:
        os.close(top)
    raise StoreBlocked("remove", prefix, OSError(errno.ENOTEMPTY, "other processes keep writing to it"))


class _TreeRemoval:
    """Empties one folder, counts the removed files, and remembers the worst error."""

    def __init__(self, top: int, prefix: str) -> None:
        self.files = self.bytes = 0
        self._top, self._prefix, self._mount = top, prefix, mount_id(top)
        self._stack: DirectoryStack
        self._error: StoreError | None = None
        self._retryable: StoreError | None = None
        self._failure_count = 0

    def empty(self, excluded: _Exclusions) -> None:
        """Remove everything except the excluded files and their folders. Raises StoreError if something stays."""
        for _ in range(_MAX_PASSES):
            self._error = self._retryable = None
            self._stack = DirectoryStack(self._top)
            try:
                self._walk(excluded)
            finally:
                self._stack.close()
            error = self._worst_error()
            if error is None or error is not self._retryable:
                break
        if error:
            raise error from error.cause

    def _walk(self, excluded: _Exclusions) -> None:
        folders = [(self._unlink_files(excluded), excluded)]
        while folders:
            subfolders, excluded = folders[-1]
            if subfolders:
                name = subfolders.pop()
                if len(folders) > _MAX_DEPTH and (moved := self._move_to_top(name)):
                    folders[0][0].append(moved)
                elif self._enter(name):
                    inner = excluded.get(key_name(name), {}) if excluded else excluded
                    folders.append((self._unlink_files(inner), inner))
                continue
            folders.pop()
            while folders:
                name = self._stack.names[-1]
                if self._stack.leave():
                    self._remove_emptied(name, excluded)
                    break
                excluded = folders.pop()[1]

    def _move_to_top(self, name: str) -> str:
        """Move a subdirectory to the top. Returns its new name, or "" if it cannot be moved."""
        moved = secrets.token_hex(16)
        try:
            os.rename(name, moved, src_dir_fd=self._stack.fd, dst_dir_fd=self._top)
        except OSError:
            return ""
        return moved

    def _unlink_files(self, excluded: _Exclusions) -> list[str]:
        """Remove the files of the current directory. Returns its subdirectories."""
        folders: list[str] = []
        try:
            with os.scandir(self._stack.fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif not excluded or excluded.get(key_name(entry.name)) != {}:
                        self._unlink(entry.name)
        except OSError as error:
            self._add_error("", error)
        return folders

    def _unlink(self, name: str) -> None:
        directory = self._stack.fd
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            os.unlink(name, dir_fd=directory)
        except OSError as error:
            self._add_error(name, error)
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
        self._add_error("", OSError(errno.EBUSY, "a file system is mounted there"))
        self._stack.leave()
        return False

    def _remove_unreadable(self, name: str, cause: OSError) -> None:
        """Remove a directory that cannot be opened: it may be empty."""
        try:
            os.rmdir(name, dir_fd=self._stack.fd)
        except OSError:
            self._add_error(name, cause)

    def _remove_emptied(self, name: str, excluded: _Exclusions) -> None:
        if excluded:
            return
        try:
            os.rmdir(name, dir_fd=self._stack.fd)
        except OSError as error:
            if error.errno in _NOT_EMPTY:
                self._add_retryable(name, error)
            else:
                self._add_error(name, error)

    def _add_error(self, name: str, error: OSError) -> None:
        """Record an error. Ignore a file that no longer exists; retry one that has become something else.

        A failure of the store takes precedence over files that their owners closed.
        """
        if error.errno == errno.ENOENT:
            return
        if error.errno == errno.EISDIR or error.errno in ABSENT:
            self._add_retryable(name, error)
            return
        if error.errno in DENIED:
            self._error = self._error or store_error("remove", self._path_of(name), error)
            return
        self._failure_count += 1
        if error.errno in _FATAL or self._failure_count > _MAX_FAILURES:
            raise store_error("remove", self._path_of(name), error) from error
        if self._error is None or isinstance(self._error, StoreBlocked):
            self._error = store_error("remove", self._path_of(name), error)

    def _worst_error(self) -> StoreError | None:
        return self._error or self._retryable

    def _add_retryable(self, name: str, error: OSError) -> None:
        self._retryable = self._retryable or StoreBlocked("remove", self._path_of(name), error)

    def _path_of(self, name: str) -> str:
        names = self._stack.names[:_MAX_PATH_PARTS]
        if len(self._stack.names) > _MAX_PATH_PARTS:
            names.append("...")
        return self._prefix + "/".join(map(key_name, [*names, name] if name else names))


def _exclusion_tree(paths: Iterable[str]) -> _Exclusions:
    tree: dict[str, object] = {}
    for path in paths:
        node = tree
        for part in path.split("/"):
            node = cast("dict[str, object]", node.setdefault(part, {}))
    return cast("_Exclusions", tree)


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
            raise store_error("remove", prefix + path, error) from error


def _unlink_link(parent: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
