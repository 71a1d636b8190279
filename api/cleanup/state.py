"""What the last run over all groups found: kept in the store, so that every replica tells the same of it."""

import json
import math
import time
from dataclasses import asdict, dataclass

from api.retention.expiry import MAX_EXPIRY_FILE_BYTES, parse_expiry_file
from api.store.store import FileMissing, Store
from artifacts.errors import InvalidDocument
from artifacts.layout import format_expiry

LAST_RUN = "phjob-artifacts/cleanup/last-run"
_MOST_BYTES = 4096


@dataclass(frozen=True)
class LastRun:
    """`ended_at`: UNIX seconds. `due`: job folders that were. `oldest_due`: since when the oldest that is still there
    has been due, UNIX seconds; 0: none is."""

    ended_at: float
    seconds: float
    due: int
    oldest_due: float


def write_last_run(store: Store, run: LastRun) -> None:
    """Note it. Raises StoreError."""
    store.write(LAST_RUN, json.dumps(asdict(run)).encode())


def read_last_run(store: Store) -> LastRun | None:
    """None where nothing that can be read is there. Raises StoreError."""
    try:
        told = json.loads(store.read(LAST_RUN, _MOST_BYTES))
        ended_at, seconds, oldest = (float(told[name]) for name in ("ended_at", "seconds", "oldest_due"))
        run = LastRun(ended_at, seconds, int(told["due"]), oldest)
    except (FileMissing, InvalidDocument, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return run if all(map(math.isfinite, (ended_at, seconds, oldest))) else None


LAST_SUCCESS = "phjob-artifacts/cleanup/last-success"
CLOCK = "phjob-artifacts/cleanup/clock"  # written to learn the store's time


def read_last_success(store: Store) -> float | None:
    """UNIX seconds, or None where nothing that can be read is there."""
    try:
        return parse_expiry_file(store.read(LAST_SUCCESS, MAX_EXPIRY_FILE_BYTES))
    except (FileMissing, InvalidDocument):
        return None


def write_last_success(store: Store, now: float) -> None:
    """Note that a run over all groups ended well."""
    store.write(LAST_SUCCESS, format_expiry(now))


def store_time(store: Store) -> float:
    """What time the store has now, UNIX seconds."""
    store.write(CLOCK, b"%d\n" % time.monotonic_ns())  # never the same twice
    return store.stat(CLOCK).modified_at
