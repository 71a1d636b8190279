"""The HTTP server: gunicorn with one worker process, so that `/metrics` is complete, and a thread per request.

A download occupies a thread until the client has received it, so the setting `downloads` limits concurrent downloads
and leaves threads for other requests. A client that sends its request slowly occupies no thread (`api.worker`). A peer
that neither sends nor accepts data is disconnected after STALLED_SECONDS.
"""

import logging
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

import flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from api.auth.cookies import MAX_HEADER_BYTES
from api.worker import Worker
from artifacts.log import adopt

# Within a request or a response; idle connections may stay open for `keepalive` seconds.
STALLED_SECONDS = 60
_MAX_CONNECTIONS = 10_000  # most are idle, and an idle connection needs no thread
_INVALID = "Invalid request from ip="  # the start of gunicorn's message; the rest contains text that the peer sent
_GRACE_SECONDS = 25  # within a pod's default of 30


class HttpServer(BaseApplication):  # type: ignore[misc]
    """Serves the application that `compose` creates in the worker process. `run` returns after SIGTERM or SIGINT."""

    def __init__(
        self,
        address: tuple[str, int],
        threads: int,
        compose: Callable[[], flask.Flask],
        stop: Callable[[], None],
        stalled_seconds: int = STALLED_SECONDS,
    ) -> None:
        self._address, self._threads, self._compose, self._stop = address, threads, compose, stop
        self._stalled_seconds = stalled_seconds
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn from the arguments, not from its command line or files."""
        host, port = self._address
        settings: dict[str, Any] = {
            "bind": f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": 1,
            "worker_class": Worker,
            "threads": self._threads,
            "worker_connections": _MAX_CONNECTIONS,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": 75,  # longer than a proxy's, so that the proxy closes idle connections
            "limit_request_line": 8190,
            "limit_request_fields": 64,
            "limit_request_field_size": MAX_HEADER_BYTES + 1024,
            "secure_scheme_headers": {},  # any client can send X-Forwarded-Proto, even over loopback
            "proc_name": "phjob-artifacts-api",
            "loglevel": "warning",
            "control_socket_disable": True,  # the server is controlled by signals only
            "on_starting": lambda _: adopt("gunicorn.error"),
            "when_ready": self._set_socket_timeouts,
            "worker_exit": lambda server, worker: self._stop(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        """Build the application in the worker process."""
        logging.getLogger("gunicorn.error").addFilter(_sanitize)
        return self._compose()

    def _set_socket_timeouts(self, arbiter: Arbiter) -> None:
        """Set the timeouts on the listening sockets; accepted sockets inherit them."""
        timeout = struct.pack("ll", self._stalled_seconds, 0)
        for listener in arbiter.LISTENERS:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                listener.sock.setsockopt(socket.SOL_SOCKET, option, timeout)


def _sanitize(record: logging.LogRecord) -> bool:
    """Remove text that peers sent from gunicorn's log records, and the traceback of a stalled peer.

    Such text may be a secret: a token in a malformed header, or a link's signature.
    """
    begin, found, rest = str(record.msg).partition(_INVALID)
    if found and not begin:
        record.msg, record.args = "invalid request", ()
        record.fields = {"peer": rest.partition(": ")[0], "kind": type(sys.exc_info()[1]).__name__}
    elif isinstance(record.args, tuple):
        record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
    if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
        record.msg, record.args, record.exc_info = "stalled peer disconnected", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
