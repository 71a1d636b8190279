"""Sign-in at the issuer: `/api/session/login` redirects there, and the issuer redirects to `/api/session/callback`.

Every callback gets an HTML page or a redirect, and each login state is used once.
"""

import re
from urllib.parse import urlencode

import flask
from flask import Blueprint

from api.auth.caller import Authenticator
from api.auth.cookies import cookie_name, write_tokens
from api.auth.login_state import LOGIN_SECONDS, LoginStateSigner
from api.auth.signin import SignIn
from api.errors import ApiError
from api.web.error_page import HOME, error_page
from artifacts.log import get_logger

logger = get_logger(__name__)

LOGIN = "/api/session/login"
CALLBACK = "/api/session/callback"

_STATE_COOKIE = "phjob_signin"
_MAX_PATH_LENGTH = 1500  # the login state must fit into a cookie
# Browsers resolve `//host` and `/\host` to another host, after removing tabs and newlines. Paths below /api are not
# pages, and the login itself would be a loop.
_PAGE_PATH = re.compile(r"/(?![/\\]|api/)[!-\[\]-~]*", re.ASCII)


def signin_blueprint(
    sign_in: SignIn, states: LoginStateSigner, authenticator: Authenticator, has_tls: bool
) -> Blueprint:
    """The login and callback views.

    `authenticator` decides whether the issuer's token is accepted. `has_tls`: whether browsers use HTTPS.
    """
    blueprint = Blueprint("signin", __name__)
    state_cookie = cookie_name(_STATE_COOKIE, CALLBACK, has_tls)

    @blueprint.get(LOGIN)
    def login() -> flask.Response:
        next_path = page_path(flask.request.args.get("next", ""))
        try:
            url, state = sign_in.start(next_path)
        except ApiError as error:
            return _sign_in_failed(error, next_path)
        response = _redirect(url)
        set_state_cookie(response, states.encode(state), LOGIN_SECONDS)
        return response

    @blueprint.get(CALLBACK)
    def callback() -> flask.Response:
        state = states.decode(flask.request.cookies.get(state_cookie, ""))
        next_path = state.next_path if state else "/"
        try:
            tokens = sign_in.complete(flask.request.args, state)
            caller = authenticator.authenticate(tokens.access_token)
        except ApiError as error:
            response = _sign_in_failed(error, next_path)
        else:
            logger.info("signed in", user=caller.username)
            response = _redirect(next_path)
            write_tokens(response, tokens, secure=has_tls, delete_unsent=True)
        set_state_cookie(response, "", 0)
        return response

    def set_state_cookie(response: flask.Response, text: str, seconds: int) -> None:
        # Lax, as the browser must send it although the issuer's site redirects here.
        response.set_cookie(state_cookie, text, seconds, path=CALLBACK, secure=has_tls, httponly=True, samesite="Lax")

    return blueprint


def page_path(text: str) -> str:
    """Return `text` if it is the path (and query) of one of the service's pages, otherwise "/"."""
    return text if len(text) <= _MAX_PATH_LENGTH and _PAGE_PATH.fullmatch(text) else "/"


def _redirect(url: str) -> flask.Response:
    return flask.Response(status=303, headers={"Location": url})


def _sign_in_failed(error: ApiError, next_path: str) -> flask.Response:
    retry_url = f"{LOGIN}?{urlencode({'next': next_path})}"
    return error_page(error.status, "Sign-in failed", str(error), [(retry_url, "Retry"), HOME])
