"""gunicorn's threaded worker, changed so that a thread gets complete requests only.

gunicorn reads a request in the thread that answers it, so a slow sender occupies a thread, and as many slow senders as
threads block the service. In this worker, a connection waits in the poller, without a thread, until its request is
complete: the worker peeks at the received bytes and sets SO_RCVLOWAT to the number of bytes worth a wake-up.
"""

import re
import socket
import time
from typing import Any

from gunicorn.workers.gthread import _DEFER, ThreadWorker  # private; tests/api/test_server.py detects changes

from api.schema.request import MAX_BODY_BYTES

REQUEST_SECONDS = 30.0  # from a request's first byte to its last

_MAX_PEEK_BYTES = 2 * MAX_BODY_BYTES  # headers and body; the parser refuses longer requests
_HEADERS_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,12})[ \t]*\r\n", re.IGNORECASE)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers complete requests, and closes connections in the request's thread.

    gunicorn closes them in the accepting thread, where it waits two seconds for each peer that does not close.
    """

    def handle(self, conn: Any) -> Any:
        """Override gunicorn's method. A connection that ends here is closed before this returns."""
        is_open = self._handle_complete(conn)
        if not is_open:
            conn.close(graceful=True)
            conn.close = _do_nothing
        return is_open

    def _handle_complete(self, conn: Any) -> Any:
        read_ahead = conn.parser is not None and conn.parser.unreader.buf.getvalue()
        is_incomplete = not read_ahead and _await_rest(conn.sock)
        if is_incomplete:
            conn.begun_at = getattr(conn, "begun_at", None) or time.monotonic()
            if time.monotonic() - conn.begun_at > REQUEST_SECONDS:
                return False
            return _DEFER
        conn.begun_at, conn.data_ready = None, True
        return super().handle(conn)


def _await_rest(sock: socket.socket) -> bool:
    """Return whether the request is incomplete, and let the poller wake up only for the missing bytes."""
    try:
        received = sock.recv(_MAX_PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        wanted = 1
    except OSError:
        return False  # the parser will report the error
    else:
        if not received:
            return False  # the peer has closed the connection
        wanted = wanted_bytes(received)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, max(1, wanted))
    return bool(wanted)


def wanted_bytes(received: bytes) -> int:
    """Return how many bytes must have arrived before the next check; 0 if the request can go to the parser."""
    end = received.find(_HEADERS_END)
    if end < 0:
        return len(received) + 1 if len(received) < _MAX_PEEK_BYTES else 0
    length = _CONTENT_LENGTH.search(received, 0, end + 2)
    total = end + len(_HEADERS_END) + (int(length[1]) if length else 0)
    return total if len(received) < total <= _MAX_PEEK_BYTES else 0


def _do_nothing(graceful: bool = False) -> None:
    """Replace the close method of a connection that is already closed."""
