"""The reconciler's settings: a table of environment variables, and the object with their values."""

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
        raise ValueError("use a Kubernetes quantity such as 500m or 5Gi")
    return text


def _row(field: str, default: str, parse: Callable[[str], Any], text: str) -> Setting:
    return Setting(field, PREFIX + field.upper(), default, parse, text)


SETTINGS_TABLE = (
    _row("namespace", "", str, "namespace of the PhJobs; empty: the controller's own namespace"),
    _row("reconcile", "true", flag, "run PhJobs; false: only watch them, because another controller runs them"),
    _row("listen", "0.0.0.0:8081", listen, "host:port of /healthz, /readyz and /metrics; empty: not served"),
    _row("workers", "16", number(1, 64), "number of PhJobs that are reconciled at the same time"),
    _row("resync_seconds", "300", number(1, 86400, float), "seconds between reconciliations of all unfinished PhJobs"),
    _row("lease", "phjob-artifacts-controller", str, "name of the Lease that the leader holds"),
    _row(
        "lease_seconds",
        "15",
        number(1, 3600, float),
        "seconds until another replica takes over from a leader that died",
    ),
    _row(
        "certificate_secret",
        "",
        str,
        "Secret with the webhook's certificate, which the leader renews; empty: no renewal",
    ),
    _row(
        "webhook",
        "phjob-artifacts",
        str,
        "MutatingWebhookConfiguration in which the leader updates the CA certificates",
    ),
    _row(
        "link_key_secret",
        "",
        str,
        "Secret with the API's key for download links, which the leader creates; empty: none is created",
    ),
    _row("phfs_claim", "phfs", str, "PersistentVolumeClaim of PHFS"),
    _row("default_image", "", str, "image of jobs that do not set one"),
    _row("working_size", "5Gi", _quantity, "size limit of the working directory; empty: no limit"),
    _row("main_cpu", "", _quantity, "CPU request and limit of main; empty: none"),
    _row("main_memory", "", _quantity, "memory request and limit of main; empty: none"),
    _row("timezone", "", str, "TZ in main, such as Europe/Berlin; empty: not set"),
    _row("preparing_seconds", "180", number(1, 86400), "seconds for main to start; after that the job is requeued"),
    _row(
        "active_deadline_seconds", "86400", number(0, 2**31), "maximum run time of main, if its PhJob does not set one"
    ),
    _row(
        "ttl_seconds",
        "604800",
        number(0, 2**31),
        "seconds from a PhJob's end until it is deleted, if the PhJob does not set them",
    ),
    _row(
        "collecting_seconds", "900", number(1, 86400), "maximum time the sidecar can run after main's end, in seconds"
    ),
    _row("trouble_seconds", "30", number(0, 3600), "seconds for a sidecar to recover from a failed start"),
    _row(
        "start_seconds",
        "120",
        number(1, 3600),
        "seconds for a sidecar to start after the pod's volumes and network are ready, if no error is reported",
    ),
    _row(
        "breaker_failures",
        "3",
        number(0, 1000),
        "number of a user's consecutive sidecar failures after which injection is paused for that user, and of users "
        "with such failures after which it is paused for all; 0: never",
    ),
    METRICS_GROUPS,
    LOG_FORMAT,
    Setting(
        "sidecar_image",
        "PHJOB_SIDECAR_IMAGE",
        "",
        str,
        "image of the sidecar, as it is in pods; failures with other images do not pause injection; empty: any image",
    ),
    Setting(
        "collects", ARTIFACT + "ENABLED", "true", flag, "inject the sidecar; false: only into pods that ask for it"
    ),
)


@dataclass(frozen=True)
class ReconcilerSettings:
    """The reconciler's settings. The fields are the rows of SETTINGS_TABLE."""

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
    sidecar_image: str
    collects: bool

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ReconcilerSettings":
        """Read the settings from environment variables.

        Raises:
            ConfigError: settings are missing or invalid; the error lists all of them.
        """
        return cls(**read_settings(SETTINGS_TABLE, environ))
