"""The thread in which the leader looks after its duties, each again and again; what fails is soon tried again."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from artifacts.log import get_logger
from kube import errors
from kube.backoff import Backoff

logger = get_logger(__name__)

_FIRST_RETRY, _LAST_RETRY = 0.5, 60.0


class Duty(Protocol):
    """Something to be kept in order. `look` may be called at any time; it raises KubeError."""

    @property
    def name(self) -> str: ...

    def look(self) -> None: ...


class Upkeep:
    """From `start` to `stop`, while `leads()`. `wake`: look now."""

    def __init__(
        self,
        duties: Sequence[Duty],
        leads: Callable[[], bool],
        seconds: float = 60.0,
    ) -> None:
        self._duties, self._leads, self._seconds = duties, leads, seconds
        self._retry = Backoff(_FIRST_RETRY, _LAST_RETRY)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """End, after what is under way."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            failed = [duty for duty in self._duties if not self._look(duty)] if self._leads() else []
            if not failed:
                self._retry.reset()
            if not self._stop.is_set():
                self._wake.wait(self._retry.next() if failed else self._seconds)

    def _look(self, duty: Duty) -> bool:
        try:
            duty.look()
        except errors.KubeError as error:
            logger.warning("to be tried again", duty=duty.name, error=error)
            return False
        except Exception:  # what others wrote into these objects must not end the thread
            logger.exception("fault", duty=duty.name)
            return False
        return True
