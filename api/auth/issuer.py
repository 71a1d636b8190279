"""An OpenID Connect issuer: where its endpoints are and the keys that it signs with, found by discovery.

Not PyJWT's own PyJWKClient: that one loses its keys when the issuer is out for longer than they are fresh, asks again
on each request until it is back, and lets every request wait for the one that asks.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from api.auth.fetch import Fetcher, FetchFailed
from api.auth.kept import Kept

# What issuers sign with unless told otherwise, RS256 being the one that each must know. With HS256 whoever can check
# a token can make one, "none" signs nothing, and each further one would be one more that a forger may try.
ALGORITHMS = ("RS256", "ES256")

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")


@dataclass(frozen=True)
class Provider:
    """What the issuer publishes. `keys`: those that may sign, by key id. `endpoints`: URLs, by the names it has them
    under."""

    keys: Mapping[str, jwt.PyJWK]
    endpoints: Mapping[str, str]


class Issuer:
    """The issuer at the URL `name`, asked when it is first needed. Every method raises FetchFailed."""

    def __init__(self, name: str, fetcher: Fetcher, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self._fetcher = name, fetcher
        self._provider = Kept(name, self._load, clock)

    def key(self, kid: str) -> jwt.PyJWK | None:
        """The key of that id; None where the issuer has none."""
        found = self._provider.get().keys.get(kid)
        return found or self._provider.renewed().keys.get(kid)

    def endpoint(self, name: str) -> str:
        """The URL of that name, such as `token_endpoint`. Raises FetchFailed too where the issuer has none."""
        if url := self.find_endpoint(name):
            return url
        raise FetchFailed(f"it names no {name}")

    def find_endpoint(self, name: str) -> str:
        """The same, but "" where the issuer has none."""
        return self._provider.get().endpoints.get(name, "")

    def _load(self) -> Provider:
        document = self._fetcher.get(self.name.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.name:
            raise FetchFailed("it calls itself by another name than PHJOB_API_OIDC_ISSUER")
        keys = _read_keys(self._fetcher.get(self._url(document, "jwks_uri")))
        return Provider(keys, {name: self._url(document, name) for name in _ENDPOINTS if name in document})

    def _url(self, document: Mapping[str, Any], name: str) -> str:
        """A URL that the issuer names, which is no less protected than the issuer itself."""
        url = document.get(name)
        schemes = ("https://",) if self.name.startswith("https:") else ("https://", "http://")
        if not isinstance(url, str) or not url.startswith(schemes):
            raise FetchFailed(f"its {name} does not start with {' or '.join(schemes)}")
        return url


def _read_keys(document: Mapping[str, Any]) -> Mapping[str, jwt.PyJWK]:
    """The keys that may sign. Raises FetchFailed where there is none, so that nothing known is lost for it."""
    listed = document.get("keys")
    keys: dict[str, jwt.PyJWK] = {}
    for member in listed if isinstance(listed, list) else ():
        key = _read_key(member)
        if key is not None and isinstance(key.key_id, str):
            keys.setdefault(key.key_id, key)
    if not keys:
        raise FetchFailed(f"it publishes no key for {' or '.join(ALGORITHMS)}")
    return keys


def _read_key(member: Any) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(member)
    except (jwt.PyJWTError, TypeError, ValueError, AttributeError):  # one that is odd hides no other
        return None
    return key if key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS else None
