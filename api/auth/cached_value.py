"""One value loaded from a remote source: refreshed while in use, and served stale while the source is unavailable.

Only one thread loads at a time, and the others use the old value meanwhile. After each attempt, successful or not,
there is a pause, so unauthenticated requests cannot each cause a load.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from api.auth.fetch import FetchError
from artifacts.log import get_logger

logger = get_logger(__name__)

T = TypeVar("T")

FRESH_SECONDS = 300.0  # older values are refreshed on use
USABLE_SECONDS = 3600.0  # older values are not served, even if the refresh fails
PAUSE_SECONDS = 10.0  # between two loads
_WAIT_SECONDS = 2.0  # for another thread's load; bounded, so that unauthenticated requests cannot block every thread
_LOADING = "it has not answered yet"


class CachedValue(Generic[T]):
    """Caches the result of `load`, which raises FetchError. `source` is for the log. `clock`: monotonic seconds."""

    def __init__(self, source: str, load: Callable[[], T], clock: Callable[[], float]) -> None:
        self._source, self._load, self._clock = source, load, clock
        self._lock = threading.Lock()
        self._entry: tuple[T, float] | None = None  # the value, and when it was loaded
        self._attempted_at = float("-inf")
        self._failure = ""

    def get(self) -> T:
        """Return the value, refreshed if due. Raises FetchError if there is no usable value."""
        if self._younger_than(FRESH_SECONDS) is None:
            # One thread refreshes; others wait for it only if they have no usable value.
            self._try_load(_WAIT_SECONDS if self._younger_than(USABLE_SECONDS) is None else 0)
        entry = self._younger_than(USABLE_SECONDS)
        if entry is None:
            raise FetchError(self._failure or _LOADING)
        return entry[0]

    def reload(self) -> T:
        """Load the value again unless that was just tried, and return it. Raises FetchError if the load failed."""
        if not self._try_load(_WAIT_SECONDS):
            raise FetchError(_LOADING)
        if failure := self._failure:
            raise FetchError(failure)
        return self.get()

    def _younger_than(self, seconds: float) -> tuple[T, float] | None:
        entry = self._entry
        return entry if entry is not None and self._clock() - entry[1] < seconds else None

    def _try_load(self, wait_seconds: float) -> bool:
        """Load the value unless that was just tried. Returns False if another thread is still loading."""
        if not self._lock.acquire(timeout=wait_seconds):
            return False
        try:
            if self._clock() - self._attempted_at >= PAUSE_SECONDS:
                self._load_once()
        finally:
            self._lock.release()
        return True

    def _load_once(self) -> None:
        try:
            value = self._load()
        except FetchError as error:
            logger.warning("source not reached", source=self._source, reason=error)
            self._failure = str(error)
        else:
            self._entry, self._failure = (value, self._clock()), ""
        finally:
            self._attempted_at = self._clock()
