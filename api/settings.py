"""The API's settings: one table of environment variables, and the frozen object it makes.

What is the sidecar's too (retention) has the sidecar's name. docs/api.md and a test are held to this table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.store.factory import STORE_FORMS, is_store_url
from artifacts.environment import Setting, choice, flag, listen, number, read_settings, words
from artifacts.errors import ConfigError
from artifacts.log import LOG_FORMAT
from artifacts.settings import MAX_RETENTION_SECONDS, METRICS_GROUPS

PREFIX = "PHJOB_API_"
CLEANUP = "PHJOB_CLEANUP_"
AUTHENTICATORS = ("none", "oidc", "kubernetes", "secret")


def _authenticators(text: str) -> tuple[str, ...]:
    chosen = tuple(choice(*AUTHENTICATORS)(word) for word in words(text))
    if not chosen or ("none" in chosen and len(chosen) > 1):
        raise ValueError(f"use none alone, or some of: {', '.join(AUTHENTICATORS[1:])}")
    return chosen


def _address(text: str) -> tuple[str, int]:
    address = listen(text)
    if address is None or not address[0]:
        raise ValueError("use host:port")
    return address


def _store(text: str) -> str:
    if is_store_url(text):
        return text.rstrip("/")
    raise ValueError(f"use {STORE_FORMS}")


def _url(text: str) -> str:
    if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
        raise ValueError("use a URL that starts with https://")
    return text


def _origin(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/?#@,*]+", text, re.ASCII | re.IGNORECASE):
        raise ValueError("use scheme and host (and port, if not the usual one) alone, such as https://hub.example.com")
    return text


def _origins(text: str) -> tuple[str, ...]:
    return tuple(_origin(word) for word in words(text))


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError("use a time of day in UTC, such as 03:00")
    return text


def _key(text: str) -> bytes:
    if text and len(text.encode()) < 32:
        raise ValueError("use at least 32 characters")
    return text.encode()


def _secret(text: str) -> bytes:
    if not re.fullmatch(r"([A-Za-z0-9._~+/=-]{32,1024})?", text):
        raise ValueError("use 32 to 1024 letters, digits or any of . _ ~ + / = -")
    return text.encode()


def _row(field: str, default: str | None, parse: object, text: str, secret: bool = False) -> Setting:
    return Setting(field, PREFIX + field.upper(), default, parse, text, secret)  # type: ignore[arg-type]


def _cleanup(field: str, default: str, parse: object, text: str) -> Setting:
    return Setting(field, CLEANUP + field.removeprefix("cleanup_").upper(), default, parse, text)  # type: ignore[arg-type]


SETTINGS_TABLE = (
    _row("listen", "127.0.0.1:8080", _address, "host:port of the service"),
    _row("store", None, _store, "where PHFS lies: a directory, or s3://, gs:// or az:// with bucket and path"),
    _row("namespace", "", str, "namespace of the PhJobs; empty: the pod's own"),
    _row("auth", None, _authenticators, "who is let in: none (loopback alone), or some of oidc, kubernetes, secret"),
    _row("oidc_issuer", "", _url, "oidc: the issuer, exactly as in its tokens"),
    _row("oidc_audiences", "", words, "oidc: the clients whose tokens are accepted, by aud or azp"),
    _row("oidc_client_id", "", str, "oidc: the client that people sign in with, and that exchanges API tokens"),
    _row("oidc_client_secret", "", str, "oidc: its secret", secret=True),
    _row("oidc_groups_claim", "groups", str, "oidc: the claim with the user's groups; dots lead into objects"),
    _row(
        "oidc_admin_claim",
        "resource_access.realm-management.roles",
        str,
        "oidc: the claim with the roles that may hold the administrator's",
    ),
    _row("oidc_admin_role", "realm-admin", str, "oidc: the administrator's role; empty: none"),
    _row("token_audiences", "phjob-artifacts", words, "kubernetes: audiences of tokens that are accepted"),
    _row("group_prefix", "phjob:", str, "kubernetes: what the names of groups start with among the token's groups"),
    _row("shared_secret", "", _secret, "secret: the services' token; they may read everything", secret=True),
    _row("link_key", "", _key, "signs links and sign-ins; the same on every replica; empty: a new one", secret=True),
    _row("link_seconds", "300", number(1, 86400), "seconds for which a signed link works"),
    _row("introspection", "false", flag, "whether the schema may be asked for"),
    _row("origin", "", _origin, "the service as browsers see it, such as https://hub.example.com"),
    _row("cors_origins", "", _origins, "origins of other web sites that may call the API; empty: none"),
    _row("threads", "160", number(4, 4096), "requests served at once"),
    _row("downloads", "128", number(1, 4000), "downloads at once among them; one more is told to come again"),
    Setting(
        "retention_seconds",
        "PHJOB_ARTIFACT_RETENTION_SECONDS",
        "604800",
        number(1, MAX_RETENTION_SECONDS),
        "seconds from the job's end to its artifacts' expiry, where nothing else is known",
    ),
    Setting(
        "max_retention_seconds",
        "PHJOB_ARTIFACT_MAX_RETENTION_SECONDS",
        "31536000",
        number(1, MAX_RETENTION_SECONDS),
        "most seconds from the job's end for which jobs and people may keep artifacts; pins know no bound",
    ),
    _cleanup("cleanup_enabled", "true", flag, "false: nothing is removed by schedule"),
    _cleanup("cleanup_at", "03:00", _time_of_day, "time of the daily run, UTC"),
    _cleanup("cleanup_workers", "96", number(1, 256), "jobs looked at or removed at once"),
    _cleanup("cleanup_max_share", "0.5", number(0, 1, float), "share of all jobs that one run removes"),
    _cleanup("cleanup_floor", "100", number(0, 10**9), "jobs that one run may remove whatever their share"),
    METRICS_GROUPS,
    LOG_FORMAT,
)


@dataclass(frozen=True)
class ApiSettings:
    """What one service was told. Fields are SETTINGS_TABLE's rows."""

    listen: tuple[str, int]
    store: str
    namespace: str
    auth: tuple[str, ...]
    oidc_issuer: str
    oidc_audiences: tuple[str, ...]
    oidc_client_id: str
    oidc_client_secret: str
    oidc_groups_claim: str
    oidc_admin_claim: str
    oidc_admin_role: str
    token_audiences: tuple[str, ...]
    group_prefix: str
    shared_secret: bytes
    link_key: bytes
    link_seconds: int
    introspection: bool
    origin: str
    cors_origins: tuple[str, ...]
    threads: int
    downloads: int
    retention_seconds: int
    max_retention_seconds: int
    cleanup_enabled: bool
    cleanup_at: str
    cleanup_workers: int
    cleanup_max_share: float
    cleanup_floor: int
    metrics_groups: int
    log_format: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ApiSettings":
        """Read every row from `environ`; raise one ConfigError that names all that is wrong."""
        settings = cls(**read_settings(SETTINGS_TABLE, environ))
        if problems := _problems(settings):
            raise ConfigError(problems)
        return settings


_NEEDED = (
    ("oidc", "oidc_issuer"),
    ("oidc", "oidc_audiences"),
    ("kubernetes", "token_audiences"),
    ("secret", "shared_secret"),
)


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Names in `environ` that look like the service's settings and are none."""
    known = {row.env for row in SETTINGS_TABLE} | {f"{row.env}_FILE" for row in SETTINGS_TABLE if row.secret}
    return sorted(name for name in environ if name.startswith((PREFIX, CLEANUP)) and name not in known)


def _problems(settings: ApiSettings) -> list[str]:
    """What each setting alone does not tell."""
    problems = []
    if settings.auth == ("none",) and not is_loopback(settings.listen[0]):
        problems.append(f"{PREFIX}AUTH=none lets everybody in: listen on 127.0.0.1, or choose who is let in")
    for word, field in _NEEDED:
        if word in settings.auth and not getattr(settings, field):
            problems.append(f"{PREFIX}{field.upper()} is not set, which {PREFIX}AUTH={word} needs")
    if settings.downloads >= settings.threads:
        problems.append(f"{PREFIX}DOWNLOADS must be less than {PREFIX}THREADS: others are to be served too")
    return problems


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    return host in ("localhost", "::1", "[::1]") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
