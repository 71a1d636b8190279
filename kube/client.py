"""Requests to the API server: JSON in, JSON out, and streams of JSON lines. Thread-safe.

Nothing is tried again here, since only the caller knows what may be done twice; errors tell whether it would help.
"""

import json
import math
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from kube.access import Access
from kube.errors import KubeError, NotConfigured, StatusError, Unreachable, status_error

Document = dict[str, Any]
# The method (WATCH for a stream), the seconds until its answer, and the error where it had one.
Answered = Callable[[str, float, KubeError | None], None]

TIMEOUT_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_KEPT_STREAMS = 8  # connections of ended watches that are used again; there may be more
_BLOCK_BYTES = 65536
_MOST_DEPTH = 100  # of an object that the parser did not bear
_MOST_TEXT = 200
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class Client:
    """Speaks to one API server, with at most `connections` requests under way at once; streams come on top."""

    def __init__(self, access: Access, *, agent: str = "kube", connections: int = 16) -> None:
        self._access, self._agent = access, agent
        self._root = urlsplit(access.server).path.rstrip("/")
        self._requests = _pool(access, connections, block=True)
        self._streams = _pool(access, _KEPT_STREAMS, block=False)
        self._answered: Answered = lambda method, seconds, error: None

    def observe(self, answered: Answered) -> None:
        """Call `answered` from now on when a request has its answer, or a stream has begun."""
        self._answered = answered

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
        """The answer's document. Raises the errors of kube.errors; `timeout` is for each wait for the server."""
        with self._observed(method):
            return self._request(method, path, query, body, content_type, timeout)

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content_type: str, timeout: float
    ) -> Document:
        headers = self._headers()
        content = None
        if body is not None:
            headers["Content-Type"], content = content_type, json.dumps(body).encode()
        try:
            response = self._requests.urlopen(
                method,
                self._url(path, query),
                body=content,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(_CONNECT_SECONDS, timeout), read=timeout),
                pool_timeout=math.ceil(timeout),
                retries=False,
                redirect=False,
            )
        except HTTPError as error:
            raise self._unreachable(error) from error
        return _answer(response.status, response.headers, response.data)

    def stream(self, path: str, query: Mapping[str, str], idle_seconds: float) -> "Stream":
        """The lines of an answer that goes on; Unreachable once the server has been silent for `idle_seconds`."""
        with self._observed("WATCH"):
            return self._stream(path, query, idle_seconds)

    def _stream(self, path: str, query: Mapping[str, str], idle_seconds: float) -> "Stream":
        try:
            response = self._streams.urlopen(
                "GET",
                self._url(path, query),
                headers=self._headers(),
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=idle_seconds),
                preload_content=False,
                retries=False,
                redirect=False,
            )
            if response.status == 200:
                return Stream(self, response)
            with response:
                raise refused(response.status, response.headers, response.read())
        except HTTPError as error:
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Close the connections that rest. Streams are closed by those who opened them."""
        self._requests.close()
        self._streams.close()

    @contextmanager
    def _observed(self, method: str) -> Iterator[None]:
        began, problem = time.monotonic(), None
        try:
            yield
        except KubeError as error:
            problem = error
            raise
        finally:
            self._answered(method, time.monotonic() - began, problem)

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return self._root + path + ("?" + urlencode(query) if query else "")

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self._agent}
        if authorization := self._access.authorization():
            if not (authorization.isascii() and authorization.isprintable()):
                raise NotConfigured("the token for the API server has characters that no header may have")
            headers["Authorization"] = authorization
        return headers

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"{self._access.server} does not answer: {type(error).__name__}: {error}")


class Stream:
    """The lines of one answer, without their ends. To be closed by its reader, who alone may; others `interrupt`."""

    def __init__(self, client: Client, response: urllib3.BaseHTTPResponse) -> None:
        self._client, self._response = client, response

    def __iter__(self) -> Iterator[bytes]:
        """Raises Unreachable when the connection fails, or ends within a line."""
        parts: list[bytes] = []
        try:
            for block in self._response.stream(_BLOCK_BYTES, decode_content=False):
                first, *more = block.split(b"\n")
                parts.append(first)
                for part in more:
                    yield b"".join(parts)
                    parts = [part]
        except (HTTPError, OSError, ValueError) as error:  # ValueError: of a TLS socket that was interrupted
            raise Unreachable(f"the stream was cut: {type(error).__name__}: {error}") from error
        if any(parts):
            raise Unreachable("the stream ended within a line")

    def interrupt(self) -> None:
        """Make the reader's next look see the end. From any thread."""
        with suppress(OSError, ValueError, RuntimeError):  # it has ended already
            self._response.shutdown()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def parse(text: bytes) -> Any:
    """The JSON in `text`. Raises ValueError.

    Whoever may create an object may nest lists in it a thousand deep: what lies deeper than a hundred reads as null
    then, so that one such object does not hide all others.
    """
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_shallow(text))


def refused(status: int, headers: Mapping[str, str], text: bytes) -> StatusError:
    """The error in an answer of that status, whatever its body is."""
    try:
        answer = parse(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        answer = {"message": text[:_MOST_TEXT].decode(errors="replace").strip() or "no explanation"}
    after = headers.get("Retry-After", "")
    return status_error(status, answer, float(after) if re.fullmatch(r"\d{1,6}", after) else 0.0)


def _answer(status: int, headers: Mapping[str, str], text: bytes) -> Document:
    if not 200 <= status < 300:
        raise refused(status, headers, text)
    try:
        document = parse(text)
    except ValueError as error:
        raise Unreachable(f"the answer is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unreachable("the answer is no JSON object")
    return document


def _pool(access: Access, connections: int, *, block: bool) -> urllib3.HTTPConnectionPool:
    """Certificates are read from their files for each connection: they may be renewed while we run."""
    secure: dict[str, Any] = {
        "cert_reqs": ssl.CERT_REQUIRED if access.verify else ssl.CERT_NONE,
        "ca_certs": access.ca_file,
        "cert_file": access.cert_file,
        "key_file": access.key_file,
        "server_hostname": access.server_name,
    }
    given = {name: value for name, value in secure.items() if value is not None}
    is_secure = urlsplit(access.server).scheme == "https"
    return urllib3.connection_from_url(access.server, maxsize=connections, block=block, **(given if is_secure else {}))


def _shallow(text: bytes) -> bytes:
    """`text` with every list and object that lies too deep replaced by null."""
    kept, start, depth = [], 0, 0
    for found in _TOKEN.finditer(text):
        if found[0] in (b"[", b"{"):
            depth += 1
            if depth == _MOST_DEPTH + 1:
                kept += [text[start : found.start()], b"null"]
        elif found[0] in (b"]", b"}"):
            if depth == _MOST_DEPTH + 1:
                start = found.end()
            depth -= 1
    return b"".join([*kept, text[start:]])
