"""The reconciler's settings: one table of environment variables, and the frozen object it makes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.environment import Setting, flag, listen, number, read_settings
from artifacts.log import LOG_FORMAT
from artifacts.settings import METRICS_GROUPS
from artifacts.settings import PREFIX as ARTIFACT
from controller.inject.quantity import parse_quantity

PREFIX = "PHJOB_CONTROLLER_"


def _quantity(text: str) -> str:
    if text and (parse_quantity(text) or 0) <= 0:
        raise ValueError("use a Kubernetes quantity, such as 500m or 5Gi")
    return text


def _row(field: str, default: str, parse: Callable[[str], Any], text: str) -> Setting:
    return Setting(field, PREFIX + field.upper(), default, parse, text)


TABLE = (
    _row("namespace", "", str, "namespace of the PhJobs; empty: the pod's own"),
    _row("reconcile", "true", flag, "false: another controller runs PhJobs, this one only watches"),
    _row("listen", "0.0.0.0:8081", listen, "host:port of /healthz, /readyz and /metrics; empty: none"),
    _row("workers", "4", number(1, 64), "PhJobs worked on at once"),
    _row("resync_seconds", "300", number(1, 86400, float), "seconds between two looks at all unfinished PhJobs"),
    _row("lease", "phjob-artifacts-controller", str, "name of the Lease that the leader holds"),
    _row("lease_seconds", "15", number(1, 3600, float), "seconds until another replica follows a leader that died"),
    _row(
        "certificate_secret", "", str, "Secret of the webhook's certificate, which the leader renews; empty: others do"
    ),
    _row("webhook", "phjob-artifacts", str, "MutatingWebhookConfiguration that is told whom to trust"),
    _row("link_key_secret", "", str, "Secret of the API's key for links, which the leader makes; empty: others do"),
    _row("phfs_claim", "phfs", str, "PersistentVolumeClaim of PHFS"),
    _row("default_image", "", str, "image of jobs that name none"),
    _row("working_size", "5Gi", _quantity, "most that the working directory may hold; empty: no limit"),
    _row("main_cpu", "", _quantity, "CPU that main asks for and gets at most; empty: not said"),
    _row("main_memory", "", _quantity, "memory that main asks for and gets at most; empty: not said"),
    _row("timezone", "", str, "TZ in main, such as Europe/Berlin; empty: not set"),
    _row("preparing_seconds", "180", number(1, 86400), "seconds for main to start; then the job is queued again"),
    _row("active_deadline_seconds", "86400", number(0, 2**31), "seconds main may run, where its PhJob does not say"),
    _row("ttl_seconds", "604800", number(0, 2**31), "seconds a PhJob stays after its end, where it does not say"),
    _row("collecting_seconds", "900", number(1, 86400), "most seconds the sidecar holds a pod after main has ended"),
    _row("trouble_seconds", "30", number(0, 3600), "seconds for a sidecar that fails to start to do better"),
    _row(
        "start_seconds",
        "120",
        number(1, 3600),
        "seconds for a sidecar to start that tells no failure, once its pod has volumes and network",
    ),
    _row("breaker_failures", "3", number(0, 1000), "sidecars in a row that fail to start, until none is injected"),
    METRICS_GROUPS,
    LOG_FORMAT,
    Setting("collects", ARTIFACT + "ENABLED", "true", flag, "false: no pod gets a sidecar unless it asks for one"),
)


@dataclass(frozen=True)
class Settings:
    """What one reconciler was told. Fields are TABLE's rows."""

    namespace: str
    reconcile: bool
    listen: tuple[str, int] | None
    workers: int
    resync_seconds: float
    lease: str
    lease_seconds: float
    certificate_secret: str
    webhook: str
    link_key_secret: str
    phfs_claim: str
    default_image: str
    working_size: str
    main_cpu: str
    main_memory: str
    timezone: str
    preparing_seconds: int
    active_deadline_seconds: int
    ttl_seconds: int
    collecting_seconds: int
    trouble_seconds: int
    start_seconds: int
    breaker_failures: int
    metrics_groups: int
    log_format: str
    collects: bool

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read every row from `environ`; raise one ConfigError that names all that is wrong."""
        return cls(**read_settings(TABLE, environ))
