"""Puts the parts together, over the jobs and the lock of whoever composes: `cluster`, or local mode."""

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
    """The services, and what works in threads of its own beside the requests."""

    services: Services
    cleaner: Cleaner
    scheduler: CleanupScheduler

    def start(self) -> None:
        """Begin to clean by schedule."""
        self.scheduler.start()

    def stop(self) -> None:
        """End it."""
        self.scheduler.stop()


def compose(
    settings: ApiSettings,
    jobs: JobSource,
    lock: CleanupLock,
    clock: Callable[[], float] = time.time,
    registry: CollectorRegistry | None = None,
) -> ApiComponents:
    """The parts over these jobs, with the store that the settings name. `registry`: the process's, if it has one."""
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
