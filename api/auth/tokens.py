"""Which authenticator decides about a token: told by the token's form alone, before anything in it is believed.

| form | authenticator |
| --- | --- |
| a JWT of the issuer | `oidc` |
| a JWT of the issuer that calls itself a refresh token | the exchange, where `oidc` has a client for it |
| any other refresh token | none: it is shown to nobody |
| any other JWT | `kubernetes` |
| anything else | the shared secret |

One that is not enabled refuses, and no second one is asked: what one has refused, another might believe for a reason
that nobody thought of.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from api.auth.caller import Authenticator, Caller
from api.auth.claims import Claims
from api.auth.exchange import Client, ExchangeAuthenticator
from api.auth.fetch import Fetcher
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.auth.shared_secret import SharedSecretAuthenticator
from api.errors import NotAuthenticated
from api.settings import ApiSettings

MAX_TOKEN_BYTES = 16 * 1024
ANONYMOUS_ADMIN = Caller("anonymous", "anonymous", is_admin=True)

# RFC 6750's characters: no space, no comma (which joins headers sent twice), nothing outside of ASCII.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_REFRESH_TYPES = ("Offline", "Refresh")  # Keycloak's


class Authenticators:
    """The authenticators by the form of token that each decides about; None: such tokens are refused.

    `issuer`: whose JWTs are `oidc`'s; "": nobody's. `anonymous`: who calls without a token; None: nobody may.
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
        """The token's owner, by the one authenticator for its form. Takes hostile input. Raises NotAuthenticated."""
        if len(token) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
            raise NotAuthenticated(f"the token is none: it is empty, over {MAX_TOKEN_BYTES} bytes or not plain ASCII")
        if self.anonymous is not None:
            return self.anonymous
        authenticator = self._pick(unverified_claims(token))
        if authenticator is None:
            raise NotAuthenticated("tokens of this kind are not accepted here")
        return authenticator.authenticate(token)

    def _pick(self, claims: Mapping[str, Any] | None) -> Authenticator | None:
        if claims is None:
            return self._opaque
        own = bool(self._issuer) and claims.get("iss") == self._issuer
        if claims.get("typ") in _REFRESH_TYPES:
            return self._exchange if own else None
        return self._oidc if own else self._kubernetes


def make_authenticators(settings: ApiSettings, kubernetes: Authenticator | None) -> Authenticators:
    """What the settings choose. `kubernetes`: its authenticator, where PHJOB_API_AUTH names it."""
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
    claims = Claims(settings.oidc_groups_claim, settings.oidc_admin_claim, settings.oidc_admin_role)
    oidc = OidcAuthenticator(issuer, settings.oidc_audiences, claims)
    if not settings.oidc_client_id:
        return oidc, None
    client = Client(settings.oidc_client_id, settings.oidc_client_secret)
    return oidc, ExchangeAuthenticator(issuer, client, oidc, fetcher)


def unverified_claims(token: str) -> Mapping[str, Any] | None:
    """The claims of what has the form of a JWT, as yet believed by nobody; None for any other text."""
    segments = token.split(".")
    if len(segments) != 3:
        return None
    header, claims = (_read_segment(segment) for segment in segments[:2])
    return claims if header is not None else None


def _read_segment(segment: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
