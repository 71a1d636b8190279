"""The cleanup's state in the store, shared by all replicas: the last success, the last run, and the measured usage."""

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from api.retention.expiry import MAX_EXPIRY_FILE_BYTES, parse_expiry_file
from api.store.store import FileMissing, Store
from artifacts.errors import InvalidDocument
from artifacts.layout import format_expiry

LAST_SUCCESS = "phjob-artifacts/cleanup/last-success"
LAST_RUN = "phjob-artifacts/cleanup/last-run"
USAGE = "phjob-artifacts/cleanup/kept"
CLOCK = "phjob-artifacts/cleanup/clock"  # written to read the store's clock
_MAX_RUN_BYTES = 256 * 1024
_MAX_USAGE_BYTES = 16 * 1024 * 1024
_UNREADABLE = (
    FileMissing,
    InvalidDocument,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)

StoredTotals = tuple[int, int, int]  # jobs, files, bytes


@dataclass(frozen=True)
class LastRun:
    """The last run over all groups: its end, its duration, and the number of job folders that were due.

    `oldest_due` is when the oldest folder that is still due expired, or 0 if none is. Times are UNIX seconds.
    `blocked` is the number of folders that their owners closed to the cleanup, and `blocked_folders` the first ones;
    they do not count in `oldest_due`.
    """

    ended_at: float
    seconds: float
    due: int
    oldest_due: float
    blocked: int = 0
    blocked_folders: Sequence[str] = ()


@dataclass(frozen=True)
class UsageSnapshot:
    """The usage of the store at `measured_at` (UNIX seconds), by group path.

    `unreadable` is the number of folders that could not be read, so that their files are not counted.
    """

    measured_at: float
    groups: Mapping[str, StoredTotals]
    unreadable: int = 0

    @property
    def total(self) -> StoredTotals:
        """The sum over all groups."""
        return sum_totals(self.groups.values())


def sum_totals(rows: Iterable[StoredTotals]) -> StoredTotals:
    """Add up jobs, files and bytes."""
    jobs = files = size = 0
    for row in rows:
        jobs, files, size = jobs + row[0], files + row[1], size + row[2]
    return jobs, files, size


def read_last_success(store: Store) -> float | None:
    """Return when a run over all groups last succeeded (UNIX seconds), or None if that cannot be read."""
    try:
        return parse_expiry_file(store.read(LAST_SUCCESS, MAX_EXPIRY_FILE_BYTES))
    except (FileMissing, InvalidDocument):
        return None


def write_last_success(store: Store, now: float) -> None:
    """Record that a run over all groups has succeeded. Raises StoreError."""
    store.write(LAST_SUCCESS, format_expiry(now))


def read_last_run(store: Store) -> LastRun | None:
    """Return the last run, or None if it cannot be read. Raises StoreError."""
    try:
        fields = json.loads(store.read(LAST_RUN, _MAX_RUN_BYTES))
        ended_at, seconds, oldest_due = (float(fields[name]) for name in ("ended_at", "seconds", "oldest_due"))
        run = LastRun(ended_at, seconds, int(fields["due"]), oldest_due, int(fields.get("blocked", 0)))
    except _UNREADABLE:
        return None
    return run if all(map(math.isfinite, (ended_at, seconds, oldest_due))) else None


def write_last_run(store: Store, run: LastRun) -> None:
    """Record the last run. Raises StoreError."""
    store.write(LAST_RUN, json.dumps(asdict(run)).encode())


def read_usage(store: Store) -> UsageSnapshot | None:
    """Return the measured usage, or None if it cannot be read. Raises StoreError."""
    try:
        fields = json.loads(store.read(USAGE, _MAX_USAGE_BYTES))
        rows = fields["groups"].items()
        groups = {str(group): (int(jobs), int(files), int(size)) for group, (jobs, files, size) in rows}
        return UsageSnapshot(float(fields["measured_at"]), groups, int(fields.get("unreadable", 0)))
    except _UNREADABLE:
        return None


def write_usage(store: Store, usage: UsageSnapshot) -> None:
    """Record the measured usage. Raises StoreError."""
    fields = {"measured_at": usage.measured_at, "groups": usage.groups, "unreadable": usage.unreadable}
    store.write(USAGE, json.dumps(fields).encode())


def store_time(store: Store) -> float:
    """Return the store's current time (UNIX seconds), by writing a file."""
    store.write(CLOCK, b"%d\n" % time.monotonic_ns())  # different each time, so that the store must write it
    return store.stat(CLOCK).modified_at
