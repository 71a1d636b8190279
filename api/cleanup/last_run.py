"""What the last run over all groups found: kept in the store, so that every replica tells the same of it."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from api.cleanup.cleaner import Candidate
from api.store.store import Missing, Store
from artifacts.errors import InvalidDocument

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


def oldest_of(left: Iterable[Candidate]) -> float:
    """Since when the oldest of what was left behind has been due; 0: nothing was."""
    return min((each.expires_at for each in left if each.expires_at is not None), default=0.0)


def write_last_run(store: Store, run: LastRun) -> None:
    """Note it. Raises StoreError."""
    store.write(LAST_RUN, json.dumps(asdict(run)).encode())


def read_last_run(store: Store) -> LastRun | None:
    """None where nothing that can be read is there. Raises StoreError."""
    try:
        told = json.loads(store.read(LAST_RUN, _MOST_BYTES))
        ended_at, seconds, oldest = (float(told[name]) for name in ("ended_at", "seconds", "oldest_due"))
        run = LastRun(ended_at, seconds, int(told["due"]), oldest)
    except (Missing, InvalidDocument, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return run if all(map(math.isfinite, (ended_at, seconds, oldest))) else None
