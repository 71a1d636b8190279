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

MAX_FILES = 10_000  # in one plain list, and for sorting and searching
MAX_PAGE_SIZE = 1000
ORDERS = ("name", "size", "lastModified")

_MIN_TIME, _MAX_TIME = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
_EPOCH = datetime(1970, 1, 1)
_MILLISECONDS = [f".{number:03d}Z" for number in range(1000)]


class FileListing(NamedTuple):
    """Files of a folder. `complete` is False if the folder has more files than were read."""

    items: list[Item]
    complete: bool

    @property
    def bytes(self) -> int:
        """The sum of the sizes."""
        return sum(item.size or 0 for item in self.items)


@dataclass(frozen=True)
class FileQuery:
    """A request for one page of files.

    `folder` is "" or ends with a slash; `order` is one of ORDERS; `after` is a cursor, or "" for the first page.
    """

    first: int = 100
    after: str = ""
    folder: str = ""
    recursive: bool = True
    order: str = "name"
    descending: bool = False
    search: str = ""

    @property
    def needs_all_files(self) -> bool:
        """Whether the page can only be computed from all files of the folder."""
        return self.order != "name" or self.descending or bool(self.search)


class Lister(Protocol):
    """Lists a folder like api.store.store.Store.list."""

    def __call__(self, prefix: str, *, after: str = ..., recursive: bool = ...) -> Iterator[Item]: ...


class FilePage(NamedTuple):
    """One page of files."""

    items: list[Item]
    has_next: bool


def list_artifacts(
    lister: Lister, prefix: str, folder: str = "", *, after: str = "", recursive: bool = True
) -> Iterator[Item]:
    """List the files below `folder` ("" or with a trailing slash) of the job folder `prefix`, in the store's order.

    Names are relative to the job folder. `after` is such a name: the listing starts after it.
    """
    is_inside = after.startswith(folder)
    if is_reserved(folder) or (after > folder and not is_inside):
        return
    after_in_folder = after[len(folder) :] if is_inside else ""
    for item in lister(prefix + folder, after=after_in_folder, recursive=recursive):
        if folder:
            yield item._replace(name=folder + item.name)
        elif item.name[0] != "." or not is_reserved(item.name):
            yield item


def is_reserved(name: str) -> bool:
    """Whether a path in a job folder belongs to the collector."""
    return name.startswith(".") and name.split("/", 1)[0] in RESERVED


def parse_folder(text: str) -> str:
    """Normalize a folder named by a client: "" or with a trailing slash. Raises BadInput."""
    name = text.removesuffix("/")
    if not name:
        return ""
    try:
        return check_path(name) + "/"
    except InvalidName as error:
        raise BadInput(f"`prefix` must be a folder of the job, got {text[:80]!r}: {error.reason}") from error


def take_page(items: Sequence[Item], query: FileQuery) -> FilePage:
    """Take the page from all matching files in their order. Raises BadInput if the cursor is invalid."""
    if query.after:
        start = decode_cursor(query)
        items = [item for item in items if _is_after(item, start, query)]
    return FilePage(list(items[: query.first]), len(items) > query.first)


def search_and_sort(items: Sequence[Item], query: FileQuery) -> list[Item]:
    """Return the files that match the search, in the query's order; equal files by name."""
    search, folder_length = query.search.casefold(), len(query.folder)
    matching = [item for item in items if search in item.name[folder_length:].casefold()] if search else items
    return sorted(matching, key=lambda item: _sort_key(item, query), reverse=query.descending)


def encode_cursor(item: Item, query: FileQuery) -> str:
    """Encode the file's position in the order; opaque to clients."""
    return b2a_base64(orjson.dumps([query.order, *_sort_key(item, query)]), newline=False).decode()


def decode_cursor(query: FileQuery) -> tuple[Any, str]:
    """Decode `query.after` into a sort key. Raises BadInput."""
    try:
        order, value, name = orjson.loads(a2b_base64(query.after.encode()))
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"`after` must be a cursor of this list, got {query.after[:80]!r}: "
            "use the cursor of an edge, or pageInfo.endCursor"
        ) from error
    if order != query.order or type(value) not in (int, float) or not isinstance(name, str):
        raise BadInput("`after` is a cursor of another list or another orderBy: request the first page without `after`")
    return value, name


def format_iso_time(seconds: float) -> str:
    """Format UNIX seconds as ISO 8601 with milliseconds and Z, like JavaScript's toISOString.

    Times beyond the years 1 to 9999 are clamped.
    """
    milliseconds = math.floor(seconds * 1000 + 0.5)
    return _format_second(milliseconds // 1000) + _MILLISECONDS[milliseconds % 1000]


@functools.lru_cache(maxsize=16384)  # many files of a job are written within the same second
def _format_second(seconds: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return (_MAX_TIME if seconds > 0 else _MIN_TIME).isoformat()


def _sort_key(item: Item, query: FileQuery) -> tuple[float, str]:
    if query.order == "name":
        return 0, item.name
    value = item.size if query.order == "size" else item.modified_at
    return -1 if value is None else value, item.name


def _is_after(item: Item, start: tuple[Any, str], query: FileQuery) -> bool:
    key = _sort_key(item, query)
    return key < start if query.descending else key > start
