"""The objects that serve requests. `compose` creates them once per process."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from api.auth.links import LinkSigner
from api.cleanup.cleaner import Cleaner
from api.definitions.source import DefinitionSource, NoDefinitions
from api.jobs.source import JobSource
from api.metrics import ApiMetrics
from api.retention.service import RetentionService
from api.settings import ApiSettings
from api.store.store import Store


@dataclass(frozen=True)
class Services:
    """Everything that a request handler needs. `clock`: UNIX seconds."""

    settings: ApiSettings
    jobs: JobSource
    store: Store
    retention: RetentionService
    cleaner: Cleaner
    link_signer: LinkSigner
    metrics: ApiMetrics
    clock: Callable[[], float] = time.time
    definitions: DefinitionSource = field(default_factory=NoDefinitions)
