"""Sends bodies that are produced while they are sent, such as downloads. No thread waits for a client.

A thread is used only to produce a block, or to pass a part of a file to the kernel while the client's socket takes
data. Meanwhile, the connection waits in the event loop.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from aiohttp import web

T = TypeVar("T")
_BLOCK_BYTES = 64 * 1024


class StreamedBody(ABC):
    """A body. Its methods may wait for the store, never for the client, and are called by one thread at a time."""

    @abstractmethod
    def read(self) -> bytes:
        """Return the next block, or b"" at the end. Raises ConnectionError if the body cannot be completed."""

    @abstractmethod
    def send(self, socket: int) -> int | None:
        """Send what follows directly to a non-blocking socket, and return the number of bytes.

        0: the socket accepts no data now. None: call `read` for what follows. Raises ConnectionError as `read` does, or
        if the client has gone.
        """

    @abstractmethod
    def close(self, sent_bytes: int = 0, *, is_complete: bool = False) -> None:
        """End the body, of which the client's connection has accepted some bytes, or all."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks: WSGI requires that a body can be iterated. Our server does not do that."""
        return iter(self.read, b"")


class Sender:
    """Sends responses. A client that accepts no data for `stalled_seconds` is disconnected."""

    def __init__(self, executor: Executor, stalled_seconds: float) -> None:
        self._executor, self._stalled_seconds = executor, stalled_seconds

    async def send_complete(self, request: web.BaseRequest, response: web.StreamResponse, content: bytes) -> None:
        """Send a response whose content is known. Raises ConnectionError if it cannot be sent completely."""
        await self._wait(response.prepare(request))
        await self._wait(request.writer.drain())
        view = memoryview(content)
        for offset in range(0, len(view), _BLOCK_BYTES):
            await self._write(request, response, view[offset : offset + _BLOCK_BYTES])
        await self._wait(response.write_eof())

    async def send_streamed(self, request: web.BaseRequest, response: web.StreamResponse, body: StreamedBody) -> None:
        """Send a response and its body, and close the body. Raises ConnectionError as above."""
        length = response.content_length
        # Without a length, the body is sent in chunks, whose sizes precede them.
        socket = None if length is None else _plain_socket(request)
        transmission = _Transmission(self._executor, body, length, socket)
        try:
            await self._wait(response.prepare(request))
            if request.transport is not None:
                # At 0, `drain` waits until the kernel has all data, as sending directly requires.
                request.transport.set_write_buffer_limits(high=0 if transmission.is_direct else _BLOCK_BYTES)
            await self._wait(request.writer.drain())
            while (sent := await transmission.send()) is not None or (block := await transmission.read()):
                if sent is None:
                    await self._write(request, response, block)
                    transmission.sent_bytes += len(block)
                elif sent == 0:
                    await self._wait(transmission.wait_writable())
            await self._wait(response.write_eof())
        finally:
            transmission.close()

    async def _write(self, request: web.BaseRequest, response: web.StreamResponse, block: bytes | memoryview) -> None:
        await self._wait(response.write(block))
        await self._wait(request.writer.drain())

    async def _wait(self, step: Awaitable[T]) -> T:
        """Wait for a step that needs the client. Raises StalledError."""
        try:
            async with asyncio.timeout(self._stalled_seconds):
                return await step
        except TimeoutError as error:
            raise StalledError from error


class StalledError(ConnectionError):
    """The client has accepted no data for too long."""


class _Transmission:
    """A body of `length` bytes, None if unknown, and a duplicate of its connection's socket if it can be used directly.

    If the request's task is cancelled, a thread may still use both, so they are closed after its call has ended.
    Otherwise, the descriptor's number could be that of another connection by then.
    """

    def __init__(self, executor: Executor, body: StreamedBody, length: int | None, socket: int | None) -> None:
        self._executor, self._body, self._length, self._socket = executor, body, length, socket
        self._call: Future[Any] | None = None
        self._has_ended = False
        self.is_direct, self.sent_bytes = socket is not None, 0

    async def read(self) -> bytes:
        block = await self._run(self._body.read)
        self._has_ended = not block
        return block

    async def send(self) -> int | None:
        return None if self._socket is None else await self._run(self._send)

    def _send(self) -> int | None:
        assert self._socket is not None
        sent = self._body.send(self._socket)
        self.sent_bytes += sent or 0
        return sent

    async def wait_writable(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        writable: asyncio.Future[None] = loop.create_future()
        loop.add_writer(self._socket, _set_done, writable)
        try:
            await writable
        finally:
            loop.remove_writer(self._socket)

    def close(self) -> None:
        if self._call is None:
            self._close()
        else:
            self._call.add_done_callback(lambda _: self._close())

    def _close(self) -> None:
        # A client that has received everything may close its connection before the body is found to have ended.
        self._body.close(self.sent_bytes, is_complete=self._has_ended or self.sent_bytes == self._length)
        if self._socket is not None:
            os.close(self._socket)

    async def _run(self, call: Callable[[], T]) -> T:
        self._call = future = self._executor.submit(call)
        return await asyncio.wrap_future(future)


def _set_done(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _plain_socket(request: web.BaseRequest) -> int | None:
    """Return a duplicate of the connection's socket; None if the connection is encrypted or has ended."""
    transport = request.transport
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return None
    try:
        return os.dup(transport.get_extra_info("socket").fileno())
    except OSError:  # the process has too many descriptors
        return None
