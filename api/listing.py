"""Lists a job's files: pages of them, their order and cursors. Pure.

Only this module leaves out the collector's own folders.
"""

import functools
import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import orjson

from api.errors import BadInput
from api.store.store import Item
from artifacts.errors import InvalidName
from artifacts.names import RESERVED, check_path

MOST_FILES = 10_000  # in one list, and to be sorted or searched
MOST_IN_PAGE = 1000
ORDERS = ("name", "size", "lastModified")

_BEGIN, _END = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
_EPOCH = datetime(1970, 1, 1)
_MILLISECONDS = [f".{number:03d}Z" for number in range(1000)]


class Files(NamedTuple):
    """Files, and whether these are all there are."""

    items: list[Item]
    complete: bool

    @property
    def bytes(self) -> int:
        """Their sizes' sum."""
        return sum(item.size or 0 for item in self.items)


@dataclass(frozen=True)
class Wanted:
    """A page that is asked for. `folder`: "" or with its closing slash; `order`: one of ORDERS; `after`: a cursor."""

    first: int = 100
    after: str = ""
    folder: str = ""
    recursive: bool = True
    order: str = "name"
    descending: bool = False
    search: str = ""

    @property
    def needs_all(self) -> bool:
        """Whether all files must be looked at for it."""
        return self.order != "name" or self.descending or bool(self.search)


class Lister(Protocol):
    """Lists a folder as api.store.store.Store does."""

    def __call__(self, prefix: str, *, after: str = ..., recursive: bool = ...) -> Iterator[Item]: ...


class Page(NamedTuple):
    """A page of files."""

    items: list[Item]
    has_next: bool


def artifacts(
    read: Lister, prefix: str, folder: str = "", *, after: str = "", recursive: bool = True
) -> Iterator[Item]:
    """The files of the job folder `prefix` that lie in its `folder`, by names relative to the job folder."""
    is_inside = after.startswith(folder)
    if is_reserved(folder) or (after > folder and not is_inside):
        return
    behind = after[len(folder) :] if is_inside else ""
    for item in read(prefix + folder, after=behind, recursive=recursive):
        if folder:
            yield item._replace(name=folder + item.name)
        elif item.name[0] != "." or not is_reserved(item.name):
            yield item


def is_reserved(name: str) -> bool:
    """Whether a path in a job folder belongs to the collector."""
    return name.startswith(".") and name.split("/", 1)[0] in RESERVED


def read_folder(text: str) -> str:
    """The folder that a client names, with its closing slash, or "". Raises BadInput."""
    name = text.removesuffix("/")
    if not name:
        return ""
    try:
        return check_path(name) + "/"
    except InvalidName as error:
        raise BadInput(f"prefix names no folder of a job: {error.reason}") from error


def page_of(items: Sequence[Item], wanted: Wanted) -> Page:
    """The page of all files that are searched for, in their order. Raises BadInput for a cursor that is none."""
    if wanted.after:
        start = read_cursor(wanted)
        items = [item for item in items if _is_behind(item, start, wanted)]
    return Page(list(items[: wanted.first]), len(items) > wanted.first)


def arrange(items: Sequence[Item], wanted: Wanted) -> list[Item]:
    """Those that are searched for, in their order; files that are equal in it, by name."""
    search, above = wanted.search.casefold(), len(wanted.folder)
    found = [item for item in items if search in item.name[above:].casefold()] if search else items
    return sorted(found, key=lambda item: _place(item, wanted), reverse=wanted.descending)


def cursor(item: Item, wanted: Wanted) -> str:
    """Where `item` is in the order, opaque to clients."""
    return b2a_base64(orjson.dumps([wanted.order, *_place(item, wanted)]), newline=False).decode()


def read_cursor(wanted: Wanted) -> tuple[Any, str]:
    """The place that `wanted.after` tells. Raises BadInput."""
    try:
        order, value, name = orjson.loads(a2b_base64(wanted.after.encode()))
    except (ValueError, TypeError) as error:
        raise BadInput("after is no cursor of this list: take an edge's cursor, or pageInfo.endCursor") from error
    if order != wanted.order or type(value) not in (int, float) or not isinstance(name, str):
        raise BadInput("after is a cursor of another list, or of another orderBy: begin without it")
    return value, name


def iso_time(seconds: float) -> str:
    """ISO 8601 with milliseconds and Z, as JavaScript's toISOString has it; as near as dates can say it."""
    milliseconds = math.floor(seconds * 1000 + 0.5)
    return _second(milliseconds // 1000) + _MILLISECONDS[milliseconds % 1000]


@functools.lru_cache(maxsize=16384)  # the files of a job are written at much the same time
def _second(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return (_END if seconds > 0 else _BEGIN).isoformat()


def _place(item: Item, wanted: Wanted) -> tuple[float, str]:
    if wanted.order == "name":
        return 0, item.name
    value = item.size if wanted.order == "size" else item.modified_at
    return -1 if value is None else value, item.name


def _is_behind(item: Item, start: tuple[Any, str], wanted: Wanted) -> bool:
    place = _place(item, wanted)
    return place < start if wanted.descending else place > start
