"""Selects the authenticator for a token by the token's form alone, before trusting anything in it.

| form | authenticator |
| --- | --- |
| JWT of the issuer | `oidc` |
| JWT of the issuer that declares itself a refresh token | the exchange, if `oidc` has a client for it |
| any other refresh token | none; it is sent nowhere |
| any other JWT | `kubernetes` |
| anything else | the shared secret |

If that authenticator is disabled or refuses the token, no other one is tried, because it could accept a token that was
refused for a good reason.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from api.auth.caller import Authenticator, Caller
from api.auth.claims import ClaimMapping
from api.auth.exchange import ExchangeAuthenticator, OAuthClient
from api.auth.fetch import Fetcher
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.auth.unverified import unverified_claims
from api.errors import NotAuthenticated
from api.settings import ApiSettings

MAX_TOKEN_BYTES = 16 * 1024
ANONYMOUS_ADMIN = Caller("anonymous", "anonymous", is_admin=True)
SERVICE = Caller("service", "service", is_service=True)

# RFC 6750's characters: no space, no comma (which joins repeated headers), nothing outside ASCII.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_REFRESH_TYPES = ("Offline", "Refresh")  # Keycloak's


class SharedSecretAuthenticator:
    """Accepts one secret as the token of `caller`. Compares digests, in constant time for any length."""

    def __init__(self, secret: bytes, caller: Caller = SERVICE) -> None:
        self._digest, self._caller = hashlib.sha256(secret).digest(), caller

    def authenticate(self, token: str) -> Caller:
        """Return the caller. Raises NotAuthenticated."""
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest):
            raise NotAuthenticated("invalid token: it is not the shared secret")
        return self._caller


class Authenticators:
    """One authenticator per form of token; None refuses tokens of that form.

    `issuer`: the issuer whose JWTs go to `oidc`; "" for none. `anonymous`: the caller of requests without a token;
    None refuses them.
    """

    def __init__(
        self,
        *,
        issuer: str = "",
        oidc: Authenticator | None = None,
        exchange: Authenticator | None = None,
        kubernetes: Authenticator | None = None,
        opaque: Authenticator | None = None,
        anonymous: Caller | None = None,
    ) -> None:
        self._issuer, self._oidc, self._exchange = issuer, oidc, exchange
        self._kubernetes, self._opaque = kubernetes, opaque
        self.anonymous = anonymous

    def authenticate(self, token: str) -> Caller:
        """Return the token's owner. Accepts hostile input.

        Raises:
            NotAuthenticated: the token is invalid, or tokens of its form are disabled.
            ServiceUnavailable: the token cannot be checked now.
        """
        _check_syntax(token)
        if self.anonymous is not None:
            return self.anonymous
        authenticator = self._select(unverified_claims(token))
        if authenticator is None:
            raise NotAuthenticated("tokens of this type are not accepted by this service")
        return authenticator.authenticate(token)

    def _select(self, claims: Mapping[str, Any] | None) -> Authenticator | None:
        if claims is None:
            return self._opaque
        is_of_issuer = bool(self._issuer) and claims.get("iss") == self._issuer
        if claims.get("typ") in _REFRESH_TYPES:
            return self._exchange if is_of_issuer else None
        return self._oidc if is_of_issuer else self._kubernetes


def make_authenticators(settings: ApiSettings, kubernetes: Authenticator | None) -> Authenticators:
    """Return the authenticators that the settings choose. `kubernetes`: used if PHJOB_API_AUTH contains it."""
    if settings.auth == ("none",):
        return Authenticators(anonymous=ANONYMOUS_ADMIN)
    issuer, oidc, exchange = "", None, None
    if "oidc" in settings.auth:
        issuer = settings.oidc_issuer
        oidc, exchange = _make_oidc(settings)
    return Authenticators(
        issuer=issuer,
        oidc=oidc,
        exchange=exchange,
        kubernetes=kubernetes if "kubernetes" in settings.auth else None,
        opaque=SharedSecretAuthenticator(settings.shared_secret) if "secret" in settings.auth else None,
    )


def _make_oidc(settings: ApiSettings) -> tuple[OidcAuthenticator, ExchangeAuthenticator | None]:
    fetcher = Fetcher()
    issuer = Issuer(settings.oidc_issuer, fetcher)
    claims = ClaimMapping(settings.oidc_groups_claim, settings.oidc_admin_claim, settings.oidc_admin_role)
    oidc = OidcAuthenticator(issuer, settings.oidc_audiences, claims)
    client = _exchange_client(settings)
    if not client.id:
        return oidc, None
    # The issuer gives these access tokens to this service alone, so their own client needs no permission as audience.
    exchanged = OidcAuthenticator(issuer, {*settings.oidc_audiences, client.id}, claims)
    return oidc, ExchangeAuthenticator(issuer, client, exchanged, fetcher)


def _exchange_client(settings: ApiSettings) -> OAuthClient:
    """Return the client that issues API tokens, by default the client for sign-in; its id is "" if there is none."""
    if settings.oidc_exchange_client_id:
        return OAuthClient(settings.oidc_exchange_client_id, settings.oidc_exchange_client_secret)
    return OAuthClient(settings.oidc_client_id, settings.oidc_client_secret)


def _check_syntax(token: str) -> None:
    if not token:
        raise NotAuthenticated("invalid token: it is empty")
    if len(token) > MAX_TOKEN_BYTES:
        raise NotAuthenticated(f"invalid token: it is longer than {MAX_TOKEN_BYTES} bytes")
    if not _TOKEN.fullmatch(token):
        raise NotAuthenticated("invalid token: it contains characters that tokens cannot have (RFC 6750)")
