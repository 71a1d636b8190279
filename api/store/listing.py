"""Lists a directory as an object store lists keys: files by path, in the order of the paths' bytes, lazily.

Directories are unordered, so all names of a folder are read before its first file is yielded. A file is only stat'ed
when the caller consumes it, and folders that sort before `after` are not read.
"""

import bisect
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from api.store.descriptors import ABSENT, DirectoryStack, key_name
from api.store.store import Item, OnRead
from artifacts.errors import StoreError


class _Names(NamedTuple):
    """The names of a folder that have not been listed yet, in descending order.

    `names`: as in keys; a folder's name ends with a slash. `raw`: the operating system's name, if it differs, by name.
    """

    names: list[str]
    raw: dict[str, str]

    def pop(self) -> tuple[str, str]:
        name = self.names.pop()
        return name, self.raw.get(name) or name.removesuffix("/")


def ignore_read(_: int) -> None:
    """Do nothing: the `on_read` of callers that do not count entries."""


def list_folder(top: int, prefix: str, after: str, recursive: bool, on_read: OnRead) -> Iterator[Item]:
    """Yield the files below the open directory `top`, whose key is `prefix`. Raises StoreError."""
    stack = DirectoryStack(top)
    try:
        yield from _walk(stack, prefix, after, recursive, on_read)
    except OSError as error:
        raise StoreError("list", prefix + _path_of(stack), error) from error
    finally:
        stack.close()


def _walk(stack: DirectoryStack, prefix: str, after: str, recursive: bool, on_read: OnRead) -> Iterator[Item]:
    folders = [("", _read_names(stack.fd, after, recursive, on_read))]
    while folders:
        path, names = folders[-1]
        if not names.names:
            folders.pop()
            while folders and not stack.leave():
                folders.pop()
            continue
        name, raw = names.pop()
        if not name.endswith("/"):
            item = _stat_file(stack.fd, raw, path + name)
            if item is not None:
                yield item
        elif not recursive:
            yield Item(name, None, None, None)
        elif _enter(stack, raw, prefix):
            path += name
            rest = after[len(path) :] if after.startswith(path) else ""
            folders.append((path, _read_names(stack.fd, rest, recursive, on_read)))


def _read_names(directory: int, after: str, recursive: bool, on_read: OnRead) -> _Names:
    names: list[str] = []
    encoded: list[tuple[str, str]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            raw = entry.name
            name = key_name(raw)
            slash = "/" if entry.is_dir(follow_symlinks=False) else ""
            if name is raw:
                names.append(raw + slash)
            else:
                encoded.append((raw, name + slash))
    on_read(len(names) + len(encoded))
    raw_names = _add_encoded(names, encoded) if encoded else {}
    names.sort(reverse=True)  # the order of code points is the order of UTF-8 bytes
    if after:
        del names[_count_after(names, after, recursive) :]
    return _Names(names, raw_names)


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


def _stat_file(directory: int, raw: str, path: str) -> Item | None:
    """Return the file as an item, or None if it no longer exists or is not a regular file."""
    try:
        status = os.stat(raw, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise
    if not stat.S_ISREG(status.st_mode):
        return None
    return Item(path, status.st_size, status.st_mtime, status.st_ctime)


def _enter(stack: DirectoryStack, raw: str, prefix: str) -> bool:
    """Enter a folder. Returns False if it no longer exists, or has been replaced by a link."""
    try:
        stack.enter(raw)
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise StoreError("list", f"{prefix}{_path_of(stack)}{key_name(raw)}/", error) from error
    return True


def _path_of(stack: DirectoryStack) -> str:
    return "".join(f"{key_name(name)}/" for name in stack.names)
