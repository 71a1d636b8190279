"""Exchanges PrimeHub's API tokens (Keycloak's offline refresh tokens) for access tokens, which identify the user.

An issuer exchanges a refresh token only for the client that it was issued to, which the token names in `azp`.
Outcomes are cached briefly by the token's SHA-256, so that neither token stays in memory.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from api.auth.caller import Caller
from api.auth.fetch import Fetcher, FetchError, JsonResponse
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.auth.unverified import unverified_claims
from api.cache import ExpiringCache
from api.errors import ApiError, NotAuthenticated, ServiceUnavailable
from artifacts.log import get_logger

logger = get_logger(__name__)

ACCEPTED_SECONDS = 30.0
REFUSED_SECONDS = 5.0
_UNAVAILABLE_SECONDS = 1.0  # so that requests that waited for a failed exchange do not each start another
_MAX_ENTRIES = 4096
# Refresh tokens cannot be verified before they are sent to the issuer, so anyone can cause exchanges. These limit
# how many threads exchanges can block, and for how long the next request waits.
_MAX_CONCURRENT = 16
_WAIT_SECONDS = 2.0

# The issuer's error codes for a wrong client id or secret, or a client that may not exchange refresh tokens.
CLIENT_ERRORS = ("invalid_client", "unauthorized_client")
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:/@-]{1,100}")  # plain enough for the log and an error message


@dataclass(frozen=True)
class _Outcome:
    """The result of an exchange: a caller, or the error that refuses the token."""

    caller: Caller | None = None
    error: type[ApiError] = NotAuthenticated
    reason: str = ""


@dataclass(frozen=True)
class OAuthClient:
    """The service's registration with the issuer. `secret`: "" for a public client."""

    id: str
    secret: str


class ExchangeAuthenticator:
    """Exchanges refresh tokens as `client` and lets `oidc` verify the resulting access tokens.

    `clock`: monotonic seconds; `now`: UNIX seconds.
    """

    def __init__(
        self,
        issuer: Issuer,
        client: OAuthClient,
        oidc: OidcAuthenticator,
        fetcher: Fetcher,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer, self._client, self._oidc, self._fetcher = issuer, client, oidc, fetcher
        self._now = now
        self._outcomes: ExpiringCache[bytes, _Outcome] = ExpiringCache(_MAX_ENTRIES, clock)
        self._slots = threading.BoundedSemaphore(_MAX_CONCURRENT)

    def authenticate(self, token: str) -> Caller:
        """Return the token's user. Raises NotAuthenticated, or ServiceUnavailable if the issuer does not answer."""
        digest = hashlib.sha256(token.encode()).digest()
        outcome = self._outcomes.get_or_load(digest, lambda: self._load(token))
        if outcome.caller is None:
            raise outcome.error(outcome.reason)
        return outcome.caller

    def _load(self, token: str) -> tuple[_Outcome, float]:
        """Return the outcome of an exchange and the seconds to cache it for."""
        try:
            caller, seconds = self._exchange(token)
        except NotAuthenticated as error:
            return _Outcome(None, NotAuthenticated, str(error)), REFUSED_SECONDS
        except ServiceUnavailable as error:
            return _Outcome(None, ServiceUnavailable, str(error)), _UNAVAILABLE_SECONDS
        return _Outcome(caller), seconds

    def _exchange(self, token: str) -> tuple[Caller, float]:
        """Return the user and the seconds to cache it for."""
        self._check_client(token)
        if not self._slots.acquire(timeout=_WAIT_SECONDS):
            raise ServiceUnavailable("too many API tokens are being checked; retry")
        try:
            access_token = self._read_access_token(self._post(token))
        finally:
            self._slots.release()
        verified = self._oidc.verify(access_token)
        return verified.caller, min(ACCEPTED_SECONDS, verified.expires_at - self._now())

    def _check_client(self, token: str) -> None:
        """Refuse a token of another client, which the issuer would refuse with the same error as an expired token."""
        claimed = (unverified_claims(token) or {}).get("azp")
        if not isinstance(claimed, str) or claimed == self._client.id:
            return
        name = claimed if _CLIENT_ID.fullmatch(claimed) else "unknown"
        logger.warning(
            "API token refused", reason="it belongs to another client", client=name, expected=self._client.id
        )
        raise NotAuthenticated(
            f"the API token belongs to the client {name!r}, but this service accepts API tokens of the client "
            f"{self._client.id!r}; create a token with that client, or ask an administrator to change "
            f"PHJOB_API_OIDC_EXCHANGE_CLIENT_ID"
        )

    def _post(self, token: str) -> JsonResponse:
        fields = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self._client.id}
        if self._client.secret:
            fields["client_secret"] = self._client.secret
        try:
            return self._fetcher.post(self._issuer.endpoint("token_endpoint"), fields)
        except FetchError as error:
            logger.warning("token exchange failed", reason=error)
            raise _unavailable() from error

    def _read_access_token(self, response: JsonResponse) -> str:
        """Return the access token. Logs the issuer's error code only if it is one of a few known ones."""
        token, error = response.document.get("access_token"), response.document.get("error")
        if response.status == 200 and isinstance(token, str):
            return token
        if response.status == 400 and error == "invalid_grant":
            logger.info("API token refused", reason="the issuer does not accept it", client=self._client.id)
            raise NotAuthenticated("the API token has expired, was revoked or is damaged; create a new one")
        is_known = error in (*CLIENT_ERRORS, "unsupported_grant_type")
        logger.warning(
            "token exchange failed",
            status=response.status,
            error=error if is_known else "unknown",
            client=self._client.id,
        )
        if error in CLIENT_ERRORS:
            raise ServiceUnavailable(
                f"the API token cannot be checked because the issuer refuses this service as the client "
                f"{self._client.id!r}; ask an administrator to check the client's id and secret in the settings"
            )
        raise _unavailable()


def _unavailable() -> ServiceUnavailable:
    return ServiceUnavailable("the API token cannot be checked because the issuer does not answer; retry later")
