"""TLS with real handshakes: the certificate is replaced while clients connect, and no connection fails."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.certificates import AUTHORITY_LIFE, CERTIFICATE_LIFE, OVERLAP, renew
from controller.tls import ServedCertificate
from tests.controller.pod_samples import primehub_pod
from tests.controller.test_webhook import review

ROOT = Path(__file__).parents[2]
NAMES = ["localhost"]
NOW = datetime.now(UTC)
SecretData = dict[str, bytes]

FIRST = renew({}, NAMES, NOW)
OTHER = renew({}, NAMES, NOW)


def put(folder: Path, data: SecretData) -> None:
    """Write the files as the kubelet mounts a Secret: links into a folder that is replaced atomically."""
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir(parents=True)
    for name in ("tls.crt", "tls.key"):
        (version / name).write_bytes(data[name])
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(version.name)
    old = (folder / "..data").resolve() if (folder / "..data").exists() else None
    (folder / "..new").replace(folder / "..data")
    if old:
        shutil.rmtree(old)


def served(context: ssl.SSLContext) -> str:
    """Return the certificate that a server with `context` serves, by a handshake with a client that trusts both."""
    ours, theirs = socket.socketpair()
    client = ssl.create_default_context(cadata=(FIRST["ca.crt"] + OTHER["ca.crt"]).decode())
    thread = threading.Thread(target=lambda: context.wrap_socket(theirs, server_side=True).close())
    thread.start()
    with client.wrap_socket(ours, server_hostname="localhost") as connection:
        certificate = connection.getpeercert(binary_form=True)
    thread.join()
    return ssl.DER_cert_to_PEM_cert(certificate or b"")


def test_the_current_files_are_served(tmp_path: Path) -> None:
    put(tmp_path, FIRST)
    certificate = ServedCertificate(str(tmp_path))
    assert served(certificate.context()).encode() == FIRST["tls.crt"]
    put(tmp_path, OTHER)
    assert served(certificate.context()).encode() == OTHER["tls.crt"]


def test_a_context_in_use_is_not_modified(tmp_path: Path) -> None:
    put(tmp_path, FIRST)
    certificate = ServedCertificate(str(tmp_path))
    before = certificate.context()
    assert certificate.context() is before
    put(tmp_path, OTHER)
    assert certificate.context() is not before
    assert served(before).encode() == FIRST["tls.crt"]


def test_a_missing_certificate_is_reported(tmp_path: Path) -> None:
    certificate = ServedCertificate(str(tmp_path))
    assert "no certificate" in certificate.problem()
    assert certificate.expires_at() == 0
    with pytest.raises(ssl.SSLError, match="no certificate"):
        certificate.context()
    put(tmp_path, FIRST)
    assert certificate.problem() == ""
    assert certificate.expires_at() == pytest.approx((NOW + CERTIFICATE_LIFE).timestamp(), abs=1)


@pytest.mark.parametrize("broken", ["half", "mismatch", "missing", "invalid"])
def test_an_unusable_certificate_leaves_the_previous_one_in_use(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(FIRST[name])
    certificate = ServedCertificate(str(tmp_path))
    certificate.context()
    if broken == "missing":
        (tmp_path / "tls.key").unlink()
    else:
        content = {"half": OTHER["tls.crt"][:300], "mismatch": OTHER["tls.crt"], "invalid": b"\x00"}[broken]
        (tmp_path / "tls.crt").write_bytes(content)
    for _ in range(3):
        assert served(certificate.context()).encode() == FIRST["tls.crt"]
        assert certificate.problem() == ""
    assert len([record for record in caplog.records if "cannot be used" in record.getMessage()]) == 1
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(OTHER[name])
    assert served(certificate.context()).encode() == OTHER["tls.crt"]


class Process:
    """A webhook's process, and requests as the API server sends them."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.process = port, process

    def connect(self, bundle: bytes) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cadata=bundle.decode())
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=10)

    def review(self, connection: http.client.HTTPSConnection) -> int:
        """Send a review; return the number of operations in the response."""
        connection.request("POST", "/inject", json.dumps(REVIEW), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = json.loads(response.read())
        assert response.status == 200
        return len(content["response"]["patch"])

    def is_ready(self, bundle: bytes) -> bool:
        connection = self.connect(bundle)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


REVIEW = review(primehub_pod())


@contextmanager
def serving(folder: Path) -> Iterator[Process]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.controller.webhook_process", str(folder), str(port)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield Process(port, process)
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def webhook(folder: Path) -> Iterator[Process]:
    """One process for all tests that do not end it."""
    put(folder, FIRST)
    with serving(folder) as process:
        wait_for(lambda: process.is_ready(FIRST["ca.crt"]))
        yield process


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_requests_succeed_while_the_certificate_and_the_authority_are_replaced(webhook: Process, folder: Path) -> None:
    """Clients with the old and the new bundle use new connections, and one that stays open."""
    old = renew({}, NAMES, NOW - OVERLAP - AUTHORITY_LIFE * 2 / 3)
    announced = renew(old, NAMES, NOW - OVERLAP)  # still signed by the old authority
    signed = renew(announced | {"tls.crt": b""}, NAMES, NOW)  # signed by the new authority
    assert old["ca.crt"] != announced["ca.crt"] == signed["ca.crt"]
    put(folder, announced)
    open_connection = webhook.connect(old["ca.crt"])
    webhook.review(open_connection)
    with clients(webhook, announced["ca.crt"]) as (succeeded, failed):
        for number in range(20):
            put(folder, [signed, announced][number % 2])
            enough = len(succeeded) + 5
            wait_for(lambda enough=enough: len(succeeded) > enough or bool(failed))  # type: ignore[misc]
    assert failed == []
    assert webhook.review(open_connection) > 0
    open_connection.close()
    assert not webhook.is_ready(OTHER["ca.crt"])


@contextmanager
def clients(webhook: Process, bundle: bytes) -> Iterator[tuple[list[int], list[str]]]:
    """Run three clients that send requests over new connections; yield the successes and the failures."""
    succeeded: list[int] = []
    failed: list[str] = []
    stop = threading.Event()

    def send_requests() -> None:
        while not stop.is_set():
            connection = webhook.connect(bundle)
            try:
                succeeded.append(webhook.review(connection))
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failed.append(repr(error))
            finally:
                connection.close()

    threads = [threading.Thread(target=send_requests) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield succeeded, failed
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_clients_without_tls_do_not_affect_others(webhook: Process, folder: Path) -> None:
    put(folder, FIRST)
    others = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(40)]
    for other, content in zip(others, [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\x00" * 100] * 5, strict=False):
        other.sendall(content)
    connection = webhook.connect(FIRST["ca.crt"])
    assert webhook.review(connection) > 0
    connection.close()
    for other in others:
        other.close()


def test_a_stalled_client_is_disconnected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.tls.STALL_TIMEOUT_SECONDS", 0.1)
    put(tmp_path, FIRST)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ssl.SSLError, match="stalled"):
        ServedCertificate(str(tmp_path)).context().wrap_socket(theirs, server_side=True)


def test_the_webhook_waits_for_its_certificate_and_finishes_requests_on_sigterm(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as webhook:
        wait_for(lambda: is_listening(webhook.port))
        assert not webhook.is_ready(FIRST["ca.crt"])
        put(tmp_path, FIRST)
        wait_for(lambda: webhook.is_ready(FIRST["ca.crt"]))
        connection = webhook.connect(FIRST["ca.crt"])
        body = json.dumps(REVIEW).encode()
        connection.putrequest("POST", "/inject")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:100])
        webhook.process.terminate()
        time.sleep(0.2)  # usually the signal has arrived by now; the request must succeed in either case
        connection.send(body[100:])
        assert connection.getresponse().status == 200
        connection.close()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
