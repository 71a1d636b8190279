"""A work queue of keys: each key is queued once, however often it is added, and processed by one worker at a time.

A key that is added while it is being processed is queued again afterwards, so no change is missed. A key whose
processing failed is queued again after a delay that grows with each failure; other keys do not wait for it. Keys with
low priority wait until no other key is due.
"""

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from kube.backoff import Backoff

_MAX_WAIT_SECONDS = 3600.0  # a lock cannot wait until the year 30000


class WorkQueue:
    """A thread-safe queue. `on_wait(seconds)` is called with the time that each key waited for a worker."""

    def __init__(
        self,
        *,
        initial_delay_seconds: float = 0.5,
        max_delay_seconds: float = 60.0,
        on_wait: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._delays, self._on_wait, self._clock = (initial_delay_seconds, max_delay_seconds), on_wait, clock
        self._changed = threading.Condition()
        self._due: OrderedDict[str, float] = OrderedDict()  # key -> due since; first in, first out
        self._low_priority: OrderedDict[str, float] = OrderedDict()  # as _due; no key is in both
        self._delayed: list[tuple[float, str]] = []  # a heap; may contain outdated entries
        self._due_at: dict[str, float] = {}  # key -> time of its valid entry in _delayed
        self._processing: set[str] = set()
        self._dirty: dict[str, float] = {}  # keys that were added while being processed -> due since
        self._failures: dict[str, Backoff] = {}
        self._closed = False

    def __len__(self) -> int:
        """Return the number of keys that are due."""
        with self._changed:
            return len(self._due) + len(self._low_priority) + len(self._dirty)

    def add(self, key: str, *, low_priority: bool = False) -> None:
        """Queue the key now. A key that is queued already keeps the higher priority."""
        with self._changed:
            if low_priority and key not in self._processing and key not in self._due:
                self._low_priority.setdefault(key, self._clock())
                self._changed.notify()
            else:
                self._add(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Queue the key after a delay, unless it is queued earlier."""
        with self._changed:
            at = self._clock() + seconds
            if at < self._due_at.get(key, float("inf")):
                self._due_at[key] = at
                heapq.heappush(self._delayed, (at, key))
                self._changed.notify()

    def get(self) -> str | None:
        """Wait for a key that is due and return it; the caller must call `done`. Returns None once closed."""
        with self._changed:
            while not self._closed:
                self._move_due()
                if keys := self._due or self._low_priority:
                    key, since = keys.popitem(last=False)
                    self._processing.add(key)
                    self._on_wait(max(0.0, self._clock() - since))
                    return key
                self._changed.wait(self._wait_seconds())
            return None

    def done(self, key: str, *, failed: bool = False, after: float = 0.0) -> None:
        """End the processing of the key. If it failed, queue the key again after at least `after` seconds."""
        with self._changed:
            self._processing.discard(key)
            since = self._dirty.pop(key, None)
            if not failed:
                self._failures.pop(key, None)
                if since is not None:
                    self._add(key, since)
                return
        backoff = self._failures.setdefault(key, Backoff(*self._delays))
        self.add_after(key, max(backoff.next(), after))

    def close(self) -> None:
        """Close the queue: every `get` returns None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, key: str, since: float | None = None) -> None:
        since = self._clock() if since is None else since
        if key in self._processing:
            self._dirty.setdefault(key, since)
        elif key not in self._due:
            self._due[key] = self._low_priority.pop(key, since)
            self._changed.notify()

    def _move_due(self) -> None:
        now = self._clock()
        while self._delayed:
            at, key = self._delayed[0]
            is_valid = self._due_at.get(key) == at
            if is_valid and at > now:
                return
            heapq.heappop(self._delayed)
            if is_valid:
                del self._due_at[key]
                self._add(key, at)

    def _wait_seconds(self) -> float | None:
        if not self._delayed:
            return None
        return min(_MAX_WAIT_SECONDS, max(0.0, self._delayed[0][0] - self._clock()))
