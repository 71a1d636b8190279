"""Updates the metrics about the store itself: results of cleanups by any replica, usage, and free space."""

from collections.abc import Callable
from contextlib import suppress

from api.cleanup.state import read_last_run, read_last_success, read_usage, write_usage
from api.cleanup.usage import measure_usage
from api.metrics import ApiMetrics
from api.store.store import Store
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)


def refresh_metrics(store: Store, metrics: ApiMetrics) -> float | None:
    """Read the metrics from the store. Returns the time of the last success or None. Raises StoreError."""
    last_success = read_last_success(store)
    if last_success is not None:
        metrics.cleanup_last_success.set(last_success)
    if run := read_last_run(store):
        metrics.set_last_run(run)
    if usage := read_usage(store):
        metrics.usage.snapshot = usage
    with suppress(StoreError):  # the store's metrics have counted the error, and it does not prevent a cleanup
        metrics.set_store_capacity(store.capacity())
    return last_success


def update_usage(
    store: Store, metrics: ApiMetrics, clock: Callable[[], float], may_continue: Callable[[], bool]
) -> None:
    """Measure the usage and store it for all replicas. Errors are logged."""
    started_at = clock()
    try:
        usage = measure_usage(store, clock, may_continue)
        if usage is None:
            logger.warning("store usage not measured", reason="aborted", seconds=round(clock() - started_at, 0))
            return
        write_usage(store, usage)
    except StoreError as error:
        logger.warning("store usage not measured", error=error)
        return
    except Exception:  # an unexpected error must not end the scheduler's thread
        logger.exception("store usage not measured")
        return
    metrics.usage.snapshot = usage
    jobs, files, size = usage.total
    logger.info(
        "store usage measured",
        groups=len(usage.groups),
        jobs=jobs,
        files=files,
        bytes=size,
        seconds=round(clock() - started_at, 1),
    )
