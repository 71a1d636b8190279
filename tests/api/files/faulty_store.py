"""Stores with faults that no real one shows when asked to: reads that fail, or wait, where a test says so."""

import threading
from collections.abc import Callable, Iterator

from api.store.posix import PosixFile, PosixStore
from api.store.store import OpenFile
from artifacts.errors import StoreError

_BLOCK = 1024 * 1024  # as the directory reads
Fault = Callable[[], None]


class FaultyPosixStore(PosixStore):
    """A directory. `faults`: what happens before the block that holds a byte of a key's file is read."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.faults: dict[str, tuple[int, Fault]] = {}
        self.most_open = 0
        self._open = 0
        self._lock = threading.Lock()

    def open(self, key: str) -> OpenFile:  # type: ignore[override]
        file = super().open(key)
        self.count(1)
        return _FaultyFile(file, *self.faults.get(key, (-1, _nothing)), self.count)

    def count(self, more: int) -> None:
        """Note that so many more files are open."""
        with self._lock:
            self._open += more
            self.most_open = max(self.most_open, self._open)

    @property
    def open_now(self) -> int:
        return self._open


def fails() -> None:
    """A fault: the store cannot read."""
    raise StoreError("read", "some key", OSError(5, "Input/output error"))


def _nothing() -> None: ...


class _FaultyFile:
    def __init__(self, file: PosixFile, at: int, fault: Fault, count: Callable[[int], None]) -> None:
        self._file, self._at, self._fault, self._count = file, at, fault, count
        self.stat = file.stat

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        blocks = self._file.chunks(start, length)
        while True:
            if start <= self._at < start + _BLOCK:
                self._fault()
                self._at = -1
            block = next(blocks, b"")
            if not block:
                return
            start += len(block)
            yield block

    def close(self) -> None:
        self._file.close()
        self._count(-1)
