"""From a request to its caller: by the token in the Authorization header, or by a cookie under the rules below.

A browser sends a cookie by itself, whoever made the page that asks, so a cookie reads only for pages of our own, and
changes only what came as JSON (which no form can send) from our own origin. The same holds for who needs no token.
A header decides alone: no browser sends it by itself.
"""

from collections.abc import Callable

import flask

from api.auth.caller import Authenticator, Caller
from api.auth.cookies import has_token, read_token
from api.auth.origins import Origins
from api.errors import NotAuthenticated, NotAuthorized

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_NO_TOKEN = "a token is needed: send the header Authorization: Bearer <token>"


def request_caller(
    authenticator: Authenticator, origins: Origins, anonymous: Caller | None = None
) -> Callable[[], Caller]:
    """What tells the current request's caller. `anonymous`: who calls without a token; None: nobody may.

    It raises NotAuthenticated, NotAuthorized for a page that is not ours, Unavailable.
    """

    def authenticate() -> Caller:
        request = flask.request
        header = request.headers.get("Authorization")
        if header is not None:
            return authenticator.authenticate(_bearer(header))
        if has_token(request.cookies):
            check_sent_by_itself(request, origins, needs_origin=True)
            return authenticator.authenticate(read_token(request.cookies))
        if anonymous is None:
            raise NotAuthenticated(_NO_TOKEN)
        check_sent_by_itself(request, origins, needs_origin=False)
        return anonymous

    return authenticate


def _bearer(header: str) -> str:
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated(_NO_TOKEN)
    return token.strip(" ")


def check_sent_by_itself(request: flask.Request, origins: Origins, needs_origin: bool) -> None:
    """Refuse what another site's page may have made a browser send, with what it sends by itself: NotAuthorized."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise NotAuthorized("a page of another web site asked for this; open it from the service's own page")
    if request.method in SAFE_METHODS:
        return
    if request.mimetype != "application/json":
        raise NotAuthorized("without the Authorization header a request that changes anything must be JSON")
    origin = request.headers.get("Origin", "")
    if needs_origin and not origins.is_own(origin, request.scheme, request.headers.get("Host", "")):
        raise NotAuthorized("with a cookie a request must come from the service's own page (Origin)")
