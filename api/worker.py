"""gunicorn's threaded worker, but that a thread is given to whole requests alone.

gunicorn reads a request in the thread that answers it, so whoever sends one slowly holds a thread, and as many as there
are threads hold the service. Here a connection waits in the poller, which costs nothing, until its request is there:
what has come is peeked at, and the kernel is told (SO_RCVLOWAT) how much more is worth a wake-up.
"""

import re
import socket
import time
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker  # held to by tests/api/test_server.py

from api.schema.request import MAX_BODY_BYTES

# Seconds in which a request must have come, once it has begun.
REQUEST_SECONDS = 30.0

_MOST_PEEKED = 2 * MAX_BODY_BYTES  # headers and body; what is longer is for the parser to refuse
_HEADERS_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r\n", re.IGNORECASE)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers whole requests, and says goodbye in the request's own thread: gunicorn does in the one that accepts, and
    waits two seconds there for each peer that does not close."""

    def handle(self, conn: Any) -> Any:
        """As gunicorn's; a connection that ends here is closed when this returns."""
        goes_on = self._handle_whole(conn)
        if not goes_on:
            conn.close(graceful=True)
            conn.close = _do_nothing
        return goes_on

    def _handle_whole(self, conn: Any) -> Any:
        read_ahead = conn.parser is not None and conn.parser.unreader.buf.getvalue()
        missing = 0 if read_ahead else _missing(conn.sock)
        if missing:
            conn.begun_at = getattr(conn, "begun_at", None) or time.monotonic()
            if time.monotonic() - conn.begun_at > REQUEST_SECONDS:
                return False
            return _DEFER
        conn.begun_at, conn.data_ready = None, True
        return super().handle(conn)


def _missing(sock: socket.socket) -> bool:
    """Whether more of the request is to come. The poller then wakes up for that alone."""
    try:
        come = sock.recv(_MOST_PEEKED, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        wanted = 1
    except OSError:
        return False  # the parser finds out what it is
    else:
        if not come:
            return False  # the peer has gone
        wanted = wanted_bytes(come)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, max(1, wanted))
    return bool(wanted)


def wanted_bytes(come: bytes) -> int:
    """How many bytes must have come before it is worth looking again; 0: the request is whole, or for the parser."""
    end = come.find(_HEADERS_END)
    if end < 0:
        return len(come) + 1 if len(come) < _MOST_PEEKED else 0
    length = _LENGTH.search(come, 0, end + 2)
    whole = end + len(_HEADERS_END) + (int(length[1]) if length else 0)
    return whole if len(come) < whole <= _MOST_PEEKED else 0


def _do_nothing(graceful: bool = False) -> None:
    """Closing what is closed already."""
