"""Lists and deletes the keys of a bucket: the interface, and its implementation with obstore.

obstore is used for GCS and Azure. It strips the slash of a `folder/` object, fails a whole listing for one key that it
considers invalid, and cannot list a single level in pages. For S3 there is `api.store.s3`.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import obstore
from obstore.store import ObjectStore

from api.store.obstore_errors import translate_errors
from api.store.store import FileMissing
from artifacts.names import is_key

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE_SIZE = 1000


class KeyEntry(NamedTuple):
    """A listed key, unchecked. A key that ends with a slash is a folder; it has a size if it is also an object."""

    key: str
    size: int | None = None
    modified_at: float | None = None


class BucketKeys(Protocol):
    """The keys of one bucket. Methods raise StoreError."""

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[KeyEntry]]:
        """Yield the keys below `prefix` that sort after `prefix + after`, in order; one request per page."""

    def all(self, prefix: str) -> Iterator[Sequence[KeyEntry]]:
        """Yield all keys below `prefix`, by the fastest listing available."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete at most one page of objects; missing ones are ignored. Raises the first failure after trying all."""


class ObstoreKeys:
    """The keys of a bucket, by obstore alone."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[KeyEntry]]:
        """Yield the keys in pages, as BucketKeys.pages does."""
        with translate_errors("list", prefix):
            if recursive:
                offset = prefix + after if is_key(after) else None
                for chunk in obstore.list(self._store, prefix, offset=offset, chunk_size=PAGE_SIZE):
                    yield [entry for entry in map(key_entry, chunk) if entry.size or self._is_file(entry.key)]
            else:
                level = obstore.list_with_delimiter(self._store, prefix)
                folders = [KeyEntry(f"{path}/") for path in level["common_prefixes"]]
                yield sorted(folders + [key_entry(meta) for meta in level["objects"]], key=lambda entry: entry.key)

    def all(self, prefix: str) -> Iterator[Sequence[KeyEntry]]:
        """Yield all keys in pages of the library's size."""
        return self.pages(prefix, "", recursive=True)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the keys with the library's requests."""
        with translate_errors("remove", keys[0]), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, keys)
            return
        for key in keys:  # some servers fail at the first missing key, so the others may still exist
            with translate_errors("remove", key), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, key)

    def _is_file(self, key: str) -> bool:
        """Return whether an empty object is a file: obstore lists `folder/` as `folder`."""
        with contextlib.suppress(FileMissing), translate_errors("stat", key):
            obstore.head(self._store, key)
            return True
        return False


def key_entry(meta: "ObjectMeta") -> KeyEntry:
    """Convert obstore's metadata of an object."""
    return KeyEntry(meta["path"], meta["size"], meta["last_modified"].timestamp())
