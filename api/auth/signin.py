"""Signing in at the issuer, for a browser: OpenID Connect's code flow with PKCE, whose rules Authlib knows.

Nothing is kept here between the browser's leaving and its coming back: what must be the same is an `Attempt`, which the
browser brings along.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from authlib.common.security import generate_token
from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from api.auth.exchange import Client
from api.auth.fetch import Fetcher, FetchFailed
from api.auth.issuer import Issuer
from api.auth.oauth import oauth_client
from api.auth.oidc import LEEWAY_SECONDS, read_signed
from api.errors import NotAuthenticated, ServiceUnavailable
from api.settings import PREFIX, ApiSettings
from artifacts.log import get_logger

logger = get_logger(__name__)

# What an issuer may say is wrong, and the log then tells.
_ERRORS = frozenset(
    (
        "access_denied", "interaction_required", "invalid_client", "invalid_grant", "invalid_request", "invalid_scope",
        "login_required", "server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_grant_type",
        "unsupported_response_type",
    )
)  # fmt: skip
_NOT_NOW = "the sign-in service cannot be reached now; try again in a while"
_NOT_OURS = "signing in took too long, or was begun in another browser"


@dataclass(frozen=True)
class Attempt:
    """What a browser that was sent to the issuer must bring back. `then`: the path to show afterwards."""

    state: str
    nonce: str
    verifier: str
    then: str


@dataclass(frozen=True)
class Tokens:
    """What the issuer gives. `renewal`: the token that gets the next ones, "" for none."""

    access: str
    renewal: str


class SignIn:
    """Signs people in at `issuer` as `client`. `origin`: ours, as browsers see it. Methods raise ServiceUnavailable."""

    def __init__(self, issuer: Issuer, client: Client, origin: str, callback: str, fetcher: Fetcher) -> None:
        self.issuer = issuer.name
        self._issuer, self._client, self._home = issuer, client, origin + "/"
        self._callback, self._fetcher = origin + callback, fetcher

    def begin(self, then: str) -> tuple[str, Attempt]:
        """The URL that the browser is sent to, and what it must bring back."""
        attempt = Attempt(generate_token(43), generate_token(43), generate_token(64), then)
        with _reaching():
            url, _ = self._oauth().create_authorization_url(
                self._issuer.endpoint("authorization_endpoint"),
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return url, attempt

    def finish(self, query: Mapping[str, str], attempt: Attempt | None) -> Tokens:
        """The tokens of the user who comes back with `query`, and brings `attempt`. Raises NotAuthenticated too."""
        if attempt is None or not hmac.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            raise NotAuthenticated(_NOT_OURS)
        code = query.get("code")
        if "error" in query or not code:
            logger.warning("sign-in refused by the issuer", error=_known(query.get("error", "no code")))
            raise NotAuthenticated("the sign-in service let nobody in: it was cancelled there, or refused")
        document = self._ask(lambda oauth, url: oauth.fetch_token(url, code=code, code_verifier=attempt.verifier))
        tokens = _read_tokens(document)
        self._check_id_token(document.get("id_token"), tokens.access, attempt)
        return tokens

    def renew(self, renewal: str) -> Tokens:
        """The next tokens. Raises NotAuthenticated too, where there are none to be had."""
        return _read_tokens(self._ask(lambda oauth, url: oauth.refresh_token(url, refresh_token=renewal)))

    def sign_out_url(self) -> str:
        """Where the browser ends its session with the issuer; "" where that offers no such place."""
        with _reaching():
            url = self._issuer.find_endpoint("end_session_endpoint")
        query = urlencode({"client_id": self._client.id, "post_logout_redirect_uri": self._home})
        return f"{url}{'&' if '?' in url else '?'}{query}" if url else ""

    def _oauth(self) -> OAuth2Client:
        return oauth_client(self._client, self._callback, self._fetcher)

    def _ask(self, send: Callable[[OAuth2Client, str], dict[str, Any]]) -> Mapping[str, Any]:
        """What the token endpoint answers to one of Authlib's requests."""
        try:
            with _reaching():
                return send(self._oauth(), self._issuer.endpoint("token_endpoint"))
        except (OAuth2Error, ValueError, TypeError) as error:  # the last two: an answer that is odd within
            logger.warning("sign-in failed", error=_known(getattr(error, "error", None)))
            raise NotAuthenticated("the sign-in service refused; sign in again") from None

    def _check_id_token(self, token: Any, access: str, attempt: Attempt) -> None:
        try:
            header, claims = read_signed(self._issuer, token if isinstance(token, str) else "")
            CodeIDToken(
                dict(claims),
                dict(header),
                {"aud": {"essential": True, "value": self._client.id}},
                {"nonce": attempt.nonce, "client_id": self._client.id, "access_token": access},
            ).validate(leeway=LEEWAY_SECONDS)
        except (JoseError, NotAuthenticated) as error:
            logger.warning("sign-in failed", reason=f"the ID token is not accepted: {type(error).__name__}")
            raise NotAuthenticated("the sign-in service's answer is not accepted; sign in again") from None


def what_lacks(settings: ApiSettings) -> list[str]:
    """The settings without which nobody can sign in at the issuer."""
    wanted = ("oidc_client_id", "origin") if "oidc" in settings.auth else ()
    return [f"{PREFIX}{field.upper()}" for field in wanted if not getattr(settings, field)]


def make_sign_in(settings: ApiSettings, callback: str) -> SignIn | None:
    """What the settings choose. `callback`: the path that the browser comes back to."""
    if "oidc" not in settings.auth or what_lacks(settings):
        return None
    fetcher = Fetcher()
    client = Client(settings.oidc_client_id, settings.oidc_client_secret)
    return SignIn(Issuer(settings.oidc_issuer, fetcher), client, settings.origin, callback, fetcher)


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except FetchFailed as error:
        logger.warning("sign-in failed", reason=error)
        raise ServiceUnavailable(_NOT_NOW) from error


def _read_tokens(document: Mapping[str, Any]) -> Tokens:
    access, renewal = document.get("access_token"), document.get("refresh_token")
    if not isinstance(access, str):
        logger.warning("sign-in failed", reason="the issuer gave no access_token")
        raise ServiceUnavailable(_NOT_NOW)
    return Tokens(access, renewal if isinstance(renewal, str) else "")


def _known(error: object) -> str:
    return error if isinstance(error, str) and error in _ERRORS else "unknown"
