"""A bounded cache with an expiry per entry, for values that are expensive to compute or to fetch."""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import TLRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Load:
    """A key that is being loaded. `threads`: those that load it or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: int = 0


class ExpiringCache(Generic[K, V]):
    """Holds at most `max_entries` values, each for its own number of seconds. Thread-safe.

    A full cache drops expired entries first, then the least recently used one. `clock`: monotonic seconds.
    """

    def __init__(self, max_entries: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._loads: dict[K, _Load] = {}
        self._entries: TLRUCache[K, tuple[V, float]] = TLRUCache(max_entries, _expires_at, clock)

    def get(self, key: K) -> V | None:
        """Return the value, or None if it is absent or has expired."""
        with self._lock:
            entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, seconds: float) -> None:
        """Store the value for `seconds`. Zero or less stores nothing, and removes an older value."""
        with self._lock:
            self._entries[key] = (value, seconds)

    def get_or_load(self, key: K, load: Callable[[], tuple[V, float]]) -> V:
        """Return the value; if it is absent, call `load`, which returns it and the seconds to store it for.

        Only one thread loads a key at a time; others that want the same key wait for it. An exception that `load`
        raises reaches the caller and is not cached.
        """
        if (value := self.get(key)) is not None:
            return value
        with self._loading(key):
            value = self.get(key)
            if value is None:
                value, seconds = load()
                self.put(key, value, seconds)
            return value

    @contextmanager
    def _loading(self, key: K) -> Iterator[None]:
        with self._lock:
            loading = self._loads.setdefault(key, _Load())
            loading.threads += 1
        try:
            with loading.lock:
                yield
        finally:
            with self._lock:
                loading.threads -= 1
                if not loading.threads:
                    del self._loads[key]


def _expires_at(key: object, entry: tuple[object, float], now: float) -> float:
    return now + entry[1]
