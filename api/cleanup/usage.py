"""Measures how much each group stores, after the daily cleanup, and exposes the result as metrics.

Only a walk through the store gives these numbers: reports are written by jobs. No request waits for the walk, so it
lists one group after another. If the walk takes too long, it is aborted and the previous measurement stays. Folders
that their owners closed are counted and logged instead of measured.
"""

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.cleanup.state import StoredTotals, UsageSnapshot, sum_totals
from api.folder import group_path_or_none, job_folders_prefix
from api.store.store import Item, Store
from api.usage import GroupUsage, count_usage, list_in_time
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)

MAX_SECONDS = 1800.0
_MAX_FILES = 100_000_000
_OTHER = "other"
_HELP = {
    "jobs": "Job folders in the store at the last measurement",
    "files": "Files in the job folders at the last measurement",
    "bytes": "Bytes in the job folders at the last measurement",
}


def measure_usage(store: Store, clock: Callable[[], float], may_continue: Callable[[], bool]) -> UsageSnapshot | None:
    """Walk through all groups. Returns None if the walk was aborted. Raises StoreError."""
    deadline = time.monotonic() + MAX_SECONDS

    def is_in_time() -> bool:
        return may_continue() and time.monotonic() < deadline

    walk = _Walk(store, is_in_time)
    groups: dict[str, StoredTotals] = {}
    for group in list(_list_groups(store)):
        usage = walk.measure(job_folders_prefix(group))
        if not (usage.complete and is_in_time()):
            return None
        if usage.jobs:
            groups[group] = (usage.jobs, usage.files, usage.bytes)
    if walk.unreadable:
        logger.warning("folders not measured", folders=walk.unreadable, first_error=walk.first_error)
    return UsageSnapshot(clock(), groups, walk.unreadable)


class UsageCollector(Collector):
    """Exposes `snapshot` as metrics. The largest `max_groups` groups get a label; 0 disables the metrics by group."""

    def __init__(self, prefix: str, max_groups: int) -> None:
        self._prefix, self._max_groups = prefix, max_groups
        self.snapshot = UsageSnapshot(0.0, {})

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        snapshot = self.snapshot
        for (name, text), total in zip(_HELP.items(), snapshot.total, strict=True):
            yield GaugeMetricFamily(f"{self._prefix}kept_{name}", text, total)
        text = "Folders that the last measurement could not read, so that their files are not counted"
        yield GaugeMetricFamily(f"{self._prefix}kept_unreadable_folders", text, snapshot.unreadable)
        text = "Time of the last measurement of the store, which follows each daily cleanup; 0 if there was none"
        yield GaugeMetricFamily(f"{self._prefix}kept_measured_timestamp_seconds", text, snapshot.measured_at)
        if self._max_groups:
            yield from self._collect_groups(snapshot)

    def _collect_groups(self, snapshot: UsageSnapshot) -> Iterator[Metric]:
        largest = sorted(snapshot.groups.items(), key=lambda row: row[1][2], reverse=True)
        labelled = dict([row for row in largest if row[0] != _OTHER][: self._max_groups])
        rest = snapshot.groups.keys() - labelled.keys()
        rows = {**labelled, _OTHER: sum_totals(snapshot.groups[group] for group in rest)}
        for index, (name, text) in enumerate(_HELP.items()):
            family = GaugeMetricFamily(f"{self._prefix}group_kept_{name}", f"{text}, by group", labels=["group"])
            for group, totals in rows.items():
                family.add_metric([group], totals[index])
            yield family


def _list_groups(store: Store) -> Iterator[str]:
    for item in store.list("groups/", recursive=False):
        name = item.name.rstrip("/")
        if item.size is None and group_path_or_none(name) == name:
            yield name


class _Walk:
    """Measures groups. Counts the folders that could not be read."""

    def __init__(self, store: Store, is_in_time: Callable[[], bool]) -> None:
        self._store, self._is_in_time = store, is_in_time
        self.unreadable = 0
        self.first_error: StoreError | None = None

    def measure(self, prefix: str) -> GroupUsage:
        """Measure the group whose job folders are below `prefix`."""
        unreadable = self.unreadable
        try:
            return self._count(self._list(prefix))
        except StoreError as error:
            logger.info("group not listed", prefix=prefix, error=error)
        self.unreadable = unreadable  # the same folders are read again
        return self._count(self._list_each_job(prefix))

    def _count(self, items: Iterator[Item]) -> GroupUsage:
        return count_usage(items, self._is_in_time, _MAX_FILES)

    def _list_each_job(self, prefix: str) -> Iterator[Item]:
        """List each job folder separately, so that one that fails does not hide the others."""
        for job in self._store.list(prefix, recursive=False, on_unreadable=self._add_unreadable):
            if job.size is not None:
                continue
            try:
                for item in self._list(prefix + job.name):
                    yield item._replace(name=job.name + item.name)
            except StoreError as error:
                self._add_unreadable(error)

    def _list(self, prefix: str) -> Iterator[Item]:
        return list_in_time(self._store, prefix, self._is_in_time, self._add_unreadable)

    def _add_unreadable(self, error: StoreError) -> None:
        self.unreadable += 1
        self.first_error = self.first_error or error
