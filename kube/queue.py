"""Keys that are to be worked on: each once however often it was added, and by one worker at a time.

A key that is added while it is worked on comes again afterwards, so no change is missed. A key whose work failed comes
again after a delay that grows with each failure; other keys are not held up by it.
"""

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from kube.backoff import Backoff

_MOST_WAIT = 3600.0  # a lock cannot wait until the year 30000


class WorkQueue:
    """Thread-safe. `waited(seconds)` is told how long each key was due before a worker took it."""

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
        self._due: OrderedDict[str, float] = OrderedDict()  # key -> since when; first in, first out
        self._later: list[tuple[float, str]] = []
        self._wake_at: dict[str, float] = {}  # key -> its entry in _later that counts
        self._working: set[str] = set()
        self._again: dict[str, float] = {}  # added while worked on
        self._failures: dict[str, Backoff] = {}
        self._closed = False

    def __len__(self) -> int:
        """How many keys are due."""
        with self._changed:
            return len(self._due) + len(self._again)

    def add(self, key: str) -> None:
        """The key is due now."""
        with self._changed:
            self._add(key)

    def add_after(self, key: str, seconds: float) -> None:
        """The key is due in so many seconds, unless it comes to be earlier."""
        with self._changed:
            at = self._clock() + seconds
            if at < self._wake_at.get(key, float("inf")):
                self._wake_at[key] = at
                heapq.heappush(self._later, (at, key))
                self._changed.notify()

    def get(self) -> str | None:
        """Wait for a key that is due; None once the queue is closed. `done` must follow."""
        with self._changed:
            while not self._closed:
                self._move_due()
                if self._due:
                    key, since = self._due.popitem(last=False)
                    self._working.add(key)
                    self._on_wait(max(0.0, self._clock() - since))
                    return key
                self._changed.wait(self._pause())
            return None

    def done(self, key: str, *, failed: bool = False, after: float = 0.0) -> None:
        """The work on the key has ended; where it `failed`, it is due again after a while, at least `after` seconds."""
        with self._changed:
            self._working.discard(key)
            since = self._again.pop(key, None)
            if not failed:
                self._failures.pop(key, None)
                if since is not None:
                    self._add(key, since)
                return
        backoff = self._failures.setdefault(key, Backoff(*self._delays))
        self.add_after(key, max(backoff.next(), after))

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, key: str, since: float | None = None) -> None:
        since = self._clock() if since is None else since
        if key in self._working:
            self._again.setdefault(key, since)
        elif key not in self._due:
            self._due[key] = since
            self._changed.notify()

    def _move_due(self) -> None:
        now = self._clock()
        while self._later and (self._later[0][0] <= now or self._wake_at.get(self._later[0][1]) != self._later[0][0]):
            at, key = heapq.heappop(self._later)
            if self._wake_at.get(key) == at:
                del self._wake_at[key]
                self._add(key, at)

    def _pause(self) -> float | None:
        return min(_MOST_WAIT, max(0.0, self._later[0][0] - self._clock())) if self._later else None
