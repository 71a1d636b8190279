"""The webhook's settings: a table of environment variables, and the object with their values.

In addition, the administrator can set the sidecar's own settings (`PHJOB_ARTIFACT_*`) here, as defaults of all
sidecars. The `MAX` rows limit the values that a pod can choose.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from artifacts.environment import Setting, choice, listen, number, read_settings
from artifacts.errors import ConfigError
from artifacts.settings import MAX_RETENTION_SECONDS
from artifacts.settings import PREFIX as ARTIFACT
from artifacts.settings import SETTINGS_TABLE as SIDECAR_TABLE
from controller.inject.quantity import parse_quantity

SIDECAR = "PHJOB_SIDECAR_"
WEBHOOK = "PHJOB_WEBHOOK_"


def _image(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("use an image name such as registry.example/phjob-artifacts-sidecar:1.0")
    return text


def _quantity(text: str) -> str:
    value = parse_quantity(text)
    if value is None or value <= 0:
        raise ValueError("use a Kubernetes quantity such as 10m or 32Mi")
    return text


def _optional_quantity(text: str) -> str:
    return _quantity(text) if text else ""


def _address(text: str) -> tuple[str, int]:
    address = listen(text)
    if address is None or not address[0]:
        raise ValueError("use host:port")
    return address


def _sidecar(field: str, default: str | None, parse: object, text: str) -> Setting:
    return Setting(field, SIDECAR + field.upper(), default, parse, text)  # type: ignore[arg-type]


def _webhook(field: str, default: str, parse: object, text: str) -> Setting:
    return Setting(field, WEBHOOK + field.removeprefix("webhook_").upper(), default, parse, text)  # type: ignore[arg-type]


def _artifact(field: str, default: str, parse: object, text: str) -> Setting:
    return Setting(field, ARTIFACT + field.upper(), default, parse, text)  # type: ignore[arg-type]


SETTINGS_TABLE = (
    _sidecar("image", None, _image, "image of the sidecar"),
    _sidecar("pull_policy", "IfNotPresent", choice("Always", "IfNotPresent", "Never"), "pull policy of that image"),
    _sidecar("cpu_request", "10m", _quantity, "CPU request of the sidecar in pods of class Burstable"),
    _sidecar(
        "cpu_limit",
        "",
        _optional_quantity,
        "CPU limit of the sidecar in pods of class Burstable, for quotas that require one; empty: no limit",
    ),
    _sidecar("memory_request", "32Mi", _quantity, "memory request of the sidecar in pods of class Burstable"),
    _sidecar(
        "memory_limit",
        "256Mi",
        _quantity,
        "memory limit of the sidecar in pods of class Burstable; request and limit in pods of class Guaranteed",
    ),
    _sidecar("guaranteed_cpu", "200m", _quantity, "CPU request and limit of the sidecar in pods of class Guaranteed"),
    _sidecar(
        "nonroot_uid",
        "65532",
        number(1, 2**31 - 1),
        "user ID of the sidecar if main must not run as root and its pod sets no user",
    ),
    _artifact(
        "grace_seconds",
        "60",
        number(1, 86400),
        "minimum grace period of a pod with a sidecar, in seconds; more if its limits allow more files or bytes",
    ),
    _artifact("max_grace_seconds", "600", number(1, 86400), "maximum grace period that a pod can request, in seconds"),
    _artifact("max_limit_size_mb", "10240", number(0, 2**40), "maximum size limit that a pod can request, in MB"),
    _artifact("max_limit_files", "100000", number(0, 10**9), "maximum file limit that a pod can request"),
    _artifact(
        "max_retention_seconds",
        "31536000",
        number(1, MAX_RETENTION_SECONDS),
        "maximum retention that a pod or a user can set, in seconds from the job's end; pins are not limited",
    ),
    _webhook("webhook_listen", "0.0.0.0:8443", _address, "host:port of the webhook"),
    _webhook(
        "webhook_certificates",
        "/etc/phjob-artifacts/tls",
        str,
        "folder with tls.crt and tls.key, which are reloaded when they change",
    ),
    _webhook(
        "webhook_threads",
        "64",
        number(2, 1024),
        "number of requests handled at the same time; a client that stalls occupies one for seconds",
    ),
)

# Determined for each pod from its mounts and name, so the administrator cannot set a default.
_PER_POD = {
    *("job", "group", "grace_seconds", "path", "root", "volumes", "hidden_paths", "private_volumes"),
    *("main_uid", "main_gid", "phfs", "store", "termination_log", "main_status", "pod_uid"),
}
DEFAULTS_TABLE = tuple(row for row in SIDECAR_TABLE if row.field not in _PER_POD)


@dataclass(frozen=True)
class WebhookSettings:
    """The webhook's settings: the rows of SETTINGS_TABLE, and the variables `defaults` that every sidecar gets."""

    image: str
    pull_policy: str
    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    guaranteed_cpu: str
    nonroot_uid: int
    grace_seconds: int
    max_grace_seconds: int
    max_limit_size_mb: int
    max_limit_files: int
    max_retention_seconds: int
    webhook_listen: tuple[str, int]
    webhook_certificates: str
    webhook_threads: int
    defaults: Mapping[str, str]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "WebhookSettings":
        """Read the settings from environment variables.

        Raises:
            ConfigError: settings are missing or invalid; the error lists all of them.
        """
        problems = []
        try:
            read_settings(DEFAULTS_TABLE, environ)
        except ConfigError as error:
            problems += error.problems
        try:
            settings = cls(**read_settings(SETTINGS_TABLE, environ), defaults=_defaults(environ))
            problems += _problems(settings)
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        return settings


def _defaults(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {row.env: environ[row.env].strip() for row in DEFAULTS_TABLE if row.env in environ}


def _problems(settings: WebhookSettings) -> list[str]:
    """Return the problems of settings in combination. The API server refuses a request that exceeds its limit."""
    problems = []
    for resource in ("cpu", "memory"):
        request, limit = getattr(settings, f"{resource}_request"), getattr(settings, f"{resource}_limit")
        if limit and (parse_quantity(request) or 0) > (parse_quantity(limit) or 0):
            name = f"{SIDECAR}{resource.upper()}"
            problems.append(f"{name}_REQUEST={request} exceeds {name}_LIMIT={limit}: lower the request")
    if settings.grace_seconds > settings.max_grace_seconds:
        problems.append(
            f"{ARTIFACT}GRACE_SECONDS={settings.grace_seconds} exceeds "
            f"{ARTIFACT}MAX_GRACE_SECONDS={settings.max_grace_seconds}: lower it, or raise the maximum"
        )
    return problems
