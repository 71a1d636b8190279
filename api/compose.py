"""Creates the API's components for a job source and a cleanup lock. `cluster` and local mode call it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from api.auth.links import LinkSigner
from api.cleanup.cleaner import Cleaner
from api.cleanup.locks import CleanupLock
from api.cleanup.scheduler import CleanupScheduler
from api.jobs.source import JobSource
from api.metrics import ApiMetrics
from api.retention.expiry import RetentionPolicy
from api.retention.service import RetentionService
from api.services import Services
from api.settings import ApiSettings
from api.store.factory import open_store
from api.store.instrumented import InstrumentedStore


@dataclass(frozen=True)
class ApiComponents:
    """The services for requests, and the cleanup, which runs in its own thread."""

    services: Services
    cleaner: Cleaner
    scheduler: CleanupScheduler

    def start(self) -> None:
        """Start the scheduled cleanup."""
        self.scheduler.start()

    def stop(self) -> None:
        """Stop the scheduled cleanup."""
        self.scheduler.stop()


def compose(
    settings: ApiSettings,
    jobs: JobSource,
    lock: CleanupLock,
    clock: Callable[[], float] = time.time,
    registry: CollectorRegistry | None = None,
) -> ApiComponents:
    """Create the components. `clock`: UNIX seconds. `registry`: for the metrics; a new one if None."""
    metrics = ApiMetrics(registry or CollectorRegistry(), settings.metrics_groups, clock)
    store = InstrumentedStore(open_store(settings.store), metrics.store_seconds, metrics.store_errors)
    policy = RetentionPolicy(settings.retention_seconds, settings.max_retention_seconds)
    cleaner = Cleaner(store, jobs, settings, metrics, lock, clock)
    services = Services(
        settings=settings,
        jobs=jobs,
        store=store,
        retention=RetentionService(store, jobs, policy, clock),
        cleaner=cleaner,
        link_signer=LinkSigner(settings.link_key, settings.link_seconds, clock),
        metrics=metrics,
        clock=clock,
    )
    cleanup_at = settings.cleanup_at if settings.cleanup_enabled else ""
    return ApiComponents(services, cleaner, CleanupScheduler(cleaner, store, metrics, cleanup_at, clock))
