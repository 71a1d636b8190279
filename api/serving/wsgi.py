"""Translates between HTTP requests and WSGI, the interface of the Flask application.

WSGI's texts contain bytes as Latin-1. Request targets and headers are hostile.
"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from api.serving.streamed import StreamedBody

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_ABSOLUTE_TARGET = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
# Headers of one connection (RFC 9110, 7.6.1): the server sets them itself.
_CONNECTION_HEADERS = ("connection", "keep-alive", "transfer-encoding", "upgrade")


class InvalidTarget(Exception):
    """The request's target is not the path of a resource."""


@dataclass(frozen=True)
class RequestHead:
    """A request without its body. `target` and `headers` are as received; `version` is such as (1, 1)."""

    method: str
    target: bytes
    version: tuple[int, int]
    headers: Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Connection:
    """The addresses of a connection's ends, as host and port, and its URL scheme."""

    local: tuple[str, int]
    peer: tuple[str, int]
    scheme: str


@dataclass(frozen=True)
class WsgiResponse:
    """A response of the application."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes | StreamedBody


def make_environ(head: RequestHead, connection: Connection, body: IO[bytes], length: int) -> "WSGIEnvironment":
    """Return the WSGI environment of a request, whose `body` has `length` bytes.

    Raises InvalidTarget.
    """
    target, authority = _origin_form(head.target)
    path, _, query = target.partition(b"?")
    environ = _headers(head.headers)
    if authority:  # it takes precedence over the header (RFC 9112, 3.2.2)
        environ["HTTP_HOST"] = authority.decode("latin-1")
    environ |= {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_PROTOCOL": "HTTP/{}.{}".format(*head.version),
        "SERVER_NAME": connection.local[0],
        "SERVER_PORT": str(connection.local[1]),
        "REMOTE_ADDR": connection.peer[0],
        "REMOTE_PORT": str(connection.peer[1]),
        "CONTENT_LENGTH": str(length),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": connection.scheme,
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return environ


def call_application(application: "WSGIApplication", environ: "WSGIEnvironment") -> WsgiResponse:
    """Return the application's response. Anything but a StreamedBody is read completely."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        started.append((status, headers))  # the application must not call the obsolete write() that WSGI returns here

    body = application(environ, start_response)
    content = body if isinstance(body, StreamedBody) else _read_all(body)
    status, headers = started[-1]
    code, _, reason = status.partition(" ")
    names = {name.lower() for name, _ in headers}
    own = [(name, text) for name, text in headers if name.lower() not in _CONNECTION_HEADERS]
    if isinstance(content, bytes) and content and "content-length" not in names:
        own.append(("Content-Length", str(len(content))))
    return WsgiResponse(int(code), reason, own, content)


def _read_all(body: Iterable[bytes]) -> bytes:
    try:
        return b"".join(body)
    finally:
        if close := getattr(body, "close", None):
            close()


def _origin_form(target: bytes) -> tuple[bytes, bytes]:
    """Return the target as a path with its query, and the authority if the target was an absolute URL."""
    authority = b""
    if match := _ABSOLUTE_TARGET.match(target):
        authority, target = match[1], target[match.end() :]
        if not target.startswith(b"/"):
            target = b"/" + target
    if not target.startswith(b"/"):
        raise InvalidTarget
    return target.partition(b"#")[0], authority


def _headers(headers: Iterable[tuple[bytes, bytes]]) -> "WSGIEnvironment":
    """Return the headers as WSGI's variables.

    A name with an underscore is left out: in WSGI it would be the same as the name with a hyphen, which a proxy in
    front may have checked.
    """
    environ: WSGIEnvironment = {}
    for raw_name, raw_value in headers:
        if b"_" in raw_name:
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        key = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        separator = "; " if name == "COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ
