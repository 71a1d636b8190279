"""`/api/session`: who is signed in with this browser, signing in with a token, and signing out."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import flask
from werkzeug.exceptions import RequestEntityTooLarge

from api.auth.caller import Caller
from api.auth.cookies import has_token, read_renewal, read_token, write_tokens
from api.auth.origins import Origins
from api.auth.request import check_sent_by_itself, request_caller
from api.auth.signin import SignIn, Tokens
from api.auth.tokens import MAX_TOKEN_BYTES, Authenticators, unverified_claims
from api.errors import BadInput, NotAuthenticated, ServiceUnavailable, TooLarge
from api.jobs.job import format_time
from api.web.plain import sentence
from api.web.signin import LOGIN

PATH = "/api/session"

_MOST_BYTES = MAX_TOKEN_BYTES + 1024
_SOON_SECONDS = 30.0  # a token is renewed that is about to expire, so that the page's next questions have one
_NONE = Tokens("", "")
_END_OF_TIME = 253402300800  # the year 10000


@dataclass(frozen=True)
class Door:
    """How one gets in. `sign_in`: where people can sign in at the issuer. `is_local`: in local mode. `has_tls`: whether
    browsers are known to come by https."""

    authenticators: Authenticators
    origins: Origins
    sign_in: SignIn | None
    is_local: bool
    has_tls: bool
    clock: Callable[[], float]


def session_blueprint(door: Door) -> flask.Blueprint:
    """GET tells, POST signs in with `{"token": "..."}`, DELETE signs out. The last two take JSON from our own page."""
    blueprint = flask.Blueprint("session", __name__)
    sessions = _Sessions(door)
    for method, view in (("GET", sessions.tell), ("POST", sessions.enter), ("DELETE", sessions.leave)):
        blueprint.add_url_rule(PATH, view.__name__, view, methods=[method])
    return blueprint


class _Sessions:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._authenticate = request_caller(door.authenticators, door.origins, door.authenticators.anonymous)

    def tell(self) -> flask.Response:
        try:
            if renewed := self._renew():
                response = self._answer(self._door.authenticators.authenticate(renewed.access), renewed.access)
                self._write(response, renewed)
                return response
            return self._answer(self._authenticate(), self._token())
        except NotAuthenticated as error:
            # The cookie stays: this answer may come after that of a sign-in by another page of the same browser.
            return self._answer(None, "", self._notice(error))

    def enter(self) -> flask.Response:
        check_sent_by_itself(flask.request, self._door.origins, needs_origin=True)
        token = _read_body()
        response = self._answer(self._door.authenticators.authenticate(token), token)
        if not self._door.authenticators.anonymous:
            self._write(response, Tokens(token, ""))
        return response

    def leave(self) -> flask.Response:
        check_sent_by_itself(flask.request, self._door.origins, needs_origin=True)
        response = flask.jsonify(signOutUrl=self._sign_out_url())
        self._write(response, _NONE)
        return response

    def _renew(self) -> Tokens | None:
        """The next tokens, where the browser's are about to expire and there are any to be had. Raises ApiError."""
        sign_in, renewal = self._door.sign_in, read_renewal(flask.request.cookies)
        if sign_in is None or not renewal or "Authorization" in flask.request.headers:
            return None
        check_sent_by_itself(flask.request, self._door.origins, needs_origin=True)
        seconds = (_expiry(self._token()) or 0) - self._door.clock()
        if seconds > _SOON_SECONDS:
            return None
        try:
            return sign_in.renew(renewal)
        except ServiceUnavailable:
            if seconds > 0:
                return None
            raise

    def _token(self) -> str:
        """The browser's own token. Raises NotAuthenticated."""
        return "" if "Authorization" in flask.request.headers else read_token(flask.request.cookies)

    def _answer(self, caller: Caller | None, token: str, notice: str = "") -> flask.Response:
        door = self._door
        expiry = _expiry(token)
        return flask.jsonify(
            mode=_mode(door),
            local=door.is_local,
            user=caller and {"username": caller.username, "groups": [*caller.groups], "isAdmin": caller.is_admin},
            expiresAt=format_time(expiry) if expiry else None,
            canSignOut=bool(token) and not door.authenticators.anonymous,
            signInUrl=LOGIN if door.sign_in else None,
            notice=notice or None,
        )

    def _notice(self, error: NotAuthenticated) -> str:
        """Why the token that the browser has sent is not taken."""
        if not has_token(flask.request.cookies):
            return ""
        with contextlib.suppress(NotAuthenticated):
            expiry = _expiry(self._token())
            if expiry and expiry <= self._door.clock():
                return "Your session has expired. Sign in again to go on."
        return sentence(str(error))

    def _sign_out_url(self) -> str | None:
        """Where the session with the issuer ends, of which the browser's token is. Without it, it ends here alone."""
        sign_in = self._door.sign_in
        with contextlib.suppress(NotAuthenticated, ServiceUnavailable):
            if sign_in and (unverified_claims(self._token()) or {}).get("iss") == sign_in.issuer:
                return sign_in.sign_out_url() or None
        return None

    def _write(self, response: flask.Response, tokens: Tokens) -> None:
        origin = flask.request.headers.get("Origin", "")
        secure = self._door.has_tls or flask.request.is_secure or origin.startswith("https:")
        write_tokens(response, tokens.access, tokens.renewal, secure=secure)


def _mode(door: Door) -> str:
    if door.authenticators.anonymous:
        return "none"
    return "oidc" if door.sign_in else "token"


def _expiry(token: str) -> int | None:
    """When a token says it expires, UNIX seconds."""
    expiry = (unverified_claims(token) or {}).get("exp")
    return int(expiry) if isinstance(expiry, (int, float)) and 0 < expiry < _END_OF_TIME else None


def _read_body() -> str:
    flask.request.max_content_length = _MOST_BYTES
    try:
        body = flask.request.get_json(silent=True)
    except RequestEntityTooLarge:
        raise TooLarge(f"a token has no more than {MAX_TOKEN_BYTES} bytes") from None
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str):
        raise BadInput('send JSON, {"token": "..."}')
    return token
