"""The store as a bucket: S3 and what speaks its language, GCS and Azure, by obstore's sync API.

Endpoint and credentials are what obstore finds in the environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
`AWS_ALLOW_HTTP`, ...; `AWS_DISABLE_BULK_DELETE=true` for a server without DeleteObjects). GCS and Azure come with
obstore and are not tested, but for `ObstoreKeys`, with which they are listed, on S3.

Where there are no folders, none is empty: `folder/` objects are not listed, and go with the job's folder.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import obstore
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from api.store.guard import check_key, check_prefix, check_removable
from api.store.keys import BucketKeys, ObstoreKeys
from api.store.obstore_errors import fault, store_errors
from api.store.s3 import S3Keys
from api.store.store import FileChanged, FileMissing, FileStat, Item, OnRead, RemovedFiles
from artifacts.errors import InvalidDocument, StoreError
from artifacts.names import is_key

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config

_BLOCK = 1024 * 1024
_STREAMED = 256 * 1024  # obstore gives at least so much at once, and up to half a megabyte more
_RANGE = 32 * _BLOCK  # a reader may be slow, and no server waits for ever
# obstore's own: 30 s for all of an answer, with which no slow reader gets a large file, and 3 minutes of retries. Given
# as configuration: as client options they would undo what the environment says, such as AWS_ALLOW_HTTP.
_TIMEOUTS: "ClientConfig" = {"connect_timeout": "5s", "read_timeout": "20s", "timeout": "1h"}
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=40)}
_NOWHERE = "phjob-artifacts/tmp/"  # to be listed by `check`: nothing is there


def open_bucket(scheme: str, bucket: str, path: str) -> "BucketStore":
    """The store below `path` ("" for all) in a bucket of S3 ("s3"), GCS ("gs") or Azure ("az")."""
    base = f"{path}/" if path else ""
    if scheme == "s3":
        s3 = S3Store(bucket, config=cast("S3Config", _TIMEOUTS), retry_config=_RETRIES)
        return BucketStore(s3, S3Keys(s3, bucket), base)
    store: ObjectStore
    if scheme == "gs":
        store = GCSStore(bucket, config=cast("GCSConfig", _TIMEOUTS), retry_config=_RETRIES)
    else:
        store = AzureStore(bucket, config=cast("AzureConfig", _TIMEOUTS), retry_config=_RETRIES)
    return BucketStore(store, ObstoreKeys(store), base)


class BucketStore:
    """`api.store.store.Store` over a bucket; `base` stands before all keys. Safe to use from several threads."""

    def __init__(self, store: ObjectStore, keys: BucketKeys, base: str) -> None:
        self._store, self._keys, self._base = store, keys, base

    def list(
        self, prefix: str, *, after: str = "", recursive: bool = True, on_read: OnRead | None = None
    ) -> Iterator[Item]:
        if not is_key(check_prefix(prefix)):
            return
        full = self._base + prefix
        for page in self._keys.pages(full, _sendable(after), recursive):
            if on_read:
                on_read(len(page))
            for entry in page:
                name = entry.key.removeprefix(full)
                if name > after and is_key(name.removesuffix("/")) and not (recursive and name.endswith("/")):
                    yield Item(name, entry.size, entry.modified, entry.modified)

    def stat(self, key: str) -> FileStat:
        return _stat_of(self._head("look at", key))

    def open(self, key: str) -> "BucketFile":
        return BucketFile(self._store, key, self._base + key, self._head("open", key))

    def read(self, key: str, most: int) -> bytes:
        self._check(key)
        with store_errors("read", key):
            found = obstore.get(self._store, self._base + key)
            size = found.meta["size"]
            if size > most:
                raise InvalidDocument(key, f"it is longer than {most} bytes")
            content = bytes(found.bytes())
        if len(content) != size:
            raise fault("read", key, f"{len(content)} of {size} bytes came")
        return content

    def write(self, key: str, content: bytes) -> None:
        check_key(key)
        with store_errors("write", key):
            obstore.put(self._store, self._base + key, content, use_multipart=False)

    def delete(self, key: str) -> None:
        if is_key(key):
            self._keys.delete([self._base + key])

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        check_removable(prefix, last)
        return _remove(self._keys, self._base + prefix, last)

    def check(self) -> None:
        next(iter(self._keys.pages(self._base + _NOWHERE, "", True)), None)

    def space(self) -> None:
        """A bucket has no bounds."""

    def _head(self, action: str, key: str) -> "ObjectMeta":
        self._check(key)
        with store_errors(action, key):
            return obstore.head(self._store, self._base + key)

    def _check(self, key: str) -> None:
        if not is_key(key):
            raise FileMissing(f"there is no file {key!r} in the store")


class BucketFile:
    """An object open for reading: every request says which one is meant, so nothing of another gets in between."""

    def __init__(self, store: ObjectStore, key: str, full_key: str, meta: "ObjectMeta") -> None:
        self.stat = _stat_of(meta)
        self._store, self._key, self._full_key, self._tag = store, key, full_key, meta["e_tag"]

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        while start < end:
            stop = min(start + _RANGE, end)
            try:
                yield from self._range(start, stop)
            except FileMissing as error:
                raise FileChanged(f"{self._key!r} was removed while it was read") from error
            start = stop

    def close(self) -> None:
        """Nothing is held between two requests."""

    def _range(self, start: int, stop: int) -> Iterator[bytes]:
        came = 0
        with store_errors("read", self._key):
            found = obstore.get(self._store, self._full_key, options={"range": (start, stop), "if_match": self._tag})
            if (found.meta["e_tag"], found.meta["size"]) != (self._tag, self.stat.size):
                raise FileChanged(f"{self._key!r} was replaced while it was read")
            for chunk in found.stream(min_chunk_size=_STREAMED):
                came += len(chunk)
                for at in range(0, len(chunk), _BLOCK):
                    yield bytes(chunk[at : at + _BLOCK])
        if came != stop - start:
            raise fault("read", self._key, f"{came} of {stop - start} bytes came")


def _stat_of(meta: "ObjectMeta") -> FileStat:
    modified, size = meta["last_modified"].timestamp(), meta["size"]
    tag = (meta["e_tag"] or f"{size:x}-{modified:.6f}").removeprefix("W/").strip('"')
    return FileStat(size, modified, tag)


def _sendable(after: str) -> str:
    """What of a name can be sent for certain: it comes no later than the name."""
    return "".join(itertools.takewhile(str.isprintable, after))


def _remove(keys: BucketKeys, full: str, last: Sequence[str]) -> RemovedFiles:
    """One listing, a request for each page of it, one for `last` and one for its end: jobs come by ten thousands."""
    kept = {full + name for name in last}
    present: set[str] = set()
    folders: list[str] = []
    faults: list[StoreError] = []
    files = size = 0
    doubtful = False
    for page in keys.all(full):
        entries = [entry for entry in page if entry.key not in kept and not entry.key.endswith("/")]
        present.update(entry.key for entry in page if entry.key in kept)
        folders += [entry.key for entry in page if entry.key.endswith("/")]
        doubtful = doubtful or any(_is_doubtful(entry.key) for entry in entries)
        files += len(entries)
        size += sum(entry.size or 0 for entry in entries)
        try:
            if entries:
                keys.delete([entry.key for entry in entries])
        except StoreError as error:
            faults.append(error)
    if faults:
        raise faults[0]
    if doubtful:
        _check_gone(keys, full, kept)
    ending = [full + name for name in last if full + name in present]
    for batch in [ending[:-1], ending[-1:], *([folder] for folder in reversed(folders))]:
        if batch:
            keys.delete(batch)
    return RemovedFiles(files, size)


def _is_doubtful(key: str) -> bool:
    """Whether the server may have told another key than it has: XML cannot carry every character."""
    return "\ufffd" in key or not is_key(key)


def _check_gone(keys: BucketKeys, full: str, kept: set[str]) -> None:
    for page in keys.pages(full, "", recursive=True):
        for entry in page:
            if entry.key not in kept and not entry.key.endswith("/"):
                raise fault("remove", entry.key, "it is still there; use another tool")
