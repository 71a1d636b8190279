"""Reads the body of a request before a thread gets the request: at most some bytes, before a deadline.

A body that cannot be read becomes an error of the application's, in the form in which the application reports errors.
"""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from typing import IO, NamedTuple, NoReturn

from aiohttp import web
from aiohttp.client_exceptions import ClientError
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 30.0  # from the headers to the last byte
_MAX_BUFFERED_BYTES = 64 * 1024 * 1024  # of all requests

_TOO_LARGE = f"the body of the request is larger than {MAX_BODY_BYTES} bytes"
_TOO_SLOW = f"the body of the request did not arrive within {BODY_SECONDS:g} s"
_MALFORMED = "the body of the request is malformed: its chunks are wrong, or it ends too early"
_OVERLOADED = "too many requests are in progress: retry in a few seconds"


class Body(NamedTuple):
    """A body and its length. If the body could not be received, reading it raises an HTTPException."""

    file: IO[bytes]
    length: int


def has_body(request: web.BaseRequest) -> bool:
    """Whether the request has a body. What follows a request for an upgrade to another protocol is none."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


class BodyReader:
    """Reads bodies, and bounds the memory of all bodies together. Belongs to one event loop."""

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self._seconds, self._buffered_bytes = seconds, 0

    @contextlib.asynccontextmanager
    async def reading(self, request: web.BaseRequest) -> AsyncIterator[Body]:
        """Read the body, and count its memory while the block runs."""
        content = bytearray()
        try:
            yield await self._read(request, content)
        finally:
            self._buffered_bytes -= len(content)

    async def _read(self, request: web.BaseRequest, content: bytearray) -> Body:
        if not has_body(request):
            return Body(io.BytesIO(), 0)
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return _failed(RequestEntityTooLarge(_TOO_LARGE))
        try:
            async with asyncio.timeout(self._seconds):
                while block := await request.content.readany():
                    self._buffered_bytes += len(block)
                    content += block
                    if len(content) > MAX_BODY_BYTES:
                        return _failed(RequestEntityTooLarge(_TOO_LARGE))
                    if self._buffered_bytes > _MAX_BUFFERED_BYTES:
                        return _failed(ServiceUnavailable(_OVERLOADED))
        except TimeoutError:
            return _failed(RequestTimeout(_TOO_SLOW))
        except (web.RequestPayloadError, ClientError):
            return _failed(BadRequest(_MALFORMED))
        return Body(io.BytesIO(content), len(content))


def _failed(error: HTTPException) -> Body:
    return Body(io.BufferedReader(_FailingFile(error)), 1)  # with a length, so that the application reads it


class _FailingFile(io.RawIOBase):
    def __init__(self, error: HTTPException) -> None:
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> NoReturn:
        raise self._error
