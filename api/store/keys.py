"""The keys of a bucket: the interface of what lists and deletes them, and how obstore itself does it.

obstore does for GCS and Azure. It takes the slash off a `folder/` object, raises for a whole listing that holds one key
it deems odd, and lists a folder only as a whole, so for S3 there is `api.store.s3`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import obstore
from obstore.store import ObjectStore

from api.store.obstore_errors import store_errors
from api.store.store import FileMissing
from artifacts.names import is_key

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1000


class KeyEntry(NamedTuple):
    """A key, raw; one that ends with a slash is a folder's, with a size where it is an object."""

    key: str
    size: int | None = None
    modified: float | None = None


class BucketKeys(Protocol):
    """The keys of one bucket. Methods raise StoreError."""

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[KeyEntry]]:
        """The keys below `prefix` and behind `prefix + after`, in order, a request each page."""

    def all(self, prefix: str) -> Iterator[Sequence[KeyEntry]]:
        """The same of all, as fast as can be."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the objects, at most a page of them; what is not there is fine. Of what fails, the first is raised."""


class ObstoreKeys:
    """BucketKeys by obstore alone."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[KeyEntry]]:
        with store_errors("list", prefix):
            if recursive:
                offset = prefix + after if is_key(after) else None
                stream = obstore.list(self._store, prefix, offset=offset, chunk_size=PAGE)
                for chunk in stream:
                    yield [entry for entry in map(entry_of, chunk) if entry.size or self._is_file(entry.key)]
            else:
                found = obstore.list_with_delimiter(self._store, prefix)
                folders = [KeyEntry(f"{path}/") for path in found["common_prefixes"]]
                yield sorted(folders + [entry_of(each) for each in found["objects"]], key=lambda entry: entry.key)

    def all(self, prefix: str) -> Iterator[Sequence[KeyEntry]]:
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
        with contextlib.suppress(FileMissing), store_errors("look at", key):
            obstore.head(self._store, key)
            return True
        return False


def entry_of(meta: "ObjectMeta") -> KeyEntry:
    """An object as obstore tells of it."""
    return KeyEntry(meta["path"], meta["size"], meta["last_modified"].timestamp())
