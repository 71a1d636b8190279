"""Serves metrics and health checks over HTTP in one thread, which no client can block.

Sockets never block, a connection ends after some seconds whatever its client does, and the oldest connection makes way
if there are too many. http.server needs a thread for each client that is slow.
"""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from artifacts.log import get_logger

logger = get_logger(__name__)

PLAIN = "text/plain; charset=utf-8"
MAX_CONNECTIONS = 64
MAX_REQUEST_BYTES = 8192
MAX_SECONDS = 5.0  # from the connection to the end of the response
_MAX_DISCARDED_BYTES = 65536  # of what a client sends after its request

Response = tuple[int, str, bytes]  # status, content type and body
Handler = Callable[[str], Response]  # receives the header `Accept`


class MonitoringServer:
    """Serves GET requests for the paths in `handlers` from construction to `close`. Raises OSError if it cannot bind.

    The handlers run in the server's thread, so they must not wait.
    """

    def __init__(
        self, address: tuple[str, int], handlers: Mapping[str, Handler], max_seconds: float = MAX_SECONDS
    ) -> None:
        self._handlers, self._max_seconds = handlers, max_seconds
        self._listener = socket.create_server(address)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._connections: dict[_Connection, float] = {}  # -> when to close them (monotonic seconds); the oldest first
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and close all connections."""
        self._is_closing = True
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        while self._connections:
            self._drop(next(iter(self._connections)))
        self._selector.close()
        self._listener.close()

    def _run(self) -> None:
        while not self._is_closing:
            ends = next(iter(self._connections.values()), None)
            for key, _ in self._selector.select(None if ends is None else max(0.0, ends - time.monotonic())):
                if key.data is None:
                    self._accept()
                elif key.data in self._connections:  # not dropped in this round to make way
                    self._advance(key.data)
            now = time.monotonic()
            for connection in [connection for connection, ends in self._connections.items() if ends <= now]:
                self._drop(connection)

    def _accept(self) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._connections)))
        try:
            accepted, _ = self._listener.accept()
        except OSError:  # the client has gone, or this process has no free descriptor until a connection is closed
            if self._connections:
                self._drop(next(iter(self._connections)))
            elif not self._is_closing:
                time.sleep(0.1)
            return
        accepted.setblocking(False)
        connection = _Connection(accepted, self._respond)
        self._connections[connection] = time.monotonic() + self._max_seconds
        self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _advance(self, connection: "_Connection") -> None:
        try:
            events = connection.advance()
        except BlockingIOError:
            return
        except OSError:  # the client has gone
            events = 0
        if events:
            self._selector.modify(connection.socket, events, connection)
        else:
            self._drop(connection)

    def _drop(self, connection: "_Connection") -> None:
        del self._connections[connection]
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _respond(self, request: bytes) -> Response:
        """Return the response to a complete request head."""
        line, _, headers = request.decode("latin-1").partition("\n")
        words = line.split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return 400, PLAIN, b"the request is invalid\n"
        if words[0] != "GET":
            return 501, PLAIN, b"use GET\n"
        handler = self._handlers.get(words[1].partition("?")[0])
        if handler is None:
            return 404, PLAIN, f"not found; use {' or '.join(self._handlers)}\n".encode()
        fields = (header.partition(":") for header in headers.splitlines())
        accept = ",".join(value.strip() for name, _, value in fields if name.lower() == "accept")
        try:
            status, content_type, body = handler(accept)
        except Exception:
            logger.exception("request failed", path=words[1])
            return 500, PLAIN, b"internal error\n"
        return status, content_type, body


class _Connection:
    """One client: its request, then the response, then the end."""

    def __init__(self, accepted: socket.socket, respond: Callable[[bytes], Response]) -> None:
        self.socket, self._respond = accepted, respond
        self._request = bytearray()
        self._response: memoryview | None = None
        self._discarded_bytes = 0

    def advance(self) -> int:
        """Read or write what the socket allows. Returns the events to wait for, 0 at the end. Raises OSError."""
        if self._response is None:
            received = self.socket.recv(MAX_REQUEST_BYTES)
            self._request += received
            if not received:
                return 0
            if not self._is_complete():
                return selectors.EVENT_READ
            self._response = self._encode()
        if self._response:
            self._response = self._response[self.socket.send(self._response) :]
            if not self._response:
                self.socket.shutdown(socket.SHUT_WR)
            return selectors.EVENT_WRITE if self._response else selectors.EVENT_READ
        # Closing with unread data would reset the connection, and the client might lose the response.
        received = self.socket.recv(MAX_REQUEST_BYTES)
        self._discarded_bytes += len(received)
        return selectors.EVENT_READ if received and self._discarded_bytes < _MAX_DISCARDED_BYTES else 0

    def _is_complete(self) -> bool:
        return b"\n\r\n" in self._request or b"\n\n" in self._request or len(self._request) > MAX_REQUEST_BYTES

    def _encode(self) -> memoryview:
        if len(self._request) > MAX_REQUEST_BYTES:
            status, content_type, body = 431, PLAIN, b"the request is too large\n"
        else:
            status, content_type, body = self._respond(bytes(self._request))
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self._request.clear()
        return memoryview(head.encode("latin-1") + body)
