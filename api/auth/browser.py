"""Protection against hostile web pages, for every request and response: Host, Origin, CORS, security headers.

These checks do not depend on the caller: they refuse requests that another web site makes a visitor's browser send.
"""

import flask

from api.auth.origins import Origins
from api.auth.request import SAFE_METHODS
from api.errors import NotAuthorized

_CORS_METHODS = "GET, HEAD, POST"
_CORS_REQUEST_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range"
_CORS_RESPONSE_HEADERS = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Retry-After"
_CORS_MAX_AGE_SECONDS = "600"

# Defaults; a view may set stricter ones, as downloads do.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a URL may contain a token or a link's signature
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def protect(app: flask.Flask, origins: Origins) -> None:
    """Check every request to `app` and add security headers to every response. Call it before adding other hooks."""

    @app.before_request
    def check_request() -> flask.Response | None:
        request = flask.request
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not origins.is_allowed_host(host):
            raise NotAuthorized(
                "the Host header names a host that is not this service: use localhost, or set PHJOB_API_ORIGIN"
            )
        if origin is None or origins.is_own(origin, request.scheme, host):
            return None
        is_allowed = origins.is_allowed(origin)
        if is_allowed and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _preflight()
        if request.method not in SAFE_METHODS and not (is_allowed and "Authorization" in request.headers):
            raise NotAuthorized(
                "the Origin header names another web site, which may not change anything; "
                "if the service is behind a proxy, set PHJOB_API_ORIGIN"
            )
        return None

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status_code == 401:
            response.headers.setdefault("WWW-Authenticate", "Bearer")
        if origins.has_allowed:
            _add_cors_headers(response, flask.request.headers.get("Origin", ""), origins)
        return response


def _preflight() -> flask.Response:
    response = flask.Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = _CORS_METHODS
    response.headers["Access-Control-Allow-Headers"] = _CORS_REQUEST_HEADERS
    response.headers["Access-Control-Max-Age"] = _CORS_MAX_AGE_SECONDS
    return response


def _add_cors_headers(response: flask.Response, origin: str, origins: Origins) -> None:
    """Let the allowed site read the response. Never `*`, and never with the browser's own credentials."""
    response.vary.add("Origin")
    if origins.is_allowed(origin):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _CORS_RESPONSE_HEADERS
