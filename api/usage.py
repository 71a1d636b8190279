"""What the artifacts of a group take up: counted by a walk through the store, within bounds, and kept for a while."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from api.cache import ExpiringCache
from api.folder import job_folders_prefix
from api.listing import is_reserved
from api.store.store import Item, Store
from artifacts.log import get_logger
from artifacts.names import group_path

logger = get_logger(__name__)

KEPT_SECONDS = 300.0
MOST_FILES = 1_000_000
MOST_SECONDS = 10.0
_MAX_GROUPS = 10_000
_AT_ONCE = 1000  # files between two looks at the clock


@dataclass(frozen=True)
class Tally:
    """Job folders, files and bytes; `complete`: there are no more than these."""

    jobs: int
    files: int
    bytes: int
    complete: bool


@dataclass(frozen=True)
class Measured:
    """A tally, and when it was made (UNIX seconds)."""

    tally: Tally
    at: float


def tally(items: Iterable[Item], in_time: Callable[[], bool], most: int = MOST_FILES) -> Tally:
    """Count files named `<job>/<path>`, which come job by job, as long as `in_time` says so. Pure."""
    jobs = files = size = 0
    job = ""
    for number, item in enumerate(items, start=1):
        if number > most or (number % _AT_ONCE == 0 and not in_time()):
            return Tally(jobs, files, size, False)
        of_job, _, path = item.name.partition("/")
        if not path or is_reserved(path):
            continue
        if of_job != job:
            job, jobs = of_job, jobs + 1
        files, size = files + 1, size + (item.size or 0)
    return Tally(jobs, files, size, True)


class Usage:
    """Tallies by group path. `clock` tells UNIX seconds, `timer` monotonic ones."""

    def __init__(self, store: Store, clock: Callable[[], float], timer: Callable[[], float]) -> None:
        self._store, self._clock, self._timer = store, clock, timer
        self._cache: ExpiringCache[str, Measured] = ExpiringCache(_MAX_GROUPS, timer)
        self._walking = threading.Lock()  # one walk at a time: it takes the store's time from others

    def of(self, group: str) -> Measured:
        """The group's tally, at most KEPT_SECONDS old. Raises StoreError."""
        path = group_path(group)
        with self._walking:
            return self._cache.get_or_load(path, lambda: (self._walk(path), KEPT_SECONDS))

    def _walk(self, path: str) -> Measured:
        deadline = self._timer() + MOST_SECONDS
        items = self._store.list(job_folders_prefix(path))
        counted = tally(items, lambda: self._timer() < deadline)
        logger.info(
            "measured",
            group=path,
            jobs=counted.jobs,
            files=counted.files,
            bytes=counted.bytes,
            complete=counted.complete,
        )
        return Measured(counted, self._clock())
