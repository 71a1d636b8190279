"""The HTTP server: aiohttp at the sockets, and the WSGI application in threads.

A request is received completely before it gets a thread, and the event loop sends the response, so a client that is
slow, or stops, holds a connection but no thread. A client that neither sends nor accepts data is disconnected after
STALLED_SECONDS.
"""

import asyncio
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import web

from api.serving.body import BodyReader
from api.serving.connections import SERVER, Connections, error_response, handling
from api.serving.streamed import Sender, StalledError, StreamedBody
from api.serving.wsgi import (
    Connection,
    InvalidTarget,
    RequestHead,
    WsgiResponse,
    call_application,
    make_environ,
)
from artifacts.log import adopt, get_logger

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = get_logger(__name__)

STALLED_SECONDS = 60.0
GRACE_SECONDS = 25.0  # for requests in progress when the server stops: within a pod's default of 30
_STREAM_THREADS = 64  # each waits for the store only
_BACKLOG = 1024


def listen(address: tuple[str, int]) -> socket.socket:
    """Return a socket that listens at host and port; an IPv6 address may be in brackets. Raises OSError."""
    host, port = address
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class HttpServer:
    """Serves `application` at a listening socket with at most `threads` requests at the same time.

    `tls`: for HTTPS; its certificate may be replaced while the server runs (`load_cert_chain`).
    """

    def __init__(
        self,
        listening: socket.socket,
        threads: int,
        application: "WSGIApplication",
        *,
        tls: ssl.SSLContext | None = None,
        stalled_seconds: float = STALLED_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._listening, self._threads, self._application, self._tls = listening, threads, application, tls
        self._stalled_seconds, self._grace_seconds = stalled_seconds, grace_seconds
        self._running: tuple[threading.Thread, Callable[[], None]] | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        asyncio.run(self._serve(_stop_on_signals))

    def start(self) -> None:
        """Serve in another thread until `stop`."""
        stop: Future[Callable[[], None]] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(stop.set_result)), name="http")
        thread.start()
        self._running = thread, stop.result()

    def stop(self) -> None:
        """Stop what `start` has started."""
        if self._running:
            thread, stop = self._running
            stop()
            thread.join()

    async def _serve(self, on_ready: Callable[[Callable[[], None]], None]) -> None:
        """Serve until the function is called that `on_ready` gets, from any thread."""
        for name in ("aiohttp.server", "asyncio"):
            adopt(name)
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        with ThreadPoolExecutor(self._threads, "request") as requests, ThreadPoolExecutor(_STREAM_THREADS) as streams:
            handler = _RequestHandler(self._application, requests, Sender(streams, self._stalled_seconds))
            connections = Connections(handler.handle)
            server = await loop.create_server(connections.accept, sock=self._listening, ssl=self._tls, backlog=_BACKLOG)
            on_ready(lambda: _call_soon(loop, stopping.set))
            await stopping.wait()
            server.close()
            await connections.close(self._grace_seconds)


def _stop_on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(function)


class _RequestHandler:
    """Passes requests to the application, and its responses to the client."""

    def __init__(self, application: "WSGIApplication", executor: ThreadPoolExecutor, sender: Sender) -> None:
        self._application, self._executor, self._sender = application, executor, sender
        self._bodies = BodyReader()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Respond to a request. Raises ConnectionError if the response cannot be sent completely."""
        with handling(request):
            return await self._respond(request)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        await _allow_body(request)
        async with self._bodies.reading(request) as body:
            head = RequestHead(request.method, _raw_target(request), request.version, request.raw_headers)
            try:
                if request.version < (1, 0):
                    raise InvalidTarget  # HTTP/0.9 has neither headers nor a status
                environ = make_environ(head, _connection_of(request), body.file, body.length)
            except InvalidTarget as error:
                return error_response(400, error)
            result = await self._call(environ)
        response = web.StreamResponse(status=result.status, reason=result.reason, headers={"Server": SERVER})
        response.headers.extend(result.headers)
        try:
            if isinstance(result.body, StreamedBody):
                await self._sender.send_streamed(request, response, result.body)
            else:
                await self._sender.send_complete(request, response, result.body)
        except StalledError:
            logger.warning("stalled peer disconnected", peer=request.remote)
            if request.transport:
                request.transport.abort()
            raise
        return response

    async def _call(self, environ: dict[str, object]) -> WsgiResponse:
        future = self._executor.submit(call_application, self._application, environ)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(_close_unsent)
            raise


def _close_unsent(future: "Future[WsgiResponse]") -> None:
    """Close the body of a response whose client has gone."""
    if not future.cancelled() and not future.exception() and isinstance(body := future.result().body, StreamedBody):
        body.close()


async def _allow_body(request: web.BaseRequest) -> None:
    """Tell a client that waits for permission to send the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the response has been sent


def _raw_target(request: web.BaseRequest) -> bytes:
    return request.raw_path.encode(errors="surrogateescape")


def _connection_of(request: web.BaseRequest) -> Connection:
    protocol = request.protocol
    local, peer = protocol.sockname or ("", 0), protocol.peername or ("", 0)
    return Connection((str(local[0]), int(local[1])), (str(peer[0]), int(peer[1])), request.scheme)
