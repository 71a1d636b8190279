"""The HTTP server: gunicorn with one process, so that `/metrics` is whole, and a thread for each request.

A download to a slow reader holds its thread; those are counted (`downloads`), so that the others are always served.
A slow writer holds none (`worker`). A peer that takes nothing is let go after a while.
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

from api.auth.tokens import MAX_TOKEN_BYTES
from api.worker import Worker
from artifacts.log import adopt

# Seconds a peer may go without taking or giving a byte in the middle of a request or an answer.
STALLED_SECONDS = 60
_MOST_CONNECTIONS = 10_000  # most of them wait for a request, which costs no thread
_INVALID = "Invalid request from ip="  # gunicorn's line, which ends with what is wrong in the peer's words
_GRACE_SECONDS = 25  # within a pod's usual 30


class Server(BaseApplication):  # type: ignore[misc]
    """Serves what `compose` makes in the worker process. Returns from `run` when told to end (SIGTERM, SIGINT)."""

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
        host, port = self._address
        settings: dict[str, Any] = {
            "bind": f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": 1,
            "worker_class": Worker,
            "threads": self._threads,
            "worker_connections": _MOST_CONNECTIONS,
            "graceful_timeout": _GRACE_SECONDS,
            "keepalive": 75,  # longer than a proxy's, so that it is the proxy that closes
            "limit_request_line": 8190,
            "limit_request_fields": 64,
            "limit_request_field_size": MAX_TOKEN_BYTES + 1024,
            "proc_name": "phjob-artifacts-api",
            "loglevel": "warning",
            "control_socket_disable": True,  # nobody is to control it but by signals
            "on_starting": lambda _: adopt("gunicorn.error"),
            "when_ready": self._bound_waiting,
            "worker_exit": lambda server, worker: self._stop(),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> flask.Flask:
        logging.getLogger("gunicorn.error").addFilter(_tell_briefly)
        return self._compose()

    def _bound_waiting(self, arbiter: Arbiter) -> None:
        """Sockets that are accepted inherit this from the one that listens."""
        bound = struct.pack("ll", self._stalled_seconds, 0)
        for listener in arbiter.LISTENERS:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                listener.sock.setsockopt(socket.SOL_SOCKET, option, bound)


def _tell_briefly(record: logging.LogRecord) -> bool:
    """A line for a peer that was let go, where gunicorn has a trace; nothing of what peers send, which may be a secret:
    a token in a header that is none, a link's signature."""
    begin, found, rest = str(record.msg).partition(_INVALID)
    if found and not begin:
        record.msg, record.args = "invalid request", ()
        record.fields = {"peer": rest.partition(": ")[0], "kind": type(sys.exc_info()[1]).__name__}
    elif isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
        record.msg, record.args, record.exc_info = "let go a peer that had stalled", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
