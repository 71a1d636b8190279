"""When the cleanup last did all of its work: kept in the store, so the same for every replica and after a restart."""

import time

from api.retention.expiry import MAX_BYTES, read_expiry
from api.store.store import Missing, Store
from artifacts.errors import InvalidDocument
from artifacts.layout import format_expiry

LAST_SUCCESS = "phjob-artifacts/cleanup/last-success"
CLOCK = "phjob-artifacts/cleanup/clock"  # written to learn the store's time


def read_last_success(store: Store) -> float | None:
    """UNIX seconds, or None where nothing that can be read is there."""
    try:
        return read_expiry(store.read(LAST_SUCCESS, MAX_BYTES))
    except (Missing, InvalidDocument):
        return None


def write_last_success(store: Store, now: float) -> None:
    """Note that a run over all groups ended well."""
    store.write(LAST_SUCCESS, format_expiry(now))


def store_time(store: Store) -> float:
    """What time the store has now, UNIX seconds."""
    store.write(CLOCK, b"%d\n" % time.monotonic_ns())  # never the same twice
    return store.stat(CLOCK).modified
