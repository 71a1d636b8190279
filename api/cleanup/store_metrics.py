"""What metrics show of the store itself: how cleanups went, whoever ran them, how much is kept, and what is free."""

from collections.abc import Callable
from contextlib import suppress

from api.cleanup.state import read_last_run, read_last_success
from api.cleanup.usage import measure_usage, read_usage, write_usage
from api.metrics import ApiMetrics
from api.store.store import Store
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)


def refresh_metrics(store: Store, metrics: ApiMetrics) -> float | None:
    """Show it; returns when the last cleanup succeeded, as `read_last_success` does. Raises StoreError."""
    last_success = read_last_success(store)
    if last_success is not None:
        metrics.cleanup_last_success.set(last_success)
    if run := read_last_run(store):
        metrics.set_last_run(run)
    if kept := read_usage(store):
        metrics.kept.shown = kept
    with suppress(StoreError):  # it has been counted, and hinders no cleanup
        metrics.set_store_space(store.capacity())
    return last_success


def update_usage(store: Store, metrics: ApiMetrics, clock: Callable[[], float], may_go_on: Callable[[], bool]) -> None:
    """Measure how much is kept, for all replicas to show; what fails is told."""
    begun = clock()
    try:
        kept = measure_usage(store, clock, may_go_on)
        if kept is None:
            logger.warning("what is kept was not measured, the walk was given up", seconds=round(clock() - begun, 0))
            return
        write_usage(store, kept)
    except StoreError as error:
        logger.warning("what is kept was not measured", error=error)
        return
    except Exception:  # what nobody thought of ends no timetable
        logger.exception("what is kept was not measured")
        return
    metrics.kept.shown = kept
    jobs, files, size = kept.total
    logger.info(
        "measured what is kept",
        groups=len(kept.groups),
        jobs=jobs,
        files=files,
        bytes=size,
        seconds=round(clock() - begun, 1),
    )
