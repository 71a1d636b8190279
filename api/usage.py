"""Measures how many jobs, files and bytes a group's artifacts have, within limits, and caches the result."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from api.cache import ExpiringCache
from api.folder import job_folders_prefix
from api.listing import is_reserved
from api.store.store import Item, OnUnreadable, Store
from artifacts.errors import StoreError
from artifacts.log import get_logger
from artifacts.names import group_path

logger = get_logger(__name__)

CACHE_SECONDS = 300.0
MAX_FILES = 1_000_000
MAX_SECONDS = 10.0
_MAX_GROUPS = 10_000
_CLOCK_INTERVAL = 1000  # files between two checks of the time


@dataclass(frozen=True)
class GroupUsage:
    """Job folders, files and bytes of a group. `complete` is False if there may be more than were counted."""

    jobs: int
    files: int
    bytes: int
    complete: bool


@dataclass(frozen=True)
class MeasuredUsage:
    """A group's usage at `measured_at` (UNIX seconds)."""

    usage: GroupUsage
    measured_at: float


def count_usage(items: Iterable[Item], has_time: Callable[[], bool], max_files: int = MAX_FILES) -> GroupUsage:
    """Count files named `<job>/<path>` and sorted by job, until `has_time` returns False. Pure."""
    jobs = files = size = 0
    current_job = ""
    for number, item in enumerate(items, start=1):
        if number > max_files or (number % _CLOCK_INTERVAL == 0 and not has_time()):
            return GroupUsage(jobs, files, size, False)
        job, _, path = item.name.partition("/")
        if not path or is_reserved(path):
            continue
        if job != current_job:
            current_job, jobs = job, jobs + 1
        files, size = files + 1, size + (item.size or 0)
    return GroupUsage(jobs, files, size, True)


def list_in_time(
    store: Store, prefix: str, has_time: Callable[[], bool], on_unreadable: OnUnreadable
) -> Iterator[Item]:
    """List the files below `prefix` until `has_time` returns False, even if there are only folders."""

    def check_time(_: int) -> None:
        if not has_time():
            raise _OutOfTime

    with suppress(_OutOfTime):
        yield from store.list(prefix, on_read=check_time, on_unreadable=on_unreadable)


class _OutOfTime(Exception):
    pass


class UsageCache:
    """Usage by group path. `clock` returns UNIX seconds, `timer` monotonic seconds."""

    def __init__(self, store: Store, clock: Callable[[], float], timer: Callable[[], float]) -> None:
        self._store, self._clock, self._timer = store, clock, timer
        self._cache: ExpiringCache[str, MeasuredUsage] = ExpiringCache(_MAX_GROUPS, timer)
        self._lock = threading.Lock()  # measures one group at a time, so that other requests can use the store

    def get(self, group: str) -> MeasuredUsage:
        """Return the group's usage, at most CACHE_SECONDS old. Raises StoreError."""
        path = group_path(group)
        with self._lock:
            return self._cache.get_or_load(path, lambda: (self._measure(path), CACHE_SECONDS))

    def _measure(self, path: str) -> MeasuredUsage:
        deadline = self._timer() + MAX_SECONDS
        unreadable = 0

        def has_time() -> bool:
            return self._timer() < deadline

        def count_unreadable(_: StoreError) -> None:
            nonlocal unreadable
            unreadable += 1

        usage = count_usage(list_in_time(self._store, job_folders_prefix(path), has_time, count_unreadable), has_time)
        usage = replace(usage, complete=usage.complete and has_time() and not unreadable)
        logger.info(
            "usage measured",
            group=path,
            jobs=usage.jobs,
            files=usage.files,
            bytes=usage.bytes,
            complete=usage.complete,
            unreadable_folders=unreadable,
        )
        return MeasuredUsage(usage, self._clock())
