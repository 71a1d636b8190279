"""Runs the leader's tasks periodically in a thread. A task that failed is retried soon."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from artifacts.log import get_logger
from kube import errors
from kube.backoff import Backoff

logger = get_logger(__name__)

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.5, 60.0


class Task(Protocol):
    """Something the leader must keep in its desired state."""

    @property
    def name(self) -> str:
        """The name for log lines."""

    def reconcile(self) -> None:
        """Establish the desired state. Idempotent. Raises KubeError."""


class PeriodicTasks:
    """Reconciles all tasks every `seconds` between `start` and `stop`, while `is_leader()`."""

    def __init__(
        self,
        tasks: Sequence[Task],
        is_leader: Callable[[], bool],
        seconds: float = 60.0,
    ) -> None:
        self._tasks, self._is_leader, self._seconds = tasks, is_leader, seconds
        self._retry = Backoff(_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS)
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="periodic tasks", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Reconcile now."""
        self._wake.set()

    def stop(self) -> None:
        """Stop after the current task."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            failed = [task for task in self._tasks if not self._reconcile(task)] if self._is_leader() else []
            if not failed:
                self._retry.reset()
            if not self._stop.is_set():
                self._wake.wait(self._retry.next() if failed else self._seconds)

    def _reconcile(self, task: Task) -> bool:
        """Reconcile a task; return whether it succeeded."""
        try:
            task.reconcile()
        except errors.KubeError as error:
            logger.warning("task failed, it will be retried", task=task.name, error=error)
            return False
        except Exception:  # other writers can put anything into these objects, which must not end the thread
            logger.exception("task crashed", task=task.name)
            return False
        return True
