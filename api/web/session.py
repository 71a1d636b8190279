"""`/api/session`: shows who is signed in with this browser, signs in with a token, and signs out."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from api.auth.caller import Caller
from api.auth.cookies import has_token, read_id_token, read_refresh_token, read_token, write_tokens
from api.auth.origins import Origins
from api.auth.request import check_csrf, request_authenticator
from api.auth.signin import SignIn, Tokens
from api.auth.tokens import MAX_TOKEN_BYTES, Authenticators
from api.auth.unverified import unverified_claims
from api.errors import BadInput, NotAuthenticated, ServiceUnavailable, TooLarge
from api.jobs.job import format_time
from api.web.error_page import sentence
from api.web.signin import LOGIN

PATH = "/api/session"

_MAX_BODY_BYTES = MAX_TOKEN_BYTES + 1024
_REFRESH_SECONDS = 30.0  # before the token expires, so that the page's next requests have a valid one
_NO_TOKENS = Tokens("")
_YEAR_10000 = 253402300800


@dataclass(frozen=True)
class SessionConfig:
    """How browsers sign in.

    `sign_in`: at the issuer; None if that is not configured. `is_local`: local mode. `clock`: UNIX seconds.
    """

    authenticators: Authenticators
    origins: Origins
    sign_in: SignIn | None
    is_local: bool
    clock: Callable[[], float]


def session_blueprint(config: SessionConfig) -> flask.Blueprint:
    """GET shows the session, POST signs in with `{"token": "..."}`, DELETE signs out.

    POST and DELETE accept only JSON from the service's own page.
    """
    blueprint = flask.Blueprint("session", __name__)
    views = _SessionViews(config)
    for method, view in (("GET", views.show), ("POST", views.sign_in), ("DELETE", views.sign_out)):
        blueprint.add_url_rule(PATH, view.__name__, view, methods=[method])
    return blueprint


class _SessionViews:
    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        authenticators = config.authenticators
        self._authenticate = request_authenticator(authenticators, config.origins, authenticators.anonymous)

    def show(self) -> flask.Response:
        try:
            if refreshed := self._refresh():
                token = refreshed.access_token
                response = self._session(self._config.authenticators.authenticate(token), token)
                self._write(response, refreshed)
                return response
            return self._session(self._authenticate(), self._token())
        except NotAuthenticated as error:
            # Do not delete the cookie: another page of this browser may have signed in meanwhile.
            return self._session(None, "", self._notice(error))

    def sign_in(self) -> flask.Response:
        check_csrf(flask.request, self._config.origins, needs_origin=True)
        token = _read_body()
        response = self._session(self._config.authenticators.authenticate(token), token)
        if not self._config.authenticators.anonymous:
            self._write(response, Tokens(token))
        return response

    def sign_out(self) -> flask.Response:
        check_csrf(flask.request, self._config.origins, needs_origin=True)
        response = flask.jsonify(signOutUrl=self._sign_out_url())
        self._write(response, _NO_TOKENS)
        return response

    def _refresh(self) -> Tokens | None:
        """Return new tokens if the browser's are about to expire and can be refreshed. Raises ApiError."""
        sign_in = self._config.sign_in
        refresh_token = read_refresh_token(flask.request.cookies, self._config.origins.has_tls)
        if sign_in is None or not refresh_token or "Authorization" in flask.request.headers:
            return None
        check_csrf(flask.request, self._config.origins, needs_origin=True)
        remaining_seconds = (_expires_at(self._token()) or 0) - self._config.clock()
        if remaining_seconds > _REFRESH_SECONDS:
            return None
        try:
            tokens = sign_in.refresh(refresh_token)
            return replace(tokens, id_token=tokens.id_token or self._id_token())
        except ServiceUnavailable:
            if remaining_seconds > 0:
                return None
            raise

    def _token(self) -> str:
        """Return the token of the browser's cookies, which an Authorization header overrides; "" for none.

        Raises:
            NotAuthenticated: the cookies are ambiguous.
        """
        if "Authorization" in flask.request.headers:
            return ""
        return read_token(flask.request.cookies, self._config.origins.has_tls)

    def _id_token(self) -> str:
        return read_id_token(flask.request.cookies, self._config.origins.has_tls)

    def _session(self, caller: Caller | None, token: str, notice: str = "") -> flask.Response:
        config = self._config
        expires_at = _expires_at(token)
        return flask.jsonify(
            mode=_mode(config),
            local=config.is_local,
            user=caller and {"username": caller.username, "groups": [*caller.groups], "isAdmin": caller.is_admin},
            expiresAt=format_time(expires_at) if expires_at else None,
            canSignOut=bool(token) and not config.authenticators.anonymous,
            signInUrl=LOGIN if config.sign_in else None,
            notice=notice or None,
        )

    def _notice(self, error: NotAuthenticated) -> str:
        """Return why the browser's token is refused, or "" if it sent none."""
        if not has_token(flask.request.cookies, self._config.origins.has_tls):
            return ""
        with contextlib.suppress(NotAuthenticated):
            expires_at = _expires_at(self._token())
            if expires_at and expires_at <= self._config.clock():
                return "Your session has expired. Sign in again to continue."
        return sentence(str(error))

    def _sign_out_url(self) -> str | None:
        """Return the URL that ends the session with the issuer.

        None if the issuer has no such URL, does not answer, or did not issue the browser's token: then only the
        session with this service ends.
        """
        sign_in = self._config.sign_in
        with contextlib.suppress(NotAuthenticated, ServiceUnavailable):
            if sign_in and (unverified_claims(self._token()) or {}).get("iss") == sign_in.issuer_url:
                return sign_in.sign_out_url(self._id_token()) or None
        return None

    def _write(self, response: flask.Response, tokens: Tokens) -> None:
        origin = flask.request.headers.get("Origin", "")
        secure = self._config.origins.has_tls or origin.startswith("https:")
        write_tokens(response, tokens, secure=secure)


def _mode(config: SessionConfig) -> str:
    if config.authenticators.anonymous:
        return "none"
    return "oidc" if config.sign_in else "token"


def _expires_at(token: str) -> int | None:
    """Return the token's `exp` (UNIX seconds), or None if it is missing or out of range."""
    expiry = (unverified_claims(token) or {}).get("exp")
    return int(expiry) if isinstance(expiry, (int, float)) and 0 < expiry < _YEAR_10000 else None


def _read_body() -> str:
    flask.request.max_content_length = _MAX_BODY_BYTES
    try:
        body = flask.request.get_json(silent=True)
    except RequestEntityTooLarge:
        raise TooLarge(f"the token is longer than {MAX_TOKEN_BYTES} bytes") from None
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str):
        raise BadInput('the request body must be JSON: {"token": "..."}')
    return token
