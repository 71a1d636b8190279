"""An API server for tests: HTTP on loopback, objects in memory, scripted faults.

It implements what clients rely on: resource versions, conflicts, consistent paging, selectors, watches with bookmarks,
expired versions, the status subresource, patches, preconditions. It has no schemas: every resource exists, unless it is
in `missing`. A POST to a plural in `answers` (reviews) returns the result of that function and stores nothing.
"""

import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from kubernetes.client import Configuration

from kube.client import Client
from tests.kube.faults import Fault, Request, Script
from tests.kube.objectstore import ApiError, Change, Document, ObjectPath, ObjectStore, json_patch, merge, selects

TOKEN = "bearer test"


def configuration_of(host: str, **attributes: Any) -> Configuration:
    """Return a configuration for the server at `host`, with the token that an ApiServer accepts."""
    configuration = Configuration(host=host)
    configuration.api_key["BearerToken"] = TOKEN
    for name, value in attributes.items():
        setattr(configuration, name, value)
    return configuration


class ApiServer(ThreadingHTTPServer):
    """Serves from construction to `close`. `requests` has all received requests; `bookmark_seconds=0`: no bookmarks.

    `create_handlers`, by plural, return the responses to POST requests; other objects are stored.
    """

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, *, bookmark_seconds: float = 0.05, tls: ssl.SSLContext | None = None) -> None:
        self.objects, self.script = ObjectStore(), Script()
        self.requests: list[Request] = []
        self.missing: set[str] = set()
        self.create_handlers: dict[str, Callable[[Document], Document]] = {}
        self.bookmark_seconds = bookmark_seconds
        self.connection_count = 0
        self.closing = threading.Event()
        self._lists: dict[str, tuple[list[Document], int]] = {}  # continue token -> remaining items, version
        self._sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="API server")
        self._thread.start()

    def __enter__(self) -> "ApiServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and join all threads."""
        self.closing.set()
        self.shutdown()
        self.cut()
        with self.objects.changed:
            self.objects.changed.notify_all()
        self.server_close()
        self._thread.join()

    def cut(self) -> None:
        """Close all connections."""
        for connection in list(self._sockets):
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def client(self, **options: Any) -> Client:
        """Return a client of this server, which the caller must close."""
        return Client(configuration_of(self.url), **options)

    def put(self, path: str, document: Document) -> Document:
        """Create or replace the object, including its status, as another client."""
        return self.objects.set(parse_path(path), document)

    def remove(self, path: str) -> None:
        """Delete the object, as another client."""
        self.objects.delete(parse_path(path), {})

    def list_page(self, path: ObjectPath, query: dict[str, str]) -> Document:
        with self.objects.changed:
            rest, version = self._lists.get(query.get("continue", ""), (None, 0))  # clients may repeat a page
            if rest is None or version < self.objects.oldest:
                if "continue" in query:
                    raise ApiError(410, "Expired", "The provided continue parameter is too old")
                version = self.objects.version
                rest = [item for item in self.objects.all(path) if selects(query, item)]
            limit = int(query.get("limit", "0")) or len(rest)
            metadata: Document = {"resourceVersion": str(version)}
            if len(rest) > limit:
                metadata |= {
                    "continue": f"{path.plural}-{version}-{len(rest)}",
                    "remainingItemCount": len(rest) - limit,
                }
                self._lists[metadata["continue"]] = (rest[limit:], version)
            return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": rest[:limit] or None}

    def events(self, path: ObjectPath, query: dict[str, str]) -> Iterator[Document]:
        """Yield the events of a watch until it ends. Waits silently for versions in the future."""
        version = int(query.get("resourceVersion") or 0)
        until = time.monotonic() + float(query.get("timeoutSeconds", "300"))
        bookmark = time.monotonic() + self.bookmark_seconds
        if version < self.objects.oldest:
            status = ApiError(410, "Expired", f"too old resource version: {version} ({self.objects.oldest})").status()
            yield {"type": "ERROR", "object": status}
            return
        while time.monotonic() < until and not self.closing.is_set():
            with self.objects.changed:
                if version < self.objects.oldest - 1:
                    return
                changes = self.objects.since(version)
                if not changes:
                    self.objects.changed.wait(0.02)
            for change in changes:
                version = change.version
                if path.contains(change.key) and (event := _event(change, query)):
                    yield event
            if self.bookmark_seconds and time.monotonic() >= bookmark and version <= self.objects.version:
                bookmark = time.monotonic() + self.bookmark_seconds
                yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}

    def encode(self, document: Any) -> bytes:
        """Return the JSON that is sent for a document."""
        return json.dumps(document).encode()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connection_count += 1
        self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore disconnected clients."""


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body are two writes

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command, parts.path, dict(parse_qsl(parts.query)), json.loads(body or b"null"), dict(self.headers)
        )
        self.server.requests.append(request)
        fault = self.server.script.next_fault(request)
        if fault and fault.kind == "slow":
            self.server.closing.wait(fault.seconds)
        try:
            if fault and not request.is_watch and fault.kind != "slow":
                self._apply_fault(request, fault)
            elif fault and fault.kind == "status":
                self._send(fault.code, ApiError(fault.code, "Scripted", fault.message).status(), fault.headers)
            elif request.is_watch:
                self._watch(parse_path(request.path), request, fault)
            else:
                self._send(*self._answer(request))
        except ApiError as error:
            self._send(error.code, error.status())

    def _answer(self, request: Request) -> tuple[int, Any]:
        path, objects = parse_path(request.path), self.server.objects
        if request.headers.get("Authorization", "").lower() != TOKEN:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        if path.plural in self.server.missing:
            return 404, b"404 page not found\n"
        if request.method == "GET":
            return 200, objects.get(path) if path.name else self.server.list_page(path, request.query)
        if request.method == "POST":
            handler = self.server.create_handlers.get(path.plural)
            return 201, handler(request.body) if handler else objects.create(path, request.body)
        if request.method == "DELETE":
            return 200, objects.delete(path, request.body or {})
        return 200, objects.update(path, _change(request))

    def _watch(self, path: ObjectPath, request: Request, fault: Fault | None) -> None:
        events = self.server.events(path, request.query)
        if path.plural in self.server.missing:
            return self._send(404, b"404 page not found\n")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(events):
            if fault and number >= fault.events and self._break(fault, event):
                return None
            self._chunk(self.server.encode(event) + b"\n")
        self._chunk(b"")
        return None

    def _break(self, fault: Fault, event: Document) -> bool:
        """Apply the fault instead of sending `event`. Returns whether the watch has ended."""
        if fault.kind == "half_open":
            self.server.closing.wait()
            self.close_connection = True
        elif fault.kind == "reset":
            line = json.dumps(event).encode()
            self._chunk(line[: len(line) // 2])
            self._reset()
        elif fault.kind == "line":
            self._chunk(fault.text + b"\n")
            self._chunk(b"")
        elif fault.kind == "end":
            self._chunk(b"")
        else:
            return False
        return True

    def _apply_fault(self, request: Request, fault: Fault) -> None:
        if fault.kind == "status":
            self._send(fault.code, ApiError(fault.code, "Scripted", fault.message).status(), fault.headers)
        elif fault.kind == "text":
            self._send(200, fault.text)
        elif fault.kind == "reset":
            self._reset()
        elif fault.kind == "half_open":
            self.server.closing.wait()
            self.close_connection = True
        elif fault.kind == "truncated":
            body = json.dumps(self._answer(request)[1]).encode()
            self._head(200, len(body), {})
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            raise AssertionError(fault.kind)

    def _send(self, code: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        body = answer if isinstance(answer, bytes) else self.server.encode(answer)
        self._head(code, len(body), headers or {})
        self.wfile.write(body)

    def _head(self, code: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())


def parse_path(path: str) -> ObjectPath:
    """Parse the path of an object or a collection."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return ObjectPath(group, version, plural, namespace, name, subresource)


def _change(request: Request) -> Callable[[Document], Document]:
    if request.method == "PUT":
        return lambda _: request.body
    if request.headers.get("Content-Type") == "application/merge-patch+json":
        return lambda before: merge(before, request.body)
    return lambda before: json_patch(before, request.body)


def _event(change: Change, query: dict[str, str]) -> Document | None:
    was, is_now = selects(query, change.before), selects(query, change.after)
    if is_now:
        return {"type": "MODIFIED" if was else "ADDED", "object": change.after}
    if was:
        assert change.before is not None
        metadata = {**change.before["metadata"], "resourceVersion": str(change.version)}
        return {"type": "DELETED", "object": {**change.before, "metadata": metadata}}
    return None
