"""What holds for every request and answer because browsers exist: Host, Origin, CORS, headers that bound an answer.

Apart from who calls: these refuse a web site that makes its visitor's browser ask, whatever it asks for.
"""

import flask

from api.auth.origins import Origins
from api.auth.request import SAFE_METHODS
from api.errors import NotAuthorized

_CORS_METHODS = "GET, HEAD, POST"
_CORS_REQUEST_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range"
_CORS_ANSWER_HEADERS = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After"
_CORS_SECONDS = "600"

# For an answer that does not set its own; a download's are stricter.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # an address may hold a token or a link's signature
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def protect(app: flask.Flask, origins: Origins) -> None:
    """Have every request to `app` checked, and every answer bounded. To be called before other hooks are added."""

    @app.before_request
    def check() -> flask.Response | None:
        request = flask.request
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not origins.is_host(host):
            raise NotAuthorized("the Host header names another host: use localhost, or set PHJOB_API_ORIGIN")
        if origin is None or origins.is_own(origin, request.scheme, host):
            return None
        other = origins.is_other(origin)
        if other and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _preflight()
        if request.method not in SAFE_METHODS and not (other and "Authorization" in request.headers):
            raise NotAuthorized(
                "the request comes from the page of another web site (Origin); behind a proxy set PHJOB_API_ORIGIN"
            )
        return None

    @app.after_request
    def bound(response: flask.Response) -> flask.Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status_code == 401:
            response.headers.setdefault("WWW-Authenticate", "Bearer")
        if origins.has_others:
            _allow_other(response, flask.request.headers.get("Origin", ""), origins)
        return response


def _preflight() -> flask.Response:
    response = flask.Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = _CORS_METHODS
    response.headers["Access-Control-Allow-Headers"] = _CORS_REQUEST_HEADERS
    response.headers["Access-Control-Max-Age"] = _CORS_SECONDS
    return response


def _allow_other(response: flask.Response, origin: str, origins: Origins) -> None:
    """Let the named site, never all, read the answer; never with credentials that its visitor's browser adds."""
    response.vary.add("Origin")
    if origins.is_other(origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _CORS_ANSWER_HEADERS
