"""Whose web page sent a request: the service's own, one that the settings name, or a foreign one.

`X-Forwarded-*` are not looked at: anybody may send them. A proxy that changes the Host makes PHJOB_API_ORIGIN needed;
one that only ends TLS does not, since a page of https://<Host> is taken for the service's own too.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from api.settings import is_loopback

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORT = 80


class Origins:
    """What is known of origins. `origin`: the service's own as browsers see it, where that must be told, or ""."""

    def __init__(self, listen: tuple[str, int], origin: str, others: Collection[str]) -> None:
        self._origin, self._others = origin.lower(), frozenset(each.lower() for each in others)
        self._hosts = _loopback_hosts(*listen, self._origin) if is_loopback(listen[0]) else None

    @property
    def has_others(self) -> bool:
        """Whether the settings name other web sites."""
        return bool(self._others)

    def is_host(self, host: str) -> bool:
        """Whether a Host header may lead here: on loopback a foreign name is one that was made to point at it."""
        return self._hosts is None or host.lower() in self._hosts

    def is_own(self, origin: str, scheme: str, host: str) -> bool:
        """Whether `origin` is the service's own, for a request that came by `scheme` to `host`."""
        own = (self._origin, f"{scheme}://{host}".lower(), f"https://{host}".lower())
        return bool(origin) and origin.lower() in own

    def is_other(self, origin: str) -> bool:
        """Whether `origin` is a web site that may call with a token of its user."""
        return origin.lower() in self._others


def _loopback_hosts(host: str, port: int, origin: str) -> frozenset[str]:
    names = {*_LOOPBACK_NAMES, host}
    hosts = {f"{name}:{port}" for name in names}
    if port == _DEFAULT_PORT:
        hosts |= names
    return frozenset(hosts | ({urlsplit(origin).netloc} if origin else set()))
