"""A store with injected faults: reads that fail or wait at a given byte."""

import threading
from collections.abc import Callable, Iterator

from api.store.posix import PosixFile, PosixStore
from api.store.store import OpenFile
from artifacts.errors import StoreError

_BLOCK = 1024 * 1024  # as the directory reads
Fault = Callable[[], None]


class FaultyPosixStore(PosixStore):
    """A directory. `faults` maps a key to a byte offset and a function that is called before its block is read."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.faults: dict[str, tuple[int, Fault]] = {}
        self.max_open = 0
        self._open = 0
        self._lock = threading.Lock()

    def open(self, key: str) -> OpenFile:  # type: ignore[override]
        file = super().open(key)
        self.count(1)
        return _FaultyFile(file, *self.faults.get(key, (-1, _do_nothing)), self.count)

    def count(self, more: int) -> None:
        """Add to the number of open files."""
        with self._lock:
            self._open += more
            self.max_open = max(self.max_open, self._open)

    @property
    def open_count(self) -> int:
        """The number of open files."""
        return self._open


def fail() -> None:
    """A fault: a read error."""
    raise StoreError("read", "some key", OSError(5, "Input/output error"))


def _do_nothing() -> None: ...


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
