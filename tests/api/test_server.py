"""The service as a process: its start and end, and slow clients that do not block others."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest

from api.server import HttpServer
from tests.api.served import GROUP, PATIENCE_SECONDS, Served, serving

QUERY = '{ phJob(where: {id: "job-1"}) { id artifact { items { name size } } } }'
FILE = f"/api/files/groups/{GROUP}/jobArtifacts/job-1/big.bin"
BIG_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as served:
        folder = served.add_job("job-1", {"big.bin": b""})
        os.truncate(folder / "big.bin", BIG_BYTES)
        wait_for_job(served)
        yield served


def wait_for_job(served: Served) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "errors" in (answer := served.graphql(QUERY)):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def begin_download(served: Served) -> socket.socket:
    """Request the big file, read the first bytes of the response, and then nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(("127.0.0.1", served.port))
    client.sendall(f"GET {FILE} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n".encode())
    assert client.recv(12) == b"HTTP/1.1 200"
    return client


def active(served: Served) -> float:
    lines = served.text("/metrics").splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith("phjob_artifact_downloads_active "))
    return float(value)


def test_other_requests_are_served_during_a_hundred_slow_downloads(served: Served) -> None:
    slow = [begin_download(served) for _ in range(100)]
    try:
        assert active(served) == 100
        assert served.text("/healthz") == "ok\n"
        assert served.text("/readyz") == "ok\n"
        answer = served.graphql(QUERY)
        assert answer["data"]["phJob"]["artifact"]["items"] == [{"name": "big.bin", "size": BIG_BYTES}]
    finally:
        for client in slow:
            client.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while active(served):
        assert time.monotonic() < deadline, "downloads are still active"
        time.sleep(0.05)


def test_peers_that_do_not_close_delay_nobody(served: Served) -> None:
    lingering = []
    for _ in range(30):
        client = socket.create_connection(("127.0.0.1", served.port), PATIENCE_SECONDS)
        client.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost:{served.port}\r\nConnection: close\r\n\r\n".encode())
        lingering.append(client)
    try:
        for client in lingering:
            assert client.recv(12) == b"HTTP/1.1 200"
        assert served.text("/healthz") == "ok\n"  # plain gunicorn waits two seconds for each of them
    finally:
        for client in lingering:
            client.close()


@pytest.mark.parametrize(
    "begun",
    [
        "",
        "GET /healthz HTTP/1.1\r\nHost: a",
        "POST /api/graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{",
    ],
    ids=["nothing", "half a header", "half a body"],
)
def test_more_slow_senders_than_threads_delay_nobody(served: Served, begun: str) -> None:
    slow = []
    for _ in range(200):
        client = socket.create_connection(("127.0.0.1", served.port), PATIENCE_SECONDS)
        client.sendall(begun.encode())
        slow.append(client)
    try:
        assert served.ask("GET", "/healthz", timeout=4).status == 200  # plain gunicorn takes five seconds to a minute
    finally:
        for client in slow:
            client.close()


def test_forwarded_scheme_is_ignored(served: Served) -> None:
    headers = {"Origin": f"http://127.0.0.1:{served.port}", "Content_Type": "application/json"}
    for forwarded in ({"X_Forwarded_Proto": "https"}, {"X_Forwarded_Proto": "https", "X_Forwarded_Ssl": "off"}):
        answer = served.ask(
            "POST", "/api/graphql", json.dumps({"query": QUERY}), PATIENCE_SECONDS, **headers, **forwarded
        )
        assert answer.status == 200


def test_request_sent_byte_by_byte_is_answered(served: Served) -> None:
    body = json.dumps({"query": QUERY})
    head = f"POST /api/graphql HTTP/1.1\r\nHost: localhost:{served.port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE_SECONDS) as client:
        for _ in range(2):  # both over the same connection
            for byte in f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode():
                client.sendall(bytes([byte]))
            answer = b""
            while not answer.endswith(b"}"):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: localhost:{served.port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE_SECONDS) as client:
        client.sendall(request * 3)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 3:
            answers += client.recv(65536)


def test_download_over_the_limit_gets_retry_after(tmp_path: Path) -> None:
    with serving(tmp_path, PHJOB_API_DOWNLOADS="2") as served:
        os.truncate(served.add_job("job-1", {"big.bin": b""}) / "big.bin", BIG_BYTES)
        wait_for_job(served)
        slow = [begin_download(served) for _ in range(2)]
        refused = served.ask("GET", FILE)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert b'"code":"UNAVAILABLE"' in refused.body.replace(b" ", b"")
        for client in slow:
            client.close()


def test_running_download_is_completed_on_sigterm(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        os.truncate(served.add_job("job-1", {"big.bin": b""}) / "big.bin", BIG_BYTES)
        wait_for_job(served)
        with begin_download(served) as client:
            served.process.send_signal(signal.SIGTERM)
            size = 0
            while block := client.recv(1024 * 1024):
                size += len(block)
            assert size > BIG_BYTES
        assert served.process.wait(PATIENCE_SECONDS) == 0


def test_all_invalid_settings_are_reported_at_once() -> None:
    environ = {"PATH": os.environ["PATH"], "PHJOB_API_AUTH": "none", "PHJOB_API_LISTEN": "0.0.0.0:80"}
    environ |= {"PHJOB_API_STORE": "phfs", "PHJOB_CLEANUP_AT": "25:00", "PHJOB_API_SHARED_SECRET": "hunter2"}
    command = [sys.executable, "-m", "api", "serve"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    for problem in (
        "PHJOB_API_STORE='phfs': use an absolute path",
        "PHJOB_CLEANUP_AT='25:00'",
        "PHJOB_API_SHARED_SECRET: ",
    ):
        assert problem in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_address_is_accepted_with_and_without_brackets(host: str) -> None:
    server = HttpServer((host, 8080), 4, lambda: flask.Flask("none"), lambda: None)
    assert server.cfg.address == [("::1", 8080)]


def test_without_a_cluster_the_command_fails() -> None:
    environ = {"PATH": os.environ["PATH"], "PHJOB_API_AUTH": "none", "PHJOB_API_STORE": "/tmp"}
    command = [sys.executable, "-m", "api", "serve"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert 'not started problem="no cluster is configured' in ended.stderr


def test_auth_none_is_refused_beyond_loopback() -> None:
    environ = {"PATH": os.environ["PATH"], "PHJOB_API_AUTH": "none", "PHJOB_API_STORE": "/tmp"}
    command = [sys.executable, "-m", "api", "serve"]
    listen = environ | {"PHJOB_API_LISTEN": "0.0.0.0:8080"}
    ended = subprocess.run(command, env=listen, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "requires PHJOB_API_LISTEN on loopback" in ended.stderr


ENDLESS = """
import itertools, sys
import flask
from api.server import HttpServer

def compose():
    app = flask.Flask("endless")
    app.add_url_rule("/", "endless", lambda: flask.Response(itertools.repeat(b"x" * 65536)))
    return app

HttpServer(("127.0.0.1", int(sys.argv[1])), 2, compose, lambda: None, stalled_seconds=1).run()
"""


def test_stalled_reader_is_disconnected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", ENDLESS, str(port)], stderr=subprocess.PIPE, text=True)
    try:
        stalled = [stop_reading(port) for _ in range(2)]  # as many as there are threads
        stop_reading(port).close()  # served once they are disconnected
        for client in stalled:
            client.close()
    finally:
        server.terminate()
        log = server.communicate(timeout=PATIENCE_SECONDS)[1]
    assert log.count("stalled peer disconnected") == 2
    assert "Traceback" not in log, log


def stop_reading(port: int) -> socket.socket:
    """Send a request, read the start of an endless response, and no more."""
    client = socket.socket()
    client.settimeout(PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.connect_ex(("127.0.0.1", port)) != 0:
        assert time.monotonic() < deadline, "the server does not listen"
        time.sleep(0.05)
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(12) == b"HTTP/1.1 200"
    return client
