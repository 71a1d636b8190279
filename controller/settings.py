"""The controller's settings: one table of environment variables, and the frozen object it makes.

Beside this table, the sidecar's own settings (`PHJOB_ARTIFACT_*`) that an administrator sets here are the defaults of
every sidecar. What a pod asks for is kept within the `MAX` rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from artifacts.environment import Setting, choice, listen, number, read_settings
from artifacts.errors import ConfigError
from artifacts.settings import MAX_RETENTION_SECONDS
from artifacts.settings import PREFIX as ARTIFACT
from artifacts.settings import SETTINGS_TABLE as ARTIFACT_TABLE
from controller.inject.quantity import parse_quantity

SIDECAR = "PHJOB_SIDECAR_"
WEBHOOK = "PHJOB_WEBHOOK_"


def _image(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("use the name of an image, such as registry.example/phjob-artifacts-sidecar:1.0")
    return text


def _quantity(text: str) -> str:
    value = parse_quantity(text)
    if value is None or value <= 0:
        raise ValueError("use a Kubernetes quantity, such as 10m or 32Mi")
    return text


def _limit(text: str) -> str:
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


def _bound(field: str, default: str, parse: object, text: str) -> Setting:
    return Setting(field, ARTIFACT + field.upper(), default, parse, text)  # type: ignore[arg-type]


TABLE = (
    _sidecar("image", None, _image, "image of the sidecar"),
    _sidecar("pull_policy", "IfNotPresent", choice("Always", "IfNotPresent", "Never"), "when the image is pulled"),
    _sidecar("cpu_request", "10m", _quantity, "CPU that the sidecar asks for, in pods of class Burstable"),
    _sidecar("cpu_limit", "", _limit, "most CPU there, for quotas that demand a limit; empty: none"),
    _sidecar("memory_request", "32Mi", _quantity, "memory that the sidecar asks for, in pods of class Burstable"),
    _sidecar("memory_limit", "256Mi", _quantity, "most memory there; both in pods of class Guaranteed"),
    _sidecar("guaranteed_cpu", "200m", _quantity, "CPU, asked for and most, in pods of class Guaranteed"),
    _sidecar(
        "nonroot_uid", "65532", number(1, 2**31 - 1), "user beside a main that must not be root and names no user"
    ),
    _bound("grace_seconds", "120", number(1, 86400), "least grace period of a pod with a sidecar"),
    _bound("max_grace_seconds", "600", number(1, 86400), "most that a pod may ask for as its grace period"),
    _bound("max_limit_size_mb", "10240", number(0, 2**40), "most MB that a pod may ask to be kept"),
    _bound("max_limit_files", "100000", number(0, 10**9), "most files that a pod may ask to be kept"),
    _bound(
        "max_retention_seconds",
        "31536000",
        number(1, MAX_RETENTION_SECONDS),
        "most seconds from the job's end for which jobs and people may keep artifacts; pins know no bound",
    ),
    _webhook("webhook_listen", "0.0.0.0:8443", _address, "host:port of the webhook"),
    _webhook("webhook_certificates", "/etc/phjob-artifacts/tls", str, "folder with tls.crt and tls.key; read anew"),
    _webhook("webhook_threads", "64", number(2, 1024), "requests served at once; a silent peer holds one for seconds"),
)

# What is decided for each pod by its mounts and its name, not by an administrator for all.
_DECIDED = {
    *("job", "group", "grace_seconds", "path", "root", "volumes", "hidden_paths", "phfs", "store"),
    *("termination_log", "main_status", "pod_uid"),
}
DEFAULTS_TABLE = tuple(row for row in ARTIFACT_TABLE if row.field not in _DECIDED)


@dataclass(frozen=True)
class Settings:
    """What one controller was told. Fields are TABLE's rows; `defaults` the variables that every sidecar gets."""

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
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read every row from `environ`; raise one ConfigError that names all that is wrong."""
        problems = []
        try:
            read_settings(DEFAULTS_TABLE, environ)
        except ConfigError as error:
            problems += error.problems
        try:
            settings = cls(**read_settings(TABLE, environ), defaults=_defaults(environ))
            problems += _problems(settings)
        except ConfigError as error:
            problems += error.problems
        if problems:
            raise ConfigError(problems)
        return settings


def _defaults(environ: Mapping[str, str]) -> Mapping[str, str]:
    return {row.env: environ[row.env].strip() for row in DEFAULTS_TABLE if row.env in environ}


def _problems(settings: Settings) -> list[str]:
    """What each setting alone does not tell: the API server refuses a pod that asks for more than its limit."""
    problems = []
    for what in ("cpu", "memory"):
        request, limit = getattr(settings, f"{what}_request"), getattr(settings, f"{what}_limit")
        if limit and (parse_quantity(request) or 0) > (parse_quantity(limit) or 0):
            name = f"{SIDECAR}{what.upper()}"
            problems.append(f"{name}_REQUEST={request} is more than {name}_LIMIT={limit}: ask for less")
    if settings.grace_seconds > settings.max_grace_seconds:
        problems.append(
            f"{ARTIFACT}GRACE_SECONDS is more than {ARTIFACT}MAX_GRACE_SECONDS: lower it, or raise the other"
        )
    return problems
