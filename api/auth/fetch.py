"""Fetches JSON from an issuer with limits on size and total time, and without redirects.

The timeouts of urllib, urllib3 and PyJWT's client limit a single wait, so a server that trickles bytes never hits
them, and PyJWT's client reads a body of any size. Redirects are not followed because a request may contain a token.
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
_TIMEOUT_SECONDS = 5.0


class FetchError(Exception):
    """No usable response. The text gives the reason, without any part of the request."""


@dataclass(frozen=True)
class JsonResponse:
    """The status and the JSON object of a response."""

    status: int
    document: Mapping[str, Any]


class Fetcher:
    """An HTTP client for JSON. Trusts the system's certificate authorities, or those of SSL_CERT_FILE."""

    def __init__(self, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._tls = ssl.create_default_context()

    def get(self, url: str) -> Mapping[str, Any]:
        """Return the JSON object at `url`. Raises FetchError, also for any status but 200."""
        response = self._request("GET", url, None)
        if response.status != 200:
            raise FetchError(f"it answered with status {response.status}")
        return response.document

    def post(self, url: str, fields: Mapping[str, str]) -> JsonResponse:
        """Send a form and return the response, whatever its status. Raises FetchError."""
        return self._request("POST", url, urlencode(fields))

    def _request(self, method: str, url: str, form: str | None) -> JsonResponse:
        headers = {"Accept": "application/json"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            status, body = self._send(method, urlsplit(url), form, headers)
        except TimeoutError as error:
            raise FetchError(f"it did not answer within {self._timeout_seconds:g} seconds") from error
        except OSError as error:
            raise FetchError(error.strerror or type(error).__name__) from error
        except (http.client.HTTPException, ValueError) as error:
            raise FetchError(f"it did not answer in HTTP ({type(error).__name__})") from error
        return JsonResponse(status, _parse_object(status, body))

    def _send(self, method: str, url: SplitResult, form: str | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout_seconds
        connection = self._connection(url)
        connection.response_class = lambda sock, **more: _DeadlineResponse(  # type: ignore[assignment]
            sock, deadline, **more
        )
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
            return http.client.HTTPSConnection(host, url.port, timeout=self._timeout_seconds, context=self._tls)
        return http.client.HTTPConnection(host, url.port, timeout=self._timeout_seconds)


def _parse_object(status: int, body: bytes) -> Mapping[str, Any]:
    if len(body) > MAX_BYTES:
        raise FetchError(f"it answered with more than {MAX_BYTES // 1024} KiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchError(f"it answered with status {status} and no JSON") from error
    if not isinstance(document, dict):
        raise FetchError(f"it answered with status {status} and no JSON object")
    return document


class _DeadlineResponse(http.client.HTTPResponse):
    """A response that must arrive completely, headers included, before the deadline (monotonic seconds)."""

    def __init__(self, sock: socket.socket, deadline: float, **more: Any) -> None:
        super().__init__(sock, **more)
        self.fp = io.BufferedReader(_DeadlineReader(self.fp.detach(), sock, deadline))


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until the deadline. `raw` is the socket's own reader and keeps the socket open."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
