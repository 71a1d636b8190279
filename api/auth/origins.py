"""Decides which Host and Origin headers are the service's own, and which other origins may call it.

`X-Forwarded-*` headers are ignored, as any client can send them. A proxy that changes the Host header requires
PHJOB_API_ORIGIN. A proxy that only terminates TLS does not: https://<Host> is accepted as the service's own origin.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from api.settings import is_loopback

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORT = 80


class Origins:
    """The service's own origin and those allowed to call it.

    `origin`: the service's own as browsers see it, or "" if its Host header suffices. `allowed`: other web sites.
    """

    def __init__(self, listen: tuple[str, int], origin: str, allowed: Collection[str]) -> None:
        self._origin, self._allowed = origin.lower(), frozenset(site.lower() for site in allowed)
        self._hosts = _loopback_hosts(*listen, self._origin) if is_loopback(listen[0]) else None

    @property
    def has_tls(self) -> bool:
        """Whether browsers are known to use HTTPS, by the own origin in the settings."""
        return self._origin.startswith("https:")

    @property
    def has_allowed(self) -> bool:
        """Whether the settings allow other web sites."""
        return bool(self._allowed)

    def is_allowed_host(self, host: str) -> bool:
        """Whether to serve a request with this Host header. On loopback, a foreign name indicates DNS rebinding."""
        return self._hosts is None or host.lower() in self._hosts

    def is_own(self, origin: str, scheme: str, host: str) -> bool:
        """Whether `origin` is the service's own, for a request to `host` over `scheme`."""
        own = (self._origin, f"{scheme}://{host}".lower(), f"https://{host}".lower())
        return bool(origin) and origin.lower() in own

    def is_allowed(self, origin: str) -> bool:
        """Whether `origin` is another web site that may call with its user's token."""
        return origin.lower() in self._allowed


def _loopback_hosts(host: str, port: int, origin: str) -> frozenset[str]:
    names = {*_LOOPBACK_NAMES, host}
    hosts = {f"{name}:{port}" for name in names}
    if port == _DEFAULT_PORT:
        hosts |= names
    return frozenset(hosts | ({urlsplit(origin).netloc} if origin else set()))
