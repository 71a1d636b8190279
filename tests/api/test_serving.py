"""Clients that hold connections, and requests that are not HTTP: neither stops the asynchronous server."""

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import flask
import pytest
from werkzeug.exceptions import HTTPException

from api.errors import error_body
from api.serving.server import HttpServer, listen
from api.serving.streamed import StreamedBody
from tests.api.http_server import serving
from tests.lines import lines_of
from tests.sidecar.sidecars import until

CLIENTS = 300
PATIENCE_SECONDS = 30.0
ECHO = "POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
GET = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ATTACKS = {
    "nothing": "",
    "half a header": "GET /healthz HTTP/1.1\r\nHost: a",
    "half a body": f"{ECHO}Content-Length: 20\r\n\r\n{{",
    "no large body": f"{ECHO}Content-Length: 20000000\r\n\r\n",
    "half a chunked body": f"{ECHO}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n",
    "waiting for 100": f"{ECHO}Expect: 100-continue\r\nContent-Length: 20\r\n\r\n",
    "an endless response": GET.format("/endless"),
}
HEAD = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = f"{ECHO}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
REQUESTS: dict[str, tuple[str, int]] = {
    "no HTTP": ("hello\r\n\r\n", 400),
    "TLS": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "no version": ("GET /healthz\r\n\r\n", 400),
    "wrong version": ("GET /healthz HTTP/9.9\r\n\r\n", 400),
    "HTTP/1.0": (f"{HEAD}\r\n".replace("HTTP/1.1", "HTTP/1.0"), 200),
    "absolute target": ("GET http://127.0.0.1/healthz HTTP/1.1\r\nHost: other\r\n\r\n", 200),
    "target without a path": ("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", 400),
    "CONNECT": ("CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", 400),
    "no Host": ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "long target": (f"GET /{'x' * 10000} HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "long header": (f"{HEAD}X: {'x' * 100_000}\r\n\r\n", 431),
    "many headers": (HEAD + "".join(f"X-{number}: y\r\n" for number in range(200)) + "\r\n", 400),
    "header without a colon": (f"{HEAD}Authorization Bearer x\r\n\r\n", 400),
    "two Content-Lengths": (f"{ECHO}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}", 400),
    "negative Content-Length": (f"{ECHO}Content-Length: -1\r\n\r\n{{}}", 400),
    "length and chunks": (f"{ECHO}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "unknown transfer coding": (f"{ECHO}Transfer-Encoding: gzip\r\n\r\n", 400),
    "bad chunk size": (f"{CHUNKED}ZZ\r\n", 400),
    "negative chunk size": (f"{CHUNKED}-4\r\nabcd\r\n0\r\n\r\n", 400),
    "no CRLF after a chunk": (f'{CHUNKED}4\r\n{{"quXX0\r\n\r\n', 400),
    "body that ends early": (f"{ECHO}Content-Length: 20\r\n\r\n{{", 400),
    "large body": (f"{ECHO}Content-Length: 20000000\r\nConnection: close\r\n\r\n", 413),
    "large chunked body": (f"{CHUNKED}30000\r\n{'x' * 0x30000}\r\n0\r\n\r\n", 413),
    "HTTP/2": (f"{HEAD}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
}


class EndlessBody(StreamedBody):
    def read(self) -> bytes:
        return b"x" * 65536

    def send(self, socket: int) -> int | None:
        return None

    def close(self, sent_bytes: int = 0, *, is_complete: bool = False) -> None:
        assert not is_complete


def make_app(_: int) -> flask.Flask:
    app = flask.Flask("tested")
    app.add_url_rule("/healthz", "healthz", lambda: "ok")
    app.add_url_rule("/echo", "echo", lambda: flask.jsonify(flask.request.get_json()), methods=["POST"])
    app.add_url_rule("/endless", "endless", lambda: flask.Response(EndlessBody(), direct_passthrough=True))

    @app.errorhandler(HTTPException)
    def fail(error: HTTPException) -> tuple[flask.Response, int]:
        status = error.code or 500
        return flask.jsonify(error_body(status, error.name, error.description or "")), status

    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(make_app) as port:
        yield port


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """Replace the check for leaks: the server that all tests share keeps its threads."""


def attack(port: int, request: str) -> socket.socket:
    """Send a request, and read nothing of the response."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(("127.0.0.1", port))
    client.sendall(request.encode())
    return client


def ask(port: int, method: str, path: str, body: str | None = None) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        return connection.getresponse().read()


@pytest.mark.parametrize("request_text", ATTACKS.values(), ids=ATTACKS)
def test_more_waiting_clients_than_threads_stop_nobody(port: int, request_text: str) -> None:
    with ExitStack() as clients:
        for _ in range(CLIENTS):
            clients.enter_context(attack(port, request_text))
        assert ask(port, "GET", "/healthz") == b"ok"
        assert json.loads(ask(port, "POST", "/echo", '{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(("request_text", "status"), REQUESTS.values(), ids=REQUESTS)
def test_unusual_requests_get_one_clear_response(
    port: int, caplog: pytest.LogCaptureFixture, request_text: str, status: int
) -> None:
    with attack(port, request_text) as client:
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while block := client.recv(65536):
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    assert answer.count(b"HTTP/") == 1
    assert int(head.split()[1]) == status
    if status >= 400:
        assert json.loads(body)["error"]["status"] == status
    assert not any(record.exc_info for record in caplog.records)


def test_a_request_sent_byte_by_byte_is_answered(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)) as client:
        for _ in range(2):  # both over the same connection
            for byte in f"{ECHO}Content-Length: 2\r\n\r\n{{}}".encode():
                client.sendall(bytes([byte]))
            answer = b""
            while not answer.endswith(b"{}\n"):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)) as client:
        client.sendall((GET.format("/healthz") + GET.format("/none")).encode() * 3)
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 6:
            answers += client.recv(65536)
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"404"] * 3


def test_a_stalled_reader_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    with listen(("127.0.0.1", 0)) as listening, ExitStack() as clients:
        server = HttpServer(listening, 2, make_app(0), stalled_seconds=1)
        server.start()
        port = listening.getsockname()[1]
        for _ in range(3):
            client = clients.enter_context(attack(port, ATTACKS["an endless response"]))
            assert client.recv(12) == b"HTTP/1.1 200"
        log = ["stalled peer disconnected peer=127.0.0.1"] * 3
        until(lambda: lines_of(caplog.records, "api.serving.server") == log, "all are disconnected")
        server.stop()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_is_accepted_with_and_without_brackets(host: str) -> None:
    with listen((host, 0)) as listening:
        assert listening.getsockname()[0] == "::1"
