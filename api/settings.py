"""The API's settings: one table of environment variables, parsed into a frozen object.

The retention settings have the same names as the sidecar's. A test compares docs/api.md with this table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from api.store.factory import STORE_HELP, check_store_url
from artifacts.environment import Setting, choice, flag, listen, number, read_settings, words
from artifacts.errors import ConfigError
from artifacts.log import LOG_FORMAT
from artifacts.settings import MAX_RETENTION_SECONDS, METRICS_GROUPS

PREFIX = "PHJOB_API_"
CLEANUP_PREFIX = "PHJOB_CLEANUP_"
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


def _url(text: str) -> str:
    if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
        raise ValueError("use a URL that starts with https://")
    return text


def _origin(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/?#@,*]+", text, re.ASCII | re.IGNORECASE):
        raise ValueError(
            "use only scheme and host (and port, unless it is the default), such as https://hub.example.com"
        )
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


def _cleanup_row(field: str, default: str, parse: object, text: str) -> Setting:
    return Setting(field, CLEANUP_PREFIX + field.removeprefix("cleanup_").upper(), default, parse, text)  # type: ignore[arg-type]


SETTINGS_TABLE = (
    _row("listen", "127.0.0.1:8080", _address, "host:port of the service"),
    _row("store", None, check_store_url, f"location of PHFS: {STORE_HELP}"),
    _row("namespace", "", str, "namespace of the PhJobs; empty: the pod's own"),
    _row(
        "auth",
        None,
        _authenticators,
        "accepted authentication: none (on loopback only), or some of oidc, kubernetes, secret",
    ),
    _row("oidc_issuer", "", _url, "oidc: the issuer's URL, exactly as in its tokens"),
    _row("oidc_audiences", "", words, "oidc: accepted audiences of tokens, in aud or azp"),
    _row("oidc_client_id", "", str, "oidc: id of the client with which users sign in"),
    _row("oidc_client_secret", "", str, "oidc: that client's secret; empty for a public client", secret=True),
    _row(
        "oidc_exchange_client_id",
        "",
        str,
        "oidc: id of the client that issues PrimeHub's API tokens; empty: the client for sign-in",
    ),
    _row(
        "oidc_exchange_client_secret",
        "",
        str,
        "oidc: the secret of the client that issues API tokens; empty for a public client",
        secret=True,
    ),
    _row("oidc_groups_claim", "groups", str, "oidc: claim with the user's groups; dots separate nested names"),
    _row(
        "oidc_admin_claim",
        "resource_access.realm-management.roles",
        str,
        "oidc: claim with the user's roles; dots separate nested names",
    ),
    _row("oidc_admin_role", "realm-admin", str, "oidc: role of administrators; empty: no administrators"),
    _row("token_audiences", "phjob-artifacts", words, "kubernetes: accepted audiences of tokens"),
    _row("group_prefix", "phjob:", str, "kubernetes: prefix of the token's groups that are PrimeHub groups"),
    _row("shared_secret", "", _secret, "secret: token of services, which may read everything", secret=True),
    _row(
        "link_key",
        "",
        _key,
        "key that signs links and sign-ins; the same on every replica; empty: a random one",
        secret=True,
    ),
    _row("link_seconds", "300", number(1, 86400), "lifetime of signed links in seconds"),
    _row("introspection", "false", flag, "whether clients may query the GraphQL schema"),
    _row("origin", "", _origin, "the service's origin as browsers see it, such as https://hub.example.com"),
    _row("cors_origins", "", _origins, "origins of other web sites that may call the API; empty: none"),
    _row("threads", "160", number(4, 4096), "maximum number of concurrent requests"),
    _row(
        "downloads",
        "128",
        number(1, 4000),
        "maximum number of concurrent downloads, less than the threads; others get 503",
    ),
    Setting(
        "retention_seconds",
        "PHJOB_ARTIFACT_RETENTION_SECONDS",
        "604800",
        number(1, MAX_RETENTION_SECONDS),
        "default retention: seconds from the job's end to the expiry of its artifacts",
    ),
    Setting(
        "max_retention_seconds",
        "PHJOB_ARTIFACT_MAX_RETENTION_SECONDS",
        "31536000",
        number(1, MAX_RETENTION_SECONDS),
        "maximum retention in seconds from the job's end; pinned artifacts are exempt",
    ),
    _cleanup_row("cleanup_enabled", "true", flag, "whether to remove expired artifacts every day"),
    _cleanup_row("cleanup_at", "03:00", _time_of_day, "time of the daily cleanup, UTC"),
    _cleanup_row(
        "cleanup_workers",
        "96",
        number(1, 256),
        "maximum number of jobs examined or removed concurrently; at most 4 in a directory that is not on a FUSE mount",
    ),
    _cleanup_row("cleanup_max_share", "0.5", number(0, 1, float), "maximum share of all jobs that one run may remove"),
    _cleanup_row(
        "cleanup_floor", "100", number(0, 10**9), "number of jobs that one run may remove regardless of their share"
    ),
    METRICS_GROUPS,
    LOG_FORMAT,
)


@dataclass(frozen=True)
class ApiSettings:
    """The parsed settings: one field per row of SETTINGS_TABLE."""

    listen: tuple[str, int]
    store: str
    namespace: str
    auth: tuple[str, ...]
    oidc_issuer: str
    oidc_audiences: tuple[str, ...]
    oidc_client_id: str
    oidc_client_secret: str
    oidc_exchange_client_id: str
    oidc_exchange_client_secret: str
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
        """Parse every setting. Raises one ConfigError that lists all problems."""
        settings = cls(**read_settings(SETTINGS_TABLE, environ))
        if problems := _problems(settings):
            raise ConfigError(problems)
        return settings


# The authentication method, and a setting that it requires.
_REQUIRED = (
    ("oidc", "oidc_issuer"),
    ("oidc", "oidc_audiences"),
    ("kubernetes", "token_audiences"),
    ("secret", "shared_secret"),
)


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Return the names in `environ` that have a prefix of the service's settings but are not settings."""
    known = {row.env for row in SETTINGS_TABLE} | {f"{row.env}_FILE" for row in SETTINGS_TABLE if row.secret}
    return sorted(name for name in environ if name.startswith((PREFIX, CLEANUP_PREFIX)) and name not in known)


def _problems(settings: ApiSettings) -> list[str]:
    """Return the problems that concern more than one setting."""
    problems = []
    if settings.auth == ("none",) and not is_loopback(settings.listen[0]):
        problems.append(
            f"{PREFIX}AUTH=none requires {PREFIX}LISTEN on loopback, such as 127.0.0.1:8080, "
            "because it makes every caller an administrator"
        )
    for method, field in _REQUIRED:
        if method in settings.auth and not getattr(settings, field):
            problems.append(f"{PREFIX}{field.upper()} is required because {PREFIX}AUTH contains {method}")
    if settings.oidc_exchange_client_secret and not settings.oidc_exchange_client_id:
        problems.append(f"{PREFIX}OIDC_EXCHANGE_CLIENT_SECRET requires {PREFIX}OIDC_EXCHANGE_CLIENT_ID")
    if settings.downloads >= settings.threads:
        problems.append(
            f"{PREFIX}DOWNLOADS ({settings.downloads}) must be less than {PREFIX}THREADS ({settings.threads}), "
            "to leave threads for other requests"
        )
    return problems


def is_loopback(host: str) -> bool:
    """Whether a listen address can be reached from this machine only."""
    return host in ("localhost", "::1", "[::1]") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
