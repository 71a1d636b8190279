"""An OpenID Connect issuer: its endpoints and signing keys, found by discovery.

PyJWT's PyJWKClient is not used: it loses its keys if the issuer is down for longer than their lifetime, then fetches
on every request until the issuer is back, and makes all requests wait for that fetch.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from api.auth.cached_value import CachedValue
from api.auth.fetch import Fetcher, FetchError

# RS256 is mandatory for issuers and their default. HS256 is excluded because every verifier could also sign tokens,
# "none" because such tokens are unsigned, and all others because they only add attack surface.
ALGORITHMS = ("RS256", "ES256")

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "end_session_endpoint")


@dataclass(frozen=True)
class ProviderMetadata:
    """What the issuer publishes: its signing keys by key id, and its endpoints' URLs by their discovery names."""

    keys: Mapping[str, jwt.PyJWK]
    endpoints: Mapping[str, str]


class Issuer:
    """The issuer with the identifier `url`. Fetched on first use. Every method raises FetchError."""

    def __init__(self, url: str, fetcher: Fetcher, clock: Callable[[], float] = time.monotonic) -> None:
        self.url, self._fetcher = url, fetcher
        self._metadata = CachedValue(url, self._load, clock)

    def key(self, kid: str) -> jwt.PyJWK | None:
        """Return the key with that id, or None if the issuer does not publish it."""
        key = self._metadata.get().keys.get(kid)
        return key or self._metadata.reload().keys.get(kid)

    def endpoint(self, name: str) -> str:
        """Return the URL of an endpoint, such as `token_endpoint`. Raises FetchError if the issuer has none."""
        if url := self.find_endpoint(name):
            return url
        raise FetchError(f"its discovery document has no {name}")

    def find_endpoint(self, name: str) -> str:
        """Return the URL of an endpoint, or "" if the issuer has none."""
        return self._metadata.get().endpoints.get(name, "")

    def _load(self) -> ProviderMetadata:
        document = self._fetcher.get(self.url.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self.url:
            raise FetchError("the issuer in its discovery document differs from PHJOB_API_OIDC_ISSUER")
        keys = _parse_keys(self._fetcher.get(self._url(document, "jwks_uri")))
        return ProviderMetadata(keys, {name: self._url(document, name) for name in _ENDPOINTS if name in document})

    def _url(self, document: Mapping[str, Any], name: str) -> str:
        """Return a URL of the discovery document. It must use HTTPS if the issuer itself does."""
        url = document.get(name)
        schemes = ("https://",) if self.url.startswith("https:") else ("https://", "http://")
        if not isinstance(url, str) or not url.startswith(schemes):
            raise FetchError(f"its {name} does not start with {' or '.join(schemes)}")
        return url


def _parse_keys(document: Mapping[str, Any]) -> Mapping[str, jwt.PyJWK]:
    """Return the signing keys. Raises FetchError if there are none, so that the cached keys stay in use."""
    listed = document.get("keys")
    keys: dict[str, jwt.PyJWK] = {}
    for member in listed if isinstance(listed, list) else ():
        key = _parse_key(member)
        if key is not None and isinstance(key.key_id, str):
            keys.setdefault(key.key_id, key)
    if not keys:
        raise FetchError(f"it publishes no key for {' or '.join(ALGORITHMS)}")
    return keys


def _parse_key(member: Any) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(member)
    except (jwt.PyJWTError, TypeError, ValueError, AttributeError):  # a malformed key must not hide the others
        return None
    return key if key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS else None
