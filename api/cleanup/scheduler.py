"""Runs the cleanup daily at a UTC time of day, or immediately if that run was missed.

The time of the last success is in the store, so all replicas share it and a restart loses nothing. `schedule` only
triggers a check once a minute: it counts local time, in which a day does not always have 24 hours. With the cleanup
disabled, the check still refreshes the store metrics.
"""

import threading
from collections.abc import Callable

import schedule

from api.cleanup.cleaner import Cleaner
from api.cleanup.store_metrics import refresh_metrics, update_usage
from api.errors import ApiError, CleanupRefused, ConflictError, ServiceUnavailable
from api.metrics import ApiMetrics
from api.retention.expiry import MAX_CLOCK_SKEW_SECONDS
from api.store.store import Store
from artifacts.errors import ArtifactError
from artifacts.log import get_logger

DAY_SECONDS = 86400
CHECK_SECONDS = 60
RETRY_SECONDS = 3600  # after a failed run, or one that the guard refused
LOCK_RETRY_SECONDS = 300  # while another replica runs the cleanup
USAGE_MAX_AGE_SECONDS = DAY_SECONDS / 2  # failed runs are retried hourly; do not measure the usage each time

logger = get_logger(__name__)


def last_scheduled(now: float, at: str) -> float:
    """Return the latest scheduled time that is not after `now` (UNIX seconds). `at` is HH:MM in UTC."""
    hours, minutes = at.split(":")
    time_of_day = int(hours) * 3600 + int(minutes) * 60
    return now - (now - time_of_day) % DAY_SECONDS


def is_overdue(now: float, at: str, last_success: float | None) -> bool:
    """Return whether the last scheduled run has not succeeded yet.

    A success in the future comes from a wrong clock and does not count.
    """
    if last_success is None or last_success > now + MAX_CLOCK_SKEW_SECONDS:
        return True
    return last_success < last_scheduled(now, at)


class CleanupScheduler:
    """Runs the cleanup in a thread between `start` and `stop`.

    `at` is HH:MM in UTC, or "" to disable the cleanup. `clock` returns UNIX seconds.
    """

    def __init__(
        self, cleaner: Cleaner, store: Store, metrics: ApiMetrics, at: str, clock: Callable[[], float]
    ) -> None:
        self._cleaner, self._store, self._metrics, self._at, self._clock = cleaner, store, metrics, at, clock
        self._scheduler = schedule.Scheduler()
        self._stopping = threading.Event()
        # No attempt is made between these two times. Both are needed: the clock may be set back before the first.
        self._run_pause: tuple[float, float] = (0.0, 0.0)
        self._usage_pause: tuple[float, float] = (0.0, 0.0)
        self._thread = threading.Thread(target=self._loop, name="cleanup scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread. An overdue run starts now."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and a run in progress, which resumes at the next start. Waits for both."""
        self._stopping.set()
        self._cleaner.stop()
        self._thread.join()

    def check(self) -> None:
        """Run the cleanup if it is overdue, and refresh the metrics from the replicas' shared state in the store."""
        now = self._clock()
        try:
            last_success = refresh_metrics(self._store, self._metrics)
        except ArtifactError as error:
            logger.warning("time of the last cleanup not read", error=error)
            return
        if not self._at:
            self._measure(now, DAY_SECONDS)
        elif is_overdue(now, self._at, last_success) and not _is_within(now, self._run_pause) and self._has_jobs():
            retry_seconds = self._run_cleanup()
            self._run_pause = (now, now + retry_seconds)
            if retry_seconds != LOCK_RETRY_SECONDS:
                self._measure(now, USAGE_MAX_AGE_SECONDS)

    def _measure(self, now: float, max_age_seconds: float) -> None:
        """Measure the usage, unless a replica has measured it within the last `max_age_seconds`."""
        measured_at = self._metrics.usage.snapshot.measured_at
        is_recent = now - max_age_seconds <= measured_at <= now + MAX_CLOCK_SKEW_SECONDS
        if not is_recent and not _is_within(now, self._usage_pause):
            self._usage_pause = (now, now + RETRY_SECONDS)
            update_usage(self._store, self._metrics, self._clock, lambda: not self._stopping.is_set())

    def _has_jobs(self) -> bool:
        """Return whether the PhJobs have been read; false shortly after the start."""
        try:
            self._cleaner.check()
        except ServiceUnavailable as error:
            logger.info("cleanup postponed", reason=error)
            return False
        return True

    def _run_cleanup(self) -> float:
        """Run the cleanup. Returns the seconds to wait before the next attempt if it did not succeed."""
        try:
            self._cleaner.clean(None)
        except CleanupRefused:  # the cleaner has logged the reason
            return RETRY_SECONDS
        except ConflictError as error:
            logger.info("cleanup postponed", reason=error)
            return LOCK_RETRY_SECONDS
        except ApiError as error:
            logger.warning("cleanup failed", error=error)
        except Exception:
            logger.exception("cleanup failed")
        return RETRY_SECONDS

    def _loop(self) -> None:
        self._schedule()
        self.check()
        while not self._stopping.wait(min(max(self._scheduler.idle_seconds or 0.0, 0.1), CHECK_SECONDS)):
            if (self._scheduler.idle_seconds or 0.0) > CHECK_SECONDS:  # the clock was set back
                self._schedule()
            self._scheduler.run_pending()

    def _schedule(self) -> None:
        self._scheduler.clear()
        self._scheduler.every(CHECK_SECONDS).seconds.do(self.check)


def _is_within(now: float, interval: tuple[float, float]) -> bool:
    start, end = interval
    return start <= now < end
