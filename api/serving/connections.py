"""The server's connections: their number and idle time are bounded, and what is not HTTP gets an error like others."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from api.auth.cookies import MAX_HEADER_BYTES
from api.errors import error_body
from api.serving.body import has_body
from artifacts.log import get_logger

logger = get_logger(__name__)

SERVER = "phjob-artifacts"  # in the header Server
_KEEP_ALIVE_SECONDS = 75.0  # without a complete request; longer than a proxy's, so that the proxy closes first
_LINGERING_SECONDS = 2.0  # for the rest of a body that the response did not need
_MAX_CONNECTIONS = 10_000  # most are idle
_MAX_HEADERS = 64
_HALF_CLOSED_SECONDS = 0.1  # in which requests that were received before are handled

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connections:
    """Accepts connections, whose requests `handler` answers. Belongs to one event loop."""

    def __init__(self, handler: Handler) -> None:
        self._loop = asyncio.get_running_loop()
        self._manager = web.Server(handler, handler_cancellation=True)
        self._transports: set[asyncio.Transport] = set()

    def accept(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        if len(self._transports) >= _MAX_CONNECTIONS:
            return _RefusedConnection()
        return _Connection(self._manager, self._loop, self._transports)

    async def close(self, grace_seconds: float) -> None:
        """Close the connections: idle ones at once, the others after their request, or after `grace_seconds`."""
        self._manager.pre_shutdown()
        await self._manager.shutdown(grace_seconds)
        while self._transports:
            for transport in self._transports:
                transport.abort()
            await asyncio.sleep(0)


@contextlib.contextmanager
def handling(request: web.BaseRequest) -> Iterator[None]:
    """Let the request's connection know which request is being handled."""
    connection = request.protocol
    assert isinstance(connection, _Connection)
    connection.begin(request)
    try:
        yield
    finally:
        connection.end()


def error_response(status: int, error: BaseException | None) -> web.Response:
    """Return the response for a request that the application does not get, or whose handler failed."""
    if isinstance(error, LineTooLong):
        status, code = 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"
        text = "the request's target or one of its headers is too long"
    elif status < 500:
        code, text = "BAD_REQUEST", "the request is not valid HTTP"
    else:
        code, text = "INTERNAL_SERVER_ERROR", "internal error: the service's log has the details"
    return web.json_response(error_body(status, code, text), status=status, headers={"Server": SERVER})


class _RefusedConnection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()


class _Connection(web.RequestHandler):
    """A connection. A client that has closed its side only still gets its responses."""

    def __init__(self, manager: web.Server, loop: asyncio.AbstractEventLoop, open: set[asyncio.Transport]) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            lingering_time=_LINGERING_SECONDS,
            max_field_size=MAX_HEADER_BYTES + 1024,
            max_headers=_MAX_HEADERS,
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,  # a small body could become a huge one
        )
        self._event_loop, self._open = loop, open
        self._opened: asyncio.Transport | None = None
        self._handled: web.BaseRequest | None = None
        self._is_half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._opened = transport
        self._open.add(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop counting the connection."""
        if self._opened:
            self._open.discard(self._opened)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection until all responses are sent. TLS has no half-closed connections."""
        transport = self._opened
        if transport is None or transport.get_extra_info("sslcontext") is not None:
            return False
        self._is_half_closed = True
        if self._handled:
            _end_body(self._handled)
        self._close_when_idle()
        return True

    def begin(self, request: web.BaseRequest) -> None:
        """Begin to handle a request."""
        self._handled = request
        if self._is_half_closed:
            _end_body(request)

    def end(self) -> None:
        """End the handling of the request. Its response has been sent."""
        request, self._handled = self._handled, None
        if request and request.content.exception():
            self.force_close()  # the rest of the body cannot be skipped
        elif self._is_half_closed:
            self._close_when_idle()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the response to a malformed request, or to one whose handler failed."""
        if isinstance(exc, ConnectionError):
            raise exc  # the response cannot be completed
        if status >= 500:
            logger.error("request failed", peer=request.remote, exc_info=exc)
        else:
            logger.info("invalid request", peer=request.remote, kind=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response has been sent")
        response = error_response(status, exc)
        response.force_close()
        return response

    def _close_when_idle(self) -> None:
        self._event_loop.call_later(_HALF_CLOSED_SECONDS, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._handled is None and self._opened is not None:
            self._opened.close()


def _end_body(request: web.BaseRequest) -> None:
    """Make the body end too early, if it has not been received completely."""
    if has_body(request) and not request.content.is_eof():
        request.content.set_exception(web.RequestPayloadError("the client has closed the connection"))
