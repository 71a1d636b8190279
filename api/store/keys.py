"""The keys of a bucket: the interface of what lists and deletes them, and how obstore itself does it.

obstore does for GCS and Azure. It takes the slash off a `folder/` object, raises for a whole listing that holds one key
it deems odd, and lists a folder only as a whole, so for S3 there is `api.store.s3`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import obstore
from obstore.store import ObjectStore

from api.store.faults import store_errors
from api.store.store import Missing
from artifacts.names import is_key

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1000


class Entry(NamedTuple):
    """A key, raw; one that ends with a slash is a folder's, with a size where it is an object."""

    key: str
    size: int | None = None
    modified: float | None = None


class Keys(Protocol):
    """The keys of one bucket. Methods raise StoreError."""

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[Entry]]:
        """The keys below `prefix` and behind `prefix + after`, in order, a request each page."""

    def all(self, prefix: str) -> Iterator[Sequence[Entry]]:
        """The same of all, as fast as can be."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects, at most a page of them; what is not there is fine. Of what fails, the first is raised."""


class PlainKeys:
    """Keys by obstore alone."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[Entry]]:
        with store_errors("list", prefix):
            if recursive:
                offset = prefix + after if is_key(after) else None
                stream = obstore.list(self._store, prefix, offset=offset, chunk_size=PAGE)
                for chunk in stream:
                    yield [entry for entry in map(entry_of, chunk) if entry.size or self._is_file(entry.key)]
            else:
                found = obstore.list_with_delimiter(self._store, prefix)
                folders = [Entry(f"{path}/") for path in found["common_prefixes"]]
                yield sorted(folders + [entry_of(each) for each in found["objects"]], key=lambda entry: entry.key)

    def all(self, prefix: str) -> Iterator[Sequence[Entry]]:
        return self.pages(prefix, "", recursive=True)

    def delete(self, keys: Sequence[str]) -> None:
        with store_errors("remove", keys[0]), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, keys)
            return
        for key in keys:  # some server minds what is not there, and may have stopped at it
            with store_errors("remove", key), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, key)

    def _is_file(self, key: str) -> bool:
        """Whether an empty object is one: obstore shows `folder/` as `folder`."""
        with contextlib.suppress(Missing), store_errors("look at", key):
            obstore.head(self._store, key)
            return True
        return False


def entry_of(meta: "ObjectMeta") -> Entry:
    """An object as obstore tells of it."""
    return Entry(meta["path"], meta["size"], meta["last_modified"].timestamp())
