"""Signing in at the issuer: `/api/session/login` leads there, `/api/session/callback` is where it leads back to.

Whatever comes to the callback is answered with a page that says what to do, and an attempt counts once.
"""

import re
from urllib.parse import urlencode

import flask
from flask import Blueprint

from api.auth.attempts import SECONDS, Attempts
from api.auth.caller import Authenticator
from api.auth.cookies import write_tokens
from api.auth.signin import SignIn
from api.errors import ApiError
from api.web.plain import START, plain_page
from artifacts.log import get_logger

logger = get_logger(__name__)

LOGIN = "/api/session/login"
CALLBACK = "/api/session/callback"

_ATTEMPT = "phjob_signin"
_LONGEST_PATH = 1500  # the attempt is to fit into a cookie
# A path of ours: browsers take `//host` and `/\host` for another host's, and drop tabs and newlines first. What is
# below /api is no page; the login itself would go round in circles.
_OWN_PATH = re.compile(r"/(?![/\\]|api/)[!-\[\]-~]*", re.ASCII)


def signin_blueprint(sign_in: SignIn, attempts: Attempts, authenticator: Authenticator, has_tls: bool) -> Blueprint:
    """Both addresses. `authenticator` decides whether a token is taken. `has_tls`: browsers come by https."""
    blueprint = Blueprint("signin", __name__)

    @blueprint.get(LOGIN)
    def login() -> flask.Response:
        then = own_path(flask.request.args.get("next", ""))
        try:
            url, attempt = sign_in.begin(then)
        except ApiError as error:
            return _failed(error, then)
        response = _redirect(url)
        keep(response, attempts.pack(attempt), SECONDS)
        return response

    @blueprint.get(CALLBACK)
    def callback() -> flask.Response:
        attempt = attempts.unpack(flask.request.cookies.get(_ATTEMPT, ""))
        then = attempt.then if attempt else "/"
        try:
            tokens = sign_in.finish(flask.request.args, attempt)
            caller = authenticator.authenticate(tokens.access)
        except ApiError as error:
            response = _failed(error, then)
        else:
            logger.info("signed in", user=caller.username)
            response = _redirect(then)
            write_tokens(response, tokens.access, tokens.renewal, secure=has_tls, unseen=True)
        keep(response, "", 0)
        return response

    def keep(response: flask.Response, packed: str, seconds: int) -> None:
        """Lax: it is to be sent although another site leads here."""
        response.set_cookie(_ATTEMPT, packed, seconds, path=CALLBACK, secure=has_tls, httponly=True, samesite="Lax")

    return blueprint


def own_path(text: str) -> str:
    """The path of a page of ours, with its query; "/" for whatever else."""
    return text if len(text) <= _LONGEST_PATH and _OWN_PATH.fullmatch(text) else "/"


def _redirect(url: str) -> flask.Response:
    return flask.Response(status=303, headers={"Location": url})


def _failed(error: ApiError, then: str) -> flask.Response:
    again = f"{LOGIN}?{urlencode({'next': then})}"
    return plain_page(error.status, "Signing in did not work", str(error), [(again, "Try again"), START])
