"""Measures the latency of any store's operations and counts their failures."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

from api.store.store import (
    FileStat,
    Item,
    OnRead,
    OnUnreadable,
    OpenFile,
    RemovedFiles,
    Store,
    StoreBlocked,
    StoreCapacity,
)
from artifacts.errors import StoreError


class InstrumentedStore:
    """Implements `api.store.store.Store` over `store`. The metrics `seconds` and `errors` have the label operation.

    A list is timed until its first entry, and a file until it is open: the rest depends on the reader's speed. Folders
    that their owners close are no failures of the store and are not counted.
    """

    def __init__(self, store: Store, seconds: Histogram, errors: Counter) -> None:
        self._store, self._seconds, self._errors = store, seconds, errors

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
        items = self._store.list(prefix, after=after, recursive=recursive, on_read=on_read, on_unreadable=on_unreadable)
        with self._timed("list"):
            first = next(items, None)
        if first is not None:
            yield first
            with _count_errors(self._errors, "list"):
                yield from items

    def stat(self, key: str) -> FileStat:
        """Return metadata of a file; see Store.stat."""
        with self._timed("stat"):
            return self._store.stat(key)

    def open(self, key: str) -> OpenFile:
        """Open a file; see Store.open."""
        with self._timed("open"):
            return _InstrumentedFile(self._store.open(key), self._errors)

    def read(self, key: str, max_bytes: int) -> bytes:
        """Read a small file; see Store.read."""
        with self._timed("read"):
            return self._store.read(key, max_bytes)

    def write(self, key: str, content: bytes) -> None:
        """Write a file; see Store.write."""
        with self._timed("write"):
            self._store.write(key, content)

    def delete(self, key: str) -> None:
        """Delete a file; see Store.delete."""
        with self._timed("delete"):
            self._store.delete(key)

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        """Remove a folder; see Store.remove."""
        with self._timed("remove"):
            return self._store.remove(prefix, last)

    def check(self) -> None:
        """Check that the store responds; see Store.check."""
        with self._timed("check"):
            self._store.check()

    def has_latency(self) -> bool:
        """Return whether operations wait for a network; see Store.has_latency."""
        return self._store.has_latency()

    def capacity(self) -> StoreCapacity | None:
        """Return the size of the store; see Store.capacity."""
        with self._timed("check"):
            return self._store.capacity()

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with _count_errors(self._errors, operation):
                yield
        finally:
            self._seconds.labels(operation).observe(time.perf_counter() - started)


class _InstrumentedFile:
    """An open file whose read failures are counted."""

    def __init__(self, file: OpenFile, errors: Counter) -> None:
        self._file, self._errors = file, errors
        self.stat = file.stat

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        with _count_errors(self._errors, "read"):
            yield from self._file.chunks(start, length)

    def close(self) -> None:
        self._file.close()


@contextmanager
def _count_errors(errors: Counter, operation: str) -> Iterator[None]:
    try:
        yield
    except StoreBlocked:
        raise
    except StoreError:
        errors.labels(operation).inc()
        raise
