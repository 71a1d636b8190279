"""Requests to the API server: JSON in, JSON out, and streams of JSON lines. Thread-safe.

Credentials and transport are the `kubernetes` package's. Nothing is retried here, because only the caller knows which
requests are safe to repeat; `retryable` of an error is true if a retry can help.
"""

import copy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from kubernetes.client import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.client.rest import RESTClientObject
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, ReadTimeoutError

from kube.errors import KubeError, NotConfigured, ResponseTooLarge, StatusError, Unreachable, status_error

Document = dict[str, Any]
# Called with the method (WATCH for a stream), the seconds until the response, and the error if the request failed.
RequestObserver = Callable[[str, float, KubeError | None], None]

TIMEOUT_SECONDS = 30.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_MAX_IDLE_STREAMS = 8  # connections of ended watches that are kept for reuse
_BLOCK_BYTES = 65536
_MAX_DEPTH = 100  # applied only to documents that exceed the parser's recursion limit
_MAX_MESSAGE_CHARS = 200
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class Client:
    """A client of one API server. At most `max_connections` requests run at once; streams are not counted."""

    def __init__(self, configuration: Configuration, *, agent: str = "kube", max_connections: int = 16) -> None:
        self._host = configuration.host.rstrip("/")
        self._agent = agent
        self._configuration = copy.deepcopy(configuration)
        self._configuration.proxy = None  # proxies in the environment are for the internet, not for the API server
        self._configuration.retries = False  # disables redirects too
        self._transport = RESTClientObject(self._configuration, maxsize=max_connections + _MAX_IDLE_STREAMS)
        self._free_connections = threading.BoundedSemaphore(max_connections)  # the transport does not limit connections
        self._refreshing = threading.Lock()
        self._observer: RequestObserver = lambda method, seconds, error: None
        self._last_date = ("", 0.0)  # the header Date of the last response, and when it was received

    def observe(self, observer: RequestObserver) -> None:
        """Call `observer` after every request, failed or not, and at the start of every stream."""
        self._observer = observer

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Document:
        """Send a request and return the document in the response.

        `timeout` is in seconds and applies to each wait: for a free connection, to connect, for data.

        Raises:
            KubeError: the API server refused or did not answer.
        """
        with self._observed(method), self._connection(timeout), self._translated_errors():
            timeouts = min(_CONNECT_TIMEOUT_SECONDS, timeout), timeout
            return _document(self._send(method, path, query, timeouts, body, content_type).data)

    def get_sized(
        self, path: str, query: Mapping[str, str], max_bytes: int | None, timeout: float = TIMEOUT_SECONDS
    ) -> tuple[Document, int]:
        """Send a GET request; return the document in the response and its size in bytes. None: any size.

        Raises:
            ResponseTooLarge: the response has more than `max_bytes`; the rest was not read.
            KubeError: the API server refused or did not answer.
        """
        with self._observed("GET"), self._connection(timeout), self._translated_errors():
            timeouts = min(_CONNECT_TIMEOUT_SECONDS, timeout), timeout
            text = _read_at_most(self._send("GET", path, query, timeouts), max_bytes)
        if text is None:
            raise ResponseTooLarge(f"the response of {path} has more than {max_bytes} bytes")
        return _document(text), len(text)

    def stream(self, path: str, query: Mapping[str, str], idle_seconds: float) -> "Stream":
        """Start a streaming GET. Reading from the stream fails if the server sends nothing for `idle_seconds`.

        Raises:
            KubeError: the API server refused or did not answer.
        """
        with self._observed("WATCH"), self._translated_errors():
            return Stream(self._send("GET", path, query, (_CONNECT_TIMEOUT_SECONDS, idle_seconds)))

    def server_time(self) -> datetime | None:
        """Return the API server's current time, from its last response; None if it has not sent its time."""
        text, received_at = self._last_date
        try:
            sent_at = parsedate_to_datetime(text)
        except ValueError:
            return None
        return sent_at + timedelta(seconds=time.monotonic() - received_at) if sent_at.tzinfo else None

    def close(self) -> None:
        """Close the idle connections. Streams are closed by their readers."""
        self._transport.pool_manager.connection_from_url(self._host).close()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        timeouts: tuple[float, float],
        body: Any = None,
        content_type: str = "application/json",
    ) -> BaseHTTPResponse:
        """Send a request. The response's body has not been read yet. `timeouts`: to connect, and for each read."""
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": self._agent}
        if authorization := self._authorization():
            headers["Authorization"] = authorization
        response: BaseHTTPResponse = self._transport.request(
            method,
            self._host + path + ("?" + urlencode(query) if query else ""),
            headers=headers,
            body=body,
            _preload_content=False,
            _request_timeout=timeouts,
        )
        self._last_date = (response.headers.get("Date", ""), time.monotonic())
        return response

    def _authorization(self) -> str:
        """Return the Authorization header's value, or "" if the configuration has no credentials."""
        try:
            with self._refreshing:  # a refresh can run a plugin, which must not run several times at once
                value = self._configuration.get_api_key_with_prefix("BearerToken")
        except Exception as error:  # the package's refresh hooks raise errors of any kind
            raise NotConfigured(
                f"the token for the API server cannot be renewed: {type(error).__name__}: {error}"
            ) from error
        if not value:
            return ""
        value = str(value).strip()
        if " " not in value:
            raise NotConfigured("the token for the API server is empty")
        if not (value.isascii() and value.isprintable()):
            raise NotConfigured("the token for the API server has characters that an HTTP header cannot contain")
        return value

    @contextmanager
    def _connection(self, timeout: float) -> Iterator[None]:
        if not self._free_connections.acquire(timeout=timeout):
            raise Unreachable(f"all connections to {self._host} have been in use for {timeout:g} s")
        try:
            yield
        finally:
            self._free_connections.release()

    @contextmanager
    def _observed(self, method: str) -> Iterator[None]:
        started_at, failure = time.monotonic(), None
        try:
            yield
        except KubeError as error:
            failure = error
            raise
        finally:
            self._observer(method, time.monotonic() - started_at, failure)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Raise the transport's errors as errors of kube.errors."""
        try:
            yield
        except ApiException as error:
            if not error.status:  # TLS failed
                problem = str(error.reason).replace("\n", ": ")
                raise Unreachable(f"{self._host} does not answer: {problem}") from error
            raise _response_error(error.status, error.headers, error.body) from None
        except HTTPError as error:
            message = f"{self._host} does not answer: {type(error).__name__}: {error}"
            raise Unreachable(message, is_timeout=isinstance(error, ReadTimeoutError)) from error


class Stream:
    """The lines of one response. The reading thread must close it; other threads may only `interrupt` it."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines without their line ends.

        Raises:
            Unreachable: the connection failed or ended within a line.
        """
        parts: list[bytes] = []
        try:
            for block in self._response.stream(_BLOCK_BYTES, decode_content=False):
                first, *more = block.split(b"\n")
                parts.append(first)
                for part in more:
                    yield b"".join(parts)
                    parts = [part]
        except (HTTPError, OSError, ValueError) as error:  # an interrupted TLS socket raises ValueError
            raise Unreachable(f"the stream was interrupted: {type(error).__name__}: {error}") from error
        if any(parts):
            raise Unreachable("the stream ended within a line")

    def interrupt(self) -> None:
        """Make the next read return the end of the stream. Safe in any thread."""
        with suppress(OSError, ValueError, RuntimeError):  # the stream has already ended
            self._response.shutdown()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse_json(text: bytes) -> Any:
    """Parse JSON of any depth.

    Users can create objects whose lists are nested a thousand deep. If the parser's recursion limit is exceeded,
    everything deeper than 100 levels is read as null, so that one such object does not hide all others.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_truncate_depth(text))


def _read_at_most(response: BaseHTTPResponse, max_bytes: int | None) -> bytes | None:
    """Return the body. If it is larger than `max_bytes`, close the connection and return None."""
    blocks, size = [], 0
    for block in response.stream(_BLOCK_BYTES):
        size += len(block)
        if max_bytes is not None and size > max_bytes:
            response.close()
            return None
        blocks.append(block)
    return b"".join(blocks)


def _response_error(status: int, headers: Mapping[str, str], text: bytes) -> StatusError:
    """Return the error for a response, even if its body is not a Status document."""
    try:
        document = parse_json(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"message": text[:_MAX_MESSAGE_CHARS].decode(errors="replace").strip() or "no explanation"}
    retry_after = headers.get("Retry-After", "")
    return status_error(status, document, float(retry_after) if re.fullmatch(r"\d{1,6}", retry_after) else 0.0)


def _document(text: bytes) -> Document:
    try:
        document = parse_json(text)
    except ValueError as error:
        raise Unreachable(f"the response is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unreachable("the response is not a JSON object")
    return document


def _truncate_depth(text: bytes) -> bytes:
    """Replace every list and object that is nested deeper than _MAX_DEPTH with null."""
    pieces, start, depth = [], 0, 0
    for match in _TOKEN.finditer(text):
        if match[0] in (b"[", b"{"):
            depth += 1
            if depth == _MAX_DEPTH + 1:
                pieces += [text[start : match.start()], b"null"]
        elif match[0] in (b"]", b"}"):
            if depth == _MAX_DEPTH + 1:
                start = match.end()
            depth -= 1
    return b"".join([*pieces, text[start:]])
