"""JSON from an issuer, within bounds: of size, of time as a whole, and from the one address that was asked.

A server that trickles bytes meets no timeout of urllib's, urllib3's or PyJWT's own client: each of theirs bounds one
wait, none the whole, and PyJWT's reads a body of any size. No redirect is followed: a token may be in the request.
"""

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

MAX_BYTES = 512 * 1024
_SECONDS = 5.0


class FetchFailed(Exception):
    """No usable answer. The text says why, in words that hold nothing of the request."""


@dataclass(frozen=True)
class Answer:
    """A status and the JSON object that came with it."""

    status: int
    document: Mapping[str, Any]


class Fetcher:
    """Asks for JSON. The system's certificate authorities are trusted, or those of SSL_CERT_FILE."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._tls = ssl.create_default_context()

    def get(self, url: str) -> Mapping[str, Any]:
        """The JSON object at `url`. Raises FetchFailed."""
        answer = self._ask("GET", url, None)
        if answer.status != 200:
            raise FetchFailed(f"it answered with status {answer.status}")
        return answer.document

    def post(self, url: str, fields: Mapping[str, str]) -> Answer:
        """What a form is answered with, whatever its status. Raises FetchFailed."""
        return self._ask("POST", url, urlencode(fields))

    def _ask(self, method: str, url: str, form: str | None) -> Answer:
        headers = {"Accept": "application/json"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            status, body = self._exchange(method, urlsplit(url), form, headers)
        except TimeoutError as error:
            raise FetchFailed(f"it did not answer within {self._seconds:g} seconds") from error
        except OSError as error:
            raise FetchFailed(error.strerror or type(error).__name__) from error
        except (http.client.HTTPException, ValueError) as error:
            raise FetchFailed(f"it did not answer in HTTP ({type(error).__name__})") from error
        return Answer(status, _read_object(status, body))

    def _exchange(
        self, method: str, url: SplitResult, form: str | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._seconds
        connection = self._connection(url)
        connection.response_class = lambda sock, **more: _Response(sock, deadline, **more)  # type: ignore[assignment]
        try:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request(method, target, form, dict(headers))
            with connection.getresponse() as response:
                return response.status, response.read(MAX_BYTES + 1)
        finally:
            connection.close()

    def _connection(self, url: SplitResult) -> http.client.HTTPConnection:
        host = url.hostname or ""
        if url.scheme == "https":
            return http.client.HTTPSConnection(host, url.port, timeout=self._seconds, context=self._tls)
        return http.client.HTTPConnection(host, url.port, timeout=self._seconds)


def _read_object(status: int, body: bytes) -> Mapping[str, Any]:
    if len(body) > MAX_BYTES:
        raise FetchFailed(f"it answered with more than {MAX_BYTES // 1024} KiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"it answered with status {status} and no JSON") from error
    if not isinstance(document, dict):
        raise FetchFailed(f"it answered with status {status} and no JSON object")
    return document


class _Response(http.client.HTTPResponse):
    """A response whose every byte, those of the headers included, comes before the deadline."""

    def __init__(self, sock: socket.socket, deadline: float, **more: Any) -> None:
        super().__init__(sock, **more)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, deadline))


class _Reader(io.RawIOBase):
    """Reads a socket until the deadline. `raw` is the socket's own reader, and keeps it open."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
