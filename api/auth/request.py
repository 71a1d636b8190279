"""Finds the caller of the current request, by the Authorization header or by a cookie.

A browser sends its cookies with requests from any site's page, so a request with a cookie is subject to CSRF checks. It
must not come from another site's page; if it changes something, it must also be JSON (which no form can send) and come
from the service's own origin. If no token is required, the same checks apply except that of the origin. A request with
an Authorization header is exempt, as browsers do not add that header by themselves; its cookies are ignored.
"""

from collections.abc import Callable

import flask

from api.auth.caller import Authenticator, Caller
from api.auth.cookies import has_token, read_token
from api.auth.origins import Origins
from api.errors import NotAuthenticated, NotAuthorized

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_TOKEN_MISSING = "a token is required: send the header Authorization: Bearer <token>"


def request_authenticator(
    authenticator: Authenticator, origins: Origins, anonymous: Caller | None = None
) -> Callable[[], Caller]:
    """Return a function that authenticates the current Flask request.

    `anonymous`: the caller of requests without a token; None refuses them. The function raises NotAuthenticated,
    ServiceUnavailable, or NotAuthorized for a request of another site's page.
    """

    def authenticate() -> Caller:
        request = flask.request
        header = request.headers.get("Authorization")
        if header is not None:
            return authenticator.authenticate(_bearer_token(header))
        if has_token(request.cookies, origins.has_tls):
            check_csrf(request, origins, needs_origin=True)
            return authenticator.authenticate(read_token(request.cookies, origins.has_tls))
        if anonymous is None:
            raise NotAuthenticated(_TOKEN_MISSING)
        check_csrf(request, origins, needs_origin=False)
        return anonymous

    return authenticate


def _bearer_token(header: str) -> str:
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated(_TOKEN_MISSING)
    return token.strip(" ")


def check_csrf(request: flask.Request, origins: Origins, needs_origin: bool) -> None:
    """Refuse a request that another site's page may have made the browser send. Raises NotAuthorized."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise NotAuthorized("the request comes from another web site (Sec-Fetch-Site); use the service's own page")
    if request.method in SAFE_METHODS:
        return
    if request.mimetype != "application/json":
        raise NotAuthorized("a request that changes something must be JSON, or have the Authorization header")
    origin = request.headers.get("Origin", "")
    if needs_origin and not origins.is_own(origin, request.scheme, request.headers.get("Host", "")):
        raise NotAuthorized("a request with a cookie must come from the service's own page (Origin)")
