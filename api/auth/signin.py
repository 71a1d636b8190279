"""Signs browsers in at the issuer: OpenID Connect's code flow with PKCE, implemented by Authlib.

The service stores nothing between the redirect to the issuer and the callback: the browser carries the `LoginState`.
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

from api.auth.exchange import CLIENT_ERRORS, OAuthClient
from api.auth.fetch import Fetcher, FetchError
from api.auth.issuer import Issuer
from api.auth.login_state import LoginState
from api.auth.oauth import oauth_client
from api.auth.oidc import LEEWAY_SECONDS, decode_signed
from api.errors import NotAuthenticated, ServiceUnavailable
from api.settings import PREFIX, ApiSettings
from artifacts.log import get_logger

logger = get_logger(__name__)

# The issuer's error codes that the log may contain; others could be a caller's text.
_ERROR_CODES = frozenset(
    (
        "access_denied", "interaction_required", "invalid_client", "invalid_grant", "invalid_request", "invalid_scope",
        "login_required", "server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_grant_type",
        "unsupported_response_type",
    )
)  # fmt: skip
_UNAVAILABLE = "the sign-in service does not answer; retry later"
_CLIENT_REFUSED = (
    "the sign-in service refuses this service's client; ask an administrator to check the client's id and secret"
)
_STATE_MISMATCH = "the sign-in took too long, or was started in another browser"


@dataclass(frozen=True)
class Tokens:
    """The tokens of a session; "" if there is none. `id_token`: names the session to the issuer at sign-out."""

    access_token: str
    refresh_token: str = ""
    id_token: str = ""


class SignIn:
    """Signs users in at `issuer` as `client`. Every method raises ServiceUnavailable if the issuer does not answer.

    `origin`: the service's own origin as browsers see it. `callback`: the path that the issuer redirects to.
    """

    def __init__(self, issuer: Issuer, client: OAuthClient, origin: str, callback: str, fetcher: Fetcher) -> None:
        self.issuer_url = issuer.url
        self._issuer, self._client, self._home_url = issuer, client, origin + "/"
        self._redirect_uri, self._fetcher = origin + callback, fetcher

    def start(self, next_path: str) -> tuple[str, LoginState]:
        """Return the issuer's URL to redirect the browser to, and the state that its callback must match."""
        login = LoginState(generate_token(43), generate_token(43), generate_token(64), next_path)
        with _translate_fetch_errors():
            url, _ = self._oauth().create_authorization_url(
                self._issuer.endpoint("authorization_endpoint"),
                state=login.state,
                nonce=login.nonce,
                code_verifier=login.code_verifier,
            )
        return url, login

    def complete(self, query: Mapping[str, str], login: LoginState | None) -> Tokens:
        """Exchange the code in the callback's `query` for tokens. Raises NotAuthenticated."""
        if login is None or not hmac.compare_digest(query.get("state", "").encode(), login.state.encode()):
            raise NotAuthenticated(_STATE_MISMATCH)
        code = query.get("code")
        if "error" in query or not code:
            logger.warning("sign-in refused by the issuer", error=_loggable(query.get("error", "no code")))
            raise NotAuthenticated("the sign-in was cancelled, or refused by the sign-in service")
        document = self._request_tokens(
            lambda oauth, url: oauth.fetch_token(url, code=code, code_verifier=login.code_verifier)
        )
        tokens = _read_tokens(document)
        self._check_id_token(document.get("id_token"), tokens.access_token, login)
        return tokens

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens. Raises NotAuthenticated if the refresh token is no longer accepted."""
        return _read_tokens(
            self._request_tokens(lambda oauth, url: oauth.refresh_token(url, refresh_token=refresh_token))
        )

    def sign_out_url(self, id_token: str) -> str:
        """Return the URL that ends the browser's session with the issuer, or "" if the issuer has no such URL.

        `id_token`: the session's; it may have expired. Without a valid one the issuer asks the user for confirmation.
        """
        with _translate_fetch_errors():
            url = self._issuer.find_endpoint("end_session_endpoint")
        query = {"client_id": self._client.id, "post_logout_redirect_uri": self._home_url}
        if self._is_valid_hint(id_token):
            query["id_token_hint"] = id_token
        return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}" if url else ""

    def _is_valid_hint(self, id_token: str) -> bool:
        """Whether the issuer will accept the ID token. If it refuses a hint, the user cannot sign out there at all."""
        try:
            _, claims = decode_signed(self._issuer, id_token, allow_expired=True)
        except NotAuthenticated:
            return False
        aud = claims.get("aud")
        return self._client.id in (aud if isinstance(aud, list) else [aud])

    def _oauth(self) -> OAuth2Client:
        return oauth_client(self._client, self._redirect_uri, self._fetcher)

    def _request_tokens(self, send: Callable[[OAuth2Client, str], dict[str, Any]]) -> Mapping[str, Any]:
        """Return the token endpoint's response to a request of Authlib's client."""
        try:
            with _translate_fetch_errors():
                return send(self._oauth(), self._issuer.endpoint("token_endpoint"))
        except (OAuth2Error, ValueError, TypeError) as error:  # the last two: a response with malformed fields
            code = _loggable(getattr(error, "error", None))
            logger.warning("sign-in failed", error=code, client=self._client.id)
            if code in CLIENT_ERRORS:
                raise ServiceUnavailable(_CLIENT_REFUSED) from None
            raise NotAuthenticated("the sign-in service refused the request; sign in again") from None

    def _check_id_token(self, token: Any, access_token: str, login: LoginState) -> None:
        try:
            header, claims = decode_signed(self._issuer, token if isinstance(token, str) else "")
            CodeIDToken(
                dict(claims),
                dict(header),
                {"aud": {"essential": True, "value": self._client.id}},
                {"nonce": login.nonce, "client_id": self._client.id, "access_token": access_token},
            ).validate(leeway=LEEWAY_SECONDS)
        except (JoseError, NotAuthenticated) as error:
            logger.warning("sign-in failed", reason=f"invalid ID token: {type(error).__name__}")
            raise NotAuthenticated("the sign-in service returned an invalid ID token; sign in again") from None


def missing_settings(settings: ApiSettings) -> list[str]:
    """Return the names of the settings that sign-in at the issuer requires and that are not set."""
    required = ("oidc_client_id", "origin") if "oidc" in settings.auth else ()
    return [f"{PREFIX}{field.upper()}" for field in required if not getattr(settings, field)]


def make_sign_in(settings: ApiSettings, callback: str) -> SignIn | None:
    """Return the sign-in that the settings configure, or None. `callback`: the path that the issuer redirects to."""
    if "oidc" not in settings.auth or missing_settings(settings):
        return None
    fetcher = Fetcher()
    client = OAuthClient(settings.oidc_client_id, settings.oidc_client_secret)
    return SignIn(Issuer(settings.oidc_issuer, fetcher), client, settings.origin, callback, fetcher)


@contextmanager
def _translate_fetch_errors() -> Iterator[None]:
    try:
        yield
    except FetchError as error:
        logger.warning("sign-in failed", reason=error)
        raise ServiceUnavailable(_UNAVAILABLE) from error


def _read_tokens(document: Mapping[str, Any]) -> Tokens:
    access_token = document.get("access_token")
    if not isinstance(access_token, str):
        logger.warning("sign-in failed", reason="the issuer's response has no access_token")
        raise ServiceUnavailable(_UNAVAILABLE)
    others = (document.get(name) for name in ("refresh_token", "id_token"))
    return Tokens(access_token, *(token if isinstance(token, str) else "" for token in others))


def _loggable(error: object) -> str:
    return error if isinstance(error, str) and error in _ERROR_CODES else "unknown"
