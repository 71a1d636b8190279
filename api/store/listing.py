"""Lists a directory as an object store lists keys: files by path, in the order of the paths' bytes, lazily.

Directories are unordered, so all names of a folder are read before its first file is yielded. A file is only stat'ed
when the caller consumes it, and folders that sort before `after` are not read. Paths that are too long for a key cannot
be artifacts: they are not listed, and their folders are not read, so the depth of a tree costs nothing.
"""

import bisect
import itertools
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from api.store.descriptors import ABSENT, DirectoryStack, key_name
from api.store.posix_errors import DENIED, store_error, translate_errors
from api.store.store import Item, OnRead, OnUnreadable
from artifacts.names import MAX_KEY_BYTES

_CHUNK_ENTRIES = 10_000  # between two calls of `on_read`, which may stop the listing
_MAX_UTF8_BYTES = 4  # of one character


class ListOptions(NamedTuple):
    """The arguments of Store.list for one folder."""

    prefix: str
    recursive: bool
    on_read: OnRead
    on_unreadable: OnUnreadable | None


class _Folder(NamedTuple):
    """A folder that is being listed: its path, and its names that have not been listed yet, in descending order.

    `names`: as in keys; a folder's name ends with a slash. `raw`: the operating system's name, if it differs, by name.
    `max_name_bytes`: the length of the longest name that results in a valid key.
    """

    path: str
    names: list[str]
    raw: dict[str, str]
    max_name_bytes: int

    def pop(self) -> tuple[str, str]:
        name = self.names.pop()
        return name, self.raw.get(name) or name.removesuffix("/")

    def is_too_long(self, name: str) -> bool:
        if len(name) * _MAX_UTF8_BYTES < self.max_name_bytes:
            return False
        return len(name.encode()) + name.endswith("/") > self.max_name_bytes


def ignore_read(_: int) -> None:
    """Do nothing: the `on_read` of callers that do not count entries."""


def list_folder(top: int, after: str, options: ListOptions) -> Iterator[Item]:
    """Yield the files below the open directory `top`, whose key is `options.prefix`. Raises StoreError."""
    try:
        stack = DirectoryStack(top)
    except OSError as error:
        _report(options, "", error)
        return
    try:
        yield from _walk(stack, after, options)
    finally:
        stack.close()


def _walk(stack: DirectoryStack, after: str, options: ListOptions) -> Iterator[Item]:
    folders = [_read_folder(stack.fd, "", after, options)]
    while folders:
        folder = folders[-1]
        if not folder.names:
            with translate_errors("list", options.prefix + folder.path):
                folders.pop()
                while folders and not stack.leave():
                    folders.pop()
            continue
        name, raw = folder.pop()
        path = folder.path + name
        if folder.is_too_long(name):
            continue
        if not name.endswith("/"):
            item = _stat_file(stack.fd, raw, folder, path, options)
            if item is not None:
                yield item
        elif not options.recursive:
            yield Item(name, None, None, None)
        elif _enter(stack, raw, path, options):
            rest = after[len(path) :] if after.startswith(path) else ""
            folders.append(_read_folder(stack.fd, path, rest, options))


def _read_folder(directory: int, path: str, after: str, options: ListOptions) -> _Folder:
    names: list[str] = []
    encoded: list[tuple[str, str]] = []
    with translate_errors("list", options.prefix + path), os.scandir(directory) as entries:
        while chunk := list(itertools.islice(entries, _CHUNK_ENTRIES)):
            for entry in chunk:
                raw = entry.name
                name = key_name(raw)
                slash = "/" if entry.is_dir(follow_symlinks=False) else ""
                if name is raw:
                    names.append(raw + slash)
                else:
                    encoded.append((raw, name + slash))
            options.on_read(len(chunk))
    raw_names = _add_encoded(names, encoded) if encoded else {}
    names.sort(reverse=True)  # the order of code points is the order of UTF-8 bytes
    if after:
        del names[_count_after(names, after, options.recursive) :]
    return _Folder(path, names, raw_names, MAX_KEY_BYTES - len((options.prefix + path).encode()))


def _add_encoded(names: list[str], encoded: list[tuple[str, str]]) -> dict[str, str]:
    """Add the encoded names, unless another file literally has that name. Returns the raw names by encoded name."""
    literal = {name.removesuffix("/") for name in names}
    raw_names = {name: raw for raw, name in encoded if name.removesuffix("/") not in literal}
    names.extend(raw_names)
    return raw_names


def _count_after(names: list[str], after: str, recursive: bool) -> int:
    """Return the number of names to list, in descending order: those after `after`, and a folder that contains it."""
    count = bisect.bisect_left(names, True, key=lambda name: name <= after)
    contains = recursive and count < len(names) and names[count].endswith("/") and after.startswith(names[count])
    return count + contains


def _stat_file(directory: int, raw: str, folder: _Folder, path: str, options: ListOptions) -> Item | None:
    """Return the file as an item, or None if it no longer exists, is not a regular file or may not be read."""
    try:
        status = os.stat(raw, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        _report(options, folder.path, error)
        folder.names.clear()  # nothing in a folder without the execute permission can be read
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return Item(path, status.st_size, status.st_mtime, status.st_ctime)


def _enter(stack: DirectoryStack, raw: str, path: str, options: ListOptions) -> bool:
    """Enter a folder. Returns False if it no longer exists, has been replaced by a link, or may not be read."""
    try:
        stack.enter(raw)
    except OSError as error:
        if error.errno not in ABSENT:
            _report(options, path, error)
        return False
    return True


def _report(options: ListOptions, path: str, error: OSError) -> None:
    """Pass a folder that may not be read to `on_unreadable` if that is set; otherwise raise StoreError."""
    blocked = store_error("list", options.prefix + path, error)
    if error.errno not in DENIED or options.on_unreadable is None:
        raise blocked from error
    options.on_unreadable(blocked)
