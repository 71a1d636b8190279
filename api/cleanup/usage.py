"""How much is kept, by group: measured by a walk through the store after the daily cleanup, and kept in the store.

The walk is the only way to know: what reports say is their jobs' word. Nobody waits for it, so it lists one folder
after another; it ends where it takes too long, and then what was measured before stays.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.folder import group_path_or_none, job_folders_prefix
from api.store.store import FileMissing, Item, Store
from api.usage import GroupUsage, count_usage
from artifacts.errors import InvalidDocument, StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)

USAGE = "phjob-artifacts/cleanup/kept"
MOST_SECONDS = 1800.0
_MOST_FILES = 100_000_000
_MOST_BYTES = 16 * 1024 * 1024
_OTHER = "other"
_FIGURES = {
    "jobs": "Job folders in the store, when it was last measured",
    "files": "Files in them",
    "bytes": "Bytes in them",
}

Figures = tuple[int, int, int]  # jobs, files, bytes


@dataclass(frozen=True)
class UsageSnapshot:
    """What was kept at `measured_at` (UNIX seconds), by group path."""

    measured_at: float
    groups: Mapping[str, Figures]

    @property
    def total(self) -> Figures:
        return _sum(self.groups.values())


def measure_usage(store: Store, clock: Callable[[], float], may_go_on: Callable[[], bool]) -> UsageSnapshot | None:
    """Walk through all groups; None where that was given up. Raises StoreError."""
    until = time.monotonic() + MOST_SECONDS

    def in_time() -> bool:
        return may_go_on() and time.monotonic() < until

    groups: dict[str, Figures] = {}
    for group in list(_groups(store)):
        counted = _tally_group(store, job_folders_prefix(group), in_time)
        if not (counted.complete and in_time()):
            return None
        if counted.jobs:
            groups[group] = (counted.jobs, counted.files, counted.bytes)
    return UsageSnapshot(clock(), groups)


def write_usage(store: Store, kept: UsageSnapshot) -> None:
    """Note it. Raises StoreError."""
    store.write(USAGE, json.dumps({"measured_at": kept.measured_at, "groups": kept.groups}).encode())


def read_usage(store: Store) -> UsageSnapshot | None:
    """None where nothing that can be read is there. Raises StoreError."""
    try:
        told = json.loads(store.read(USAGE, _MOST_BYTES))
        rows = told["groups"].items()
        groups = {str(group): (int(jobs), int(files), int(size)) for group, (jobs, files, size) in rows}
        return UsageSnapshot(float(told["measured_at"]), groups)
    except (
        FileMissing,
        InvalidDocument,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return None


class UsageCollector(Collector):
    """The series of what is kept. `most`: groups that are told by name, the largest; 0: none, and no others."""

    def __init__(self, prefix: str, most: int) -> None:
        self._prefix, self._most = prefix, most
        self.shown = UsageSnapshot(0.0, {})

    def collect(self) -> Iterator[Metric]:
        kept = self.shown
        for (name, text), total in zip(_FIGURES.items(), kept.total, strict=True):
            yield GaugeMetricFamily(f"{self._prefix}kept_{name}", text, total)
        text = "When the store was last measured: after each daily cleanup; 0: never"
        yield GaugeMetricFamily(f"{self._prefix}kept_measured_timestamp_seconds", text, kept.measured_at)
        if self._most:
            yield from self._by_group(kept)

    def _by_group(self, kept: UsageSnapshot) -> Iterator[Metric]:
        largest = sorted(kept.groups.items(), key=lambda row: row[1][2], reverse=True)
        named = [row for row in largest if row[0] != _OTHER][: self._most]
        rest = kept.groups.keys() - dict(named).keys()
        shown = {**dict(named), _OTHER: _sum(kept.groups[group] for group in rest)}
        for place, name in enumerate(_FIGURES):
            text = f"As kept_{name}, by group"
            family = GaugeMetricFamily(f"{self._prefix}group_kept_{name}", text, labels=["group"])
            for group, figures in shown.items():
                family.add_metric([group], figures[place])
            yield family


def _sum(rows: Iterable[Figures]) -> Figures:
    jobs = files = size = 0
    for row in rows:
        jobs, files, size = jobs + row[0], files + row[1], size + row[2]
    return jobs, files, size


def _groups(store: Store) -> Iterator[str]:
    for item in store.list("groups/", recursive=False):
        name = item.name.rstrip("/")
        if item.size is None and group_path_or_none(name) == name:
            yield name


def _tally_group(store: Store, prefix: str, in_time: Callable[[], bool]) -> GroupUsage:
    try:
        return count_usage(_while(in_time, store.list(prefix)), in_time, _MOST_FILES)
    except StoreError as error:
        logger.info("measured job by job", prefix=prefix, error=error)
    return count_usage(_while(in_time, _readable(store, prefix)), in_time, _MOST_FILES)


def _readable(store: Store, prefix: str) -> Iterator[Item]:
    """What can be listed of each job: one with a folder that its user closed hides no other."""
    for job in store.list(prefix, recursive=False):
        if job.size is not None:
            continue
        try:
            for item in store.list(prefix + job.name):
                yield item._replace(name=job.name + item.name)
        except StoreError as error:
            logger.warning("measured in part", prefix=prefix + job.name, error=error)


def _while(in_time: Callable[[], bool], items: Iterator[Item]) -> Iterator[Item]:
    for item in items:
        if not in_time():
            return
        yield item
