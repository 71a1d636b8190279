"""A directory listed as an object store lists: files by their paths, in the order of the paths' bytes, lazily.

A directory has no order, so all names of a folder are read before its first; but only what is asked for is looked at,
and folders that `after` has passed are not read at all.
"""

import bisect
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from api.store.descriptors import ABSENT, Descent, shown_name
from api.store.store import Item, OnRead
from artifacts.errors import StoreError


class _Names(NamedTuple):
    """What is yet to come of a folder, the last first: shown names, folders with a slash. `raw`: those that differ."""

    shown: list[str]
    raw: dict[str, str]

    def pop(self) -> tuple[str, str]:
        name = self.shown.pop()
        return name, self.raw.get(name) or name.removesuffix("/")


def ignored(_: int) -> None:
    """For those who do not ask how much was read."""


def list_folder(top: int, prefix: str, after: str, recursive: bool, on_read: OnRead) -> Iterator[Item]:
    """The files below an open folder, whose key is `prefix`. Raises StoreError."""
    descent = Descent(top)
    try:
        yield from _walk(descent, prefix, after, recursive, on_read)
    except OSError as error:
        raise StoreError("list", prefix + _path_of(descent), error) from error
    finally:
        descent.close()


def _walk(descent: Descent, prefix: str, after: str, recursive: bool, on_read: OnRead) -> Iterator[Item]:
    folders = [("", _read(descent.fd, after, recursive, on_read))]
    while folders:
        path, names = folders[-1]
        if not names.shown:
            folders.pop()
            while folders and not descent.leave():
                folders.pop()
            continue
        name, raw = names.pop()
        if not name.endswith("/"):
            item = _look_at(descent.fd, raw, path + name)
            if item is not None:
                yield item
        elif not recursive:
            yield Item(name, None, None, None)
        elif _enter(descent, raw, prefix):
            path += name
            rest = after[len(path) :] if after.startswith(path) else ""
            folders.append((path, _read(descent.fd, rest, recursive, on_read)))


def _read(folder: int, after: str, recursive: bool, on_read: OnRead) -> _Names:
    shown: list[str] = []
    odd: list[tuple[str, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            raw = entry.name
            name = shown_name(raw)
            slash = "/" if entry.is_dir(follow_symlinks=False) else ""
            if name is raw:
                shown.append(raw + slash)
            else:
                odd.append((raw, name + slash))
    on_read(len(shown) + len(odd))
    raws = _add(shown, odd) if odd else {}
    shown.sort(reverse=True)  # by code points, which is by UTF-8 bytes
    if after:
        del shown[_left(shown, after, recursive) :]
    return _Names(shown, raws)


def _add(shown: list[str], odd: list[tuple[str, str]]) -> dict[str, str]:
    """Add the encoded names; but not one that another file has literally."""
    literal = {name.removesuffix("/") for name in shown}
    raws = {name: raw for raw, name in odd if name.removesuffix("/") not in literal}
    shown.extend(raws)
    return raws


def _left(shown: list[str], after: str, recursive: bool) -> int:
    """How many of the names, last one first, lie behind `after`, or hold something that does."""
    passed = bisect.bisect_left(shown, True, key=lambda name: name <= after)
    within = recursive and passed < len(shown) and shown[passed].endswith("/") and after.startswith(shown[passed])
    return passed + within


def _look_at(folder: int, raw: str, path: str) -> Item | None:
    """The file as an item; None where it has gone, or is none."""
    try:
        found = os.stat(raw, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise
    if not stat.S_ISREG(found.st_mode):
        return None
    return Item(path, found.st_size, found.st_mtime, found.st_ctime)


def _enter(descent: Descent, raw: str, prefix: str) -> bool:
    """Whether the folder is still there, and no link by now."""
    try:
        descent.enter(raw)
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise StoreError("list", f"{prefix}{_path_of(descent)}{shown_name(raw)}/", error) from error
    return True


def _path_of(descent: Descent) -> str:
    return "".join(f"{shown_name(name)}/" for name in descent.names)
