"""The server of metrics and health checks: what it responds, and that no client can hold it up."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from artifacts.monitoring_server import MAX_CONNECTIONS, PLAIN, MonitoringServer, Response
from tests.artifacts.slow_clients import slow_clients
from tests.sidecar.sidecars import until

LARGE = b"x" * 4_000_000
NOT_FOUND = "404 Not Found", "not found; use /metrics or /large or /broken\n"


def fail(_accept: str) -> Response:
    raise RuntimeError("broken")


HANDLERS: dict[str, Callable[[str], Response]] = {
    "/metrics": lambda accept: (200, PLAIN, f"accept={accept}\n".encode()),
    "/large": lambda _: (503, PLAIN, LARGE),
    "/broken": fail,
}


@contextmanager
def serving(max_seconds: float = 20.0) -> Iterator[int]:
    """Run a server until the end of the block; yield its port."""
    server = MonitoringServer(("127.0.0.1", 0), HANDLERS, max_seconds)
    try:
        yield server.port
    finally:
        server.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def exchange(port: int, request: bytes) -> tuple[str, str]:
    """Send a request; return the status and the body."""
    with connect(port) as client:
        client.sendall(request)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return head.decode().splitlines()[0].removeprefix("HTTP/1.1 "), body.decode()


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nACCEPT:  a\r\naccept: b\r\n\r\n", ("200 OK", "accept=a,b\n")),
        (b"GET /metrics?name=x HTTP/1.0\n\n", ("200 OK", "accept=\n")),
        (b"GET / HTTP/1.1\r\n\r\n", NOT_FOUND),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", NOT_FOUND),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", ("501 Not Implemented", "use GET\n")),
        (b"GET /metrics\r\n\r\n", ("400 Bad Request", "the request is invalid\n")),
        (b"\x16\x03\x01\xff\n\n", ("400 Bad Request", "the request is invalid\n")),
        (b"GET /" + b"x" * 9000, ("431 Request Header Fields Too Large", "the request is too large\n")),
        (b"GET /broken HTTP/1.1\r\n\r\n", ("500 Internal Server Error", "internal error\n")),
        (b"GET /large HTTP/1.1\r\n\r\n", ("503 Service Unavailable", LARGE.decode())),
    ],
    ids=lambda value: str(value)[:20],
)
def test_requests_get_these_responses(request_head: bytes, expected: tuple[str, str]) -> None:
    with serving() as port:
        assert exchange(port, request_head) == expected


def test_a_request_may_arrive_in_pieces() -> None:
    with serving() as port, connect(port) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /metrics HTTP/1.1\r\nAccept: a\r\n\r\n":
            client.sendall(bytes([byte]))
        assert read_all(client).endswith(b"accept=a\n")


def test_slow_clients_do_not_delay_others() -> None:
    with serving() as port, slow_clients(port):
        for _ in range(5):
            started_at = time.monotonic()
            assert exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n") == ("200 OK", "accept=\n")
            assert time.monotonic() - started_at < 1


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n", b"GET /large HTTP/1.1\r\n\r\n"])
def test_a_connection_ends_after_its_time(sent: bytes) -> None:
    with serving(max_seconds=0.2) as port, connect(port) as client:
        client.sendall(sent)
        until(lambda: is_dropped(client), "the end of the connection")


def is_dropped(client: socket.socket) -> bool:
    try:
        client.sendall(b"x")
    except OSError:
        return True
    return False


def test_the_oldest_connection_makes_way() -> None:
    with serving() as port, ExitStack() as stack:
        clients = [stack.enter_context(connect(port)) for _ in range(MAX_CONNECTIONS + 10)]
        assert exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n")[0] == "200 OK"
        assert [client.recv(1) for client in clients[:11]] == [b""] * 11
        clients[-1].sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert read_all(clients[-1]).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_port_in_use_raises() -> None:
    with serving() as port, pytest.raises(OSError, match="in use"):
        MonitoringServer(("127.0.0.1", port), HANDLERS)
