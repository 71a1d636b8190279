"""PrimeHub's API tokens: Keycloak's offline refresh tokens, each exchanged for an access token that tells its user.

An answer is remembered for a moment by the token's SHA-256, so neither a token nor its access token stays in memory.
"""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from api.auth.caller import Caller
from api.auth.fetch import Answer, Fetcher, FetchFailed
from api.auth.issuer import Issuer
from api.auth.oidc import OidcAuthenticator
from api.cache import ExpiringCache
from api.errors import ApiError, NotAuthenticated, ServiceUnavailable
from artifacts.log import get_logger

logger = get_logger(__name__)

ACCEPTED_SECONDS = 30.0
REFUSED_SECONDS = 5.0
_UNREACHED_SECONDS = 1.0  # so that those who wait for one exchange do not each wait for another that fails
_MAX_ENTRIES = 4096
# Refresh tokens cannot be checked here before they are sent, so strangers can cause exchanges: no more than these hold
# a thread each, and who comes next waits no longer than this.
_MAX_CONCURRENT = 16
_WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class _Outcome:
    """The result of an exchange: a caller, or the error that refuses the token."""

    caller: Caller | None = None
    error: type[ApiError] = NotAuthenticated
    reason: str = ""


@dataclass(frozen=True)
class Client:
    """The client that the tokens were issued to. `secret`: "" for a public one."""

    id: str
    secret: str


class ExchangeAuthenticator:
    """Exchanges refresh tokens as `client`, and has `oidc` check what they are exchanged for.

    `clock`: monotonic seconds; `now`: UNIX seconds.
    """

    def __init__(
        self,
        issuer: Issuer,
        client: Client,
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
            return _Outcome(None, ServiceUnavailable, str(error)), _UNREACHED_SECONDS
        return _Outcome(caller), seconds

    def _exchange(self, token: str) -> tuple[Caller, float]:
        """The user, and for how many seconds to remember."""
        if not self._slots.acquire(timeout=_WAIT_SECONDS):
            raise ServiceUnavailable("too many API tokens are being checked now; try again")
        try:
            access_token = _read_answer(self._post(token))
        finally:
            self._slots.release()
        verified = self._oidc.verify(access_token)
        return verified.caller, min(ACCEPTED_SECONDS, verified.expires_at - self._now())

    def _post(self, token: str) -> Answer:
        fields = {"grant_type": "refresh_token", "refresh_token": token, "client_id": self._client.id}
        if self._client.secret:
            fields["client_secret"] = self._client.secret
        try:
            return self._fetcher.post(self._issuer.endpoint("token_endpoint"), fields)
        except FetchFailed as error:
            logger.warning("exchange failed", reason=error)
            raise _not_now() from error


def _read_answer(answer: Answer) -> str:
    """The access token. The issuer's word for what is wrong is one of a few known ones; nothing else is told on."""
    token, problem = answer.document.get("access_token"), answer.document.get("error")
    if answer.status == 200 and isinstance(token, str):
        return token
    if answer.status == 400 and problem == "invalid_grant":
        raise NotAuthenticated("the API token has expired or was revoked; get a new one")
    ours = problem in ("invalid_client", "unauthorized_client", "unsupported_grant_type")
    logger.warning("exchange failed", status=answer.status, error=problem if ours else "unknown")
    raise _not_now()


def _not_now() -> ServiceUnavailable:
    return ServiceUnavailable("the issuer does not exchange API tokens now; try again in a while")
