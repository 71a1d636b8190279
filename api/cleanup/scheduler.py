"""When the cleanup runs by itself: daily, at a time of day in UTC; at once where that was missed.

The last success is in the store, so every replica knows it, and a restart forgets nothing. `schedule` only asks once
a minute whether it is time: by its own reckoning, in local time, a day is not always a day. Where nothing is to be
cleaned, the minute's look at the store is still what metrics tell of it.
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
RETRY_SECONDS = 3600  # after a run that failed, or that the guard refused
LEASE_RETRY_SECONDS = 300  # after finding that another replica cleans
USAGE_MAX_AGE_SECONDS = DAY_SECONDS / 2  # failed runs are retried hourly

logger = get_logger(__name__)


def last_scheduled(now: float, at: str) -> float:
    """The newest moment up to `now` at which a run was planned; `at`: HH:MM, UTC."""
    hours, minutes = at.split(":")
    time_of_day = int(hours) * 3600 + int(minutes) * 60
    return now - (now - time_of_day) % DAY_SECONDS


def is_overdue(now: float, at: str, last_success: float | None) -> bool:
    """Whether a run should have succeeded since `last_success`. One that is still to come was told by a wrong clock."""
    return last_success is None or last_success > now + MAX_CLOCK_SKEW_SECONDS or last_success < last_scheduled(now, at)


class CleanupScheduler:
    """A thread that cleans when it is time, from `start` to `stop`. `at`: HH:MM, UTC, or "": it never is. `clock`:
    UNIX seconds."""

    def __init__(
        self, cleaner: Cleaner, store: Store, metrics: ApiMetrics, at: str, clock: Callable[[], float]
    ) -> None:
        self._cleaner, self._store, self._metrics, self._at, self._clock = cleaner, store, metrics, at, clock
        self._scheduler = schedule.Scheduler()
        self._stopping = threading.Event()
        self._not_before: tuple[float, float] = (0.0, 0.0)  # from, to: when not to try
        self._not_measured: tuple[float, float] = (0.0, 0.0)  # likewise
        self._thread = threading.Thread(target=self._run, name="cleanup timetable", daemon=True)

    def start(self) -> None:
        """Begin; what is overdue runs now."""
        self._thread.start()

    def stop(self) -> None:
        """End, a run under way too: it goes on at the next start. Comes back when all is done."""
        self._stopping.set()
        self._cleaner.stop()
        self._thread.join()

    def look(self) -> None:
        """Clean if it is time, and show what the store tells of cleanups, whoever did them."""
        now = self._clock()
        try:
            last_success = refresh_metrics(self._store, self._metrics)
        except ArtifactError as error:
            logger.warning("timetable does not know the last cleanup", error=error)
            return None
        if not self._at:
            return self._measure(now, DAY_SECONDS)
        begin, end = self._not_before
        if is_overdue(now, self._at, last_success) and not begin <= now < end and self._knows_jobs():
            again = self._clean()
            self._not_before = (now, now + again)
            if again != LEASE_RETRY_SECONDS:
                self._measure(now, USAGE_MAX_AGE_SECONDS)
        return None

    def _measure(self, now: float, good_for: float) -> None:
        """Measure what is kept, unless some replica has within the last `good_for` seconds."""
        begin, end = self._not_measured
        is_good = now - good_for <= self._metrics.kept.shown.measured_at <= now + MAX_CLOCK_SKEW_SECONDS
        if not is_good and not begin <= now < end:
            self._not_measured = (now, now + RETRY_SECONDS)
            update_usage(self._store, self._metrics, self._clock, lambda: not self._stopping.is_set())

    def _knows_jobs(self) -> bool:
        """Whether the jobs have been read; at the start they are yet to be."""
        try:
            self._cleaner.check()
        except ServiceUnavailable as error:
            logger.info("cleanup put off", why=error)
            return False
        return True

    def _clean(self) -> float:
        """Run, and tell after how many seconds it may be tried again if it did not succeed."""
        try:
            self._cleaner.clean(None)
        except CleanupRefused:  # told already
            return RETRY_SECONDS
        except ConflictError as error:
            logger.info("cleanup put off", why=error)
            return LEASE_RETRY_SECONDS
        except ApiError as error:
            logger.warning("cleanup failed", error=error)
        except Exception:
            logger.exception("cleanup failed")
        return RETRY_SECONDS

    def _run(self) -> None:
        self._plan()
        self.look()
        while not self._stopping.wait(min(max(self._scheduler.idle_seconds or 0.0, 0.1), CHECK_SECONDS)):
            if (self._scheduler.idle_seconds or 0.0) > CHECK_SECONDS:  # the clock was set back
                self._plan()
            self._scheduler.run_pending()

    def _plan(self) -> None:
        self._scheduler.clear()
        self._scheduler.every(CHECK_SECONDS).seconds.do(self.look)
