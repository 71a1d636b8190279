"""The store as a bucket: S3 and compatible servers, GCS and Azure, through obstore's synchronous API.

obstore takes endpoint and credentials from the environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_ALLOW_HTTP`,
...; `AWS_DISABLE_BULK_DELETE=true` for a server without DeleteObjects). GCS and Azure come with obstore and are not
tested here, except for `ObstoreKeys`, which lists them and is tested on S3.

A bucket has no empty folders: `folder/` objects are not listed, and are removed with the job folder.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import obstore
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from api.store.guard import check_key, check_prefix, check_removable
from api.store.keys import BucketKeys, KeyEntry, ObstoreKeys
from api.store.obstore_errors import bucket_error, translate_errors
from api.store.s3 import S3Keys
from api.store.store import FileChanged, FileMissing, FileStat, Item, OnRead, OnUnreadable, RemovedFiles
from artifacts.errors import InvalidDocument, StoreError
from artifacts.names import is_key

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config

_BLOCK_BYTES = 1024 * 1024
_MIN_CHUNK_BYTES = 256 * 1024  # obstore yields at least this much, and up to 512 KiB more
_RANGE_BYTES = 32 * _BLOCK_BYTES  # of one request: a reader may be slow, and servers time out
# obstore's defaults are 30 s for a whole response, too short for a slow reader of a large file, and 3 minutes of
# retries. Set as configuration: client options would override the environment, such as AWS_ALLOW_HTTP.
_TIMEOUTS: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "1h"}
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=40)}
_EMPTY_PREFIX = "phjob-artifacts/tmp/"  # listed by `check`; it has no objects


def _open_s3(bucket: str) -> tuple[ObjectStore, BucketKeys]:
    store = S3Store(bucket, config=cast("S3Config", _TIMEOUTS), retry_config=_RETRIES)
    return store, S3Keys(store, bucket)


def _open_gcs(bucket: str) -> tuple[ObjectStore, BucketKeys]:
    store = GCSStore(bucket, config=cast("GCSConfig", _TIMEOUTS), retry_config=_RETRIES)
    return store, ObstoreKeys(store)


def _open_azure(container: str) -> tuple[ObjectStore, BucketKeys]:
    store = AzureStore(container, config=cast("AzureConfig", _TIMEOUTS), retry_config=_RETRIES)
    return store, ObstoreKeys(store)


BUCKET_SCHEMES: Mapping[str, Callable[[str], tuple[ObjectStore, BucketKeys]]] = {
    "s3": _open_s3,
    "gs": _open_gcs,
    "az": _open_azure,
}


def open_bucket(scheme: str, bucket: str, path: str) -> "BucketStore":
    """Open the store below `path` ("" for the whole bucket). `scheme` is one of BUCKET_SCHEMES."""
    store, keys = BUCKET_SCHEMES[scheme](bucket)
    return BucketStore(store, keys, f"{path}/" if path else "")


class BucketStore:
    """Implements `api.store.store.Store` over a bucket. `base` is prepended to all keys. Thread-safe."""

    def __init__(self, store: ObjectStore, keys: BucketKeys, base: str) -> None:
        self._store, self._keys, self._base = store, keys, base

    def list(
        self,
        prefix: str,
        *,
        after: str = "",
        recursive: bool = True,
        on_read: OnRead | None = None,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[Item]:
        """List the store; see Store.list."""
        if not is_key(check_prefix(prefix)):
            return
        full = self._base + prefix
        for page in self._keys.pages(full, _printable_prefix(after), recursive):
            if on_read:
                on_read(len(page))
            for entry in page:
                name = entry.key.removeprefix(full)
                if name > after and is_key(name.removesuffix("/")) and not (recursive and name.endswith("/")):
                    yield Item(name, entry.size, entry.modified_at, entry.modified_at)

    def stat(self, key: str) -> FileStat:
        """Return metadata of a file; see Store.stat."""
        return _stat_of(self._head("stat", key))

    def open(self, key: str) -> "BucketFile":
        """Open a file; see Store.open."""
        return BucketFile(self._store, key, self._base + key, self._head("open", key))

    def read(self, key: str, max_bytes: int) -> bytes:
        """Read a small file; see Store.read."""
        self._check(key)
        with translate_errors("read", key):
            result = obstore.get(self._store, self._base + key)
            size = result.meta["size"]
            if size > max_bytes:
                raise InvalidDocument(key, f"it is longer than {max_bytes} bytes")
            content = bytes(result.bytes())
        if len(content) != size:
            raise bucket_error("read", key, f"received {len(content)} of {size} bytes")
        return content

    def write(self, key: str, content: bytes) -> None:
        """Write a file; see Store.write."""
        check_key(key)
        with translate_errors("write", key):
            obstore.put(self._store, self._base + key, content, use_multipart=False)

    def delete(self, key: str) -> None:
        """Delete a file; see Store.delete."""
        if is_key(key):
            self._keys.delete([self._base + key])

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        """Remove a folder; see Store.remove."""
        check_removable(prefix, last)
        return _BucketRemoval(self._keys, self._base + prefix, last).run()

    def check(self) -> None:
        """Check that the store responds; see Store.check."""
        next(iter(self._keys.pages(self._base + _EMPTY_PREFIX, "", True)), None)

    def has_latency(self) -> bool:
        """Return True."""
        return True

    def capacity(self) -> None:
        """Return None: a bucket has no fixed size."""

    def _head(self, action: str, key: str) -> "ObjectMeta":
        self._check(key)
        with translate_errors(action, key):
            return obstore.head(self._store, self._base + key)

    def _check(self, key: str) -> None:
        if not is_key(key):
            raise FileMissing(f"{key!r} does not exist in the store")


class BucketFile:
    """An object open for reading. Every request carries the entity tag, so two versions are never mixed."""

    def __init__(self, store: ObjectStore, key: str, full_key: str, meta: "ObjectMeta") -> None:
        self.stat = _stat_of(meta)
        self._store, self._key, self._full_key, self._tag = store, key, full_key, meta["e_tag"]

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        """Yield a range of the object; see OpenFile.chunks."""
        end = start + length
        while start < end:
            stop = min(start + _RANGE_BYTES, end)
            try:
                yield from self._range(start, stop)
            except FileMissing as error:
                raise FileChanged(f"{self._key!r} was removed while it was read") from error
            start = stop

    def close(self) -> None:
        """Do nothing: no connection stays open between two requests."""

    def _range(self, start: int, stop: int) -> Iterator[bytes]:
        received = 0
        with translate_errors("read", self._key):
            result = obstore.get(self._store, self._full_key, options={"range": (start, stop), "if_match": self._tag})
            if (result.meta["e_tag"], result.meta["size"]) != (self._tag, self.stat.size):
                raise FileChanged(f"{self._key!r} was replaced while it was read")
            for chunk in result.stream(min_chunk_size=_MIN_CHUNK_BYTES):
                received += len(chunk)
                for offset in range(0, len(chunk), _BLOCK_BYTES):
                    yield bytes(chunk[offset : offset + _BLOCK_BYTES])
        if received != stop - start:
            raise bucket_error("read", self._key, f"received {received} of {stop - start} bytes")


class _BucketRemoval:
    """The removal of one job folder: one listing and one request per page, then one for `last` and one for its end."""

    def __init__(self, keys: BucketKeys, prefix: str, last: Sequence[str]) -> None:
        self._keys, self._prefix = keys, prefix
        self._last = [prefix + name for name in last]
        self._present_last: set[str] = set()
        self._folders: list[str] = []
        self._errors: list[StoreError] = []
        self._files = self._bytes = 0
        self._needs_check = False

    def run(self) -> RemovedFiles:
        for page in self._keys.all(self._prefix):
            self._delete_files(self._sort_out(page))
        if self._errors:
            raise self._errors[0]
        if self._needs_check:
            self._check_removed()
        self._delete_rest()
        return RemovedFiles(self._files, self._bytes)

    def _sort_out(self, page: Sequence[KeyEntry]) -> list[KeyEntry]:
        """Return the page's files that can be deleted now; remember the others."""
        files = []
        for entry in page:
            if entry.key in self._last:
                self._present_last.add(entry.key)
            elif entry.key.endswith("/"):
                self._folders.append(entry.key)
            else:
                files.append(entry)
        return files

    def _delete_files(self, entries: Sequence[KeyEntry]) -> None:
        if not entries:
            return
        keys = [entry.key for entry in entries]
        self._needs_check = self._needs_check or any(map(_is_ambiguous, keys))
        self._files += len(entries)
        self._bytes += sum(entry.size or 0 for entry in entries)
        try:
            self._keys.delete(keys)
        except StoreError as error:
            self._errors.append(error)

    def _check_removed(self) -> None:
        for page in self._keys.pages(self._prefix, "", recursive=True):
            for entry in page:
                if entry.key not in self._last and not entry.key.endswith("/"):
                    raise bucket_error("remove", entry.key, "it still exists; use another tool")

    def _delete_rest(self) -> None:
        last = [key for key in self._last if key in self._present_last]
        for batch in (last[:-1], last[-1:], *([folder] for folder in reversed(self._folders))):
            if batch:
                self._keys.delete(batch)


def _stat_of(meta: "ObjectMeta") -> FileStat:
    modified_at, size = meta["last_modified"].timestamp(), meta["size"]
    tag = (meta["e_tag"] or f"{size:x}-{modified_at:.6f}").removeprefix("W/").strip('"')
    return FileStat(size, modified_at, tag)


def _printable_prefix(after: str) -> str:
    """Return the part of a name that every server accepts in a request; it never sorts after the name."""
    return "".join(itertools.takewhile(str.isprintable, after))


def _is_ambiguous(key: str) -> bool:
    """Return whether the server may have listed a different key: XML cannot express every character."""
    return "\ufffd" in key or not is_key(key)
