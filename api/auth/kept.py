"""A value that is loaded from elsewhere and kept: renewed while in use, and used on while elsewhere is out of reach.

One thread loads at a time. Whoever has a value to go on with does not wait for it, and a load that has just been
tried, well or not, is not tried again at once: what strangers send makes no load per request.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from api.auth.fetch import FetchFailed
from artifacts.log import get_logger

logger = get_logger(__name__)

T = TypeVar("T")

FRESH_SECONDS = 300.0  # then it is renewed
USABLE_SECONDS = 3600.0  # then it is no longer trusted, renewed or not
PAUSE_SECONDS = 10.0  # between two loads
_WAIT_SECONDS = 2.0  # for another thread's load: strangers who send what is unknown must not hold every thread
_BEING_ASKED = "it has not answered yet"


class Kept(Generic[T]):
    """What `load` returns; it raises FetchFailed. `name` is for the log. `clock`: monotonic seconds."""

    def __init__(self, name: str, load: Callable[[], T], clock: Callable[[], float]) -> None:
        self._name, self._load, self._clock = name, load, clock
        self._lock = threading.Lock()
        self._value: tuple[T, float] | None = None
        self._tried_at = float("-inf")
        self._failure = ""

    def get(self) -> T:
        """The value, renewed where it is due. Raises FetchFailed where there is none that may be used."""
        if self._usable(FRESH_SECONDS) is None:
            # One thread renews it, the others go on with the old one; without one they wait.
            self._renew(_WAIT_SECONDS if self._usable(USABLE_SECONDS) is None else 0)
        kept = self._usable(USABLE_SECONDS)
        if kept is None:
            raise FetchFailed(self._failure or _BEING_ASKED)
        return kept[0]

    def renewed(self) -> T:
        """The value as it is now: loaded anew, unless it just was. Raises FetchFailed where that failed."""
        if not self._renew(_WAIT_SECONDS):
            raise FetchFailed(_BEING_ASKED)
        if failure := self._failure:
            raise FetchFailed(failure)
        return self.get()

    def _usable(self, seconds: float) -> tuple[T, float] | None:
        kept = self._value
        return kept if kept is not None and self._clock() - kept[1] < seconds else None

    def _renew(self, seconds: float) -> bool:
        """Load it if that was not just tried; False where another thread still does so after `seconds`."""
        if not self._lock.acquire(timeout=seconds):
            return False
        try:
            if self._clock() - self._tried_at >= PAUSE_SECONDS:
                self._try()
        finally:
            self._lock.release()
        return True

    def _try(self) -> None:
        try:
            value = self._load()
        except FetchFailed as error:
            logger.warning("not reached", what=self._name, reason=error)
            self._failure = str(error)
        else:
            self._value, self._failure = (value, self._clock()), ""
        finally:
            self._tried_at = self._clock()
