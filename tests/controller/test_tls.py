"""TLS: the certificate is replaced while connections come, with real handshakes, and none of them fails."""

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
from tests.controller.pods import primehub_pod
from tests.controller.test_webhook import review

ROOT = Path(__file__).parents[2]
NAMES = ["localhost"]
NOW = datetime.now(UTC)
State = dict[str, bytes]

FIRST = renew({}, NAMES, NOW)
OTHER = renew({}, NAMES, NOW)


def put(folder: Path, state: State) -> None:
    """As the kubelet mounts a Secret: files are links into a folder that a link names, which is turned at once."""
    version = folder / f"..{time.monotonic_ns()}"
    version.mkdir(parents=True)
    for name in ("tls.crt", "tls.key"):
        (version / name).write_bytes(state[name])
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(version.name)
    old = (folder / "..data").resolve() if (folder / "..data").exists() else None
    (folder / "..new").replace(folder / "..data")
    if old:
        shutil.rmtree(old)


def served(context: ssl.SSLContext) -> str:
    """The end of life of what a server with `context` shows, by a real handshake with one that trusts both."""
    ours, theirs = socket.socketpair()
    client = ssl.create_default_context(cadata=(FIRST["ca.crt"] + OTHER["ca.crt"]).decode())
    thread = threading.Thread(target=lambda: context.wrap_socket(theirs, server_side=True).close())
    thread.start()
    with client.wrap_socket(ours, server_hostname="localhost") as connection:
        certificate = connection.getpeercert(binary_form=True)
    thread.join()
    return ssl.DER_cert_to_PEM_cert(certificate or b"")


def test_what_is_served_is_what_the_folder_holds_now(tmp_path: Path) -> None:
    put(tmp_path, FIRST)
    certificate = ServedCertificate(str(tmp_path))
    assert served(certificate.context()).encode() == FIRST["tls.crt"]
    put(tmp_path, OTHER)
    assert served(certificate.context()).encode() == OTHER["tls.crt"]


def test_a_context_that_is_in_use_is_never_changed(tmp_path: Path) -> None:
    put(tmp_path, FIRST)
    certificate = ServedCertificate(str(tmp_path))
    before = certificate.context()
    assert certificate.context() is before
    put(tmp_path, OTHER)
    assert certificate.context() is not before
    assert served(before).encode() == FIRST["tls.crt"]


def test_before_there_is_a_certificate_it_says_so(tmp_path: Path) -> None:
    certificate = ServedCertificate(str(tmp_path))
    assert "no certificate" in certificate.problem()
    assert certificate.expires_at() == 0
    with pytest.raises(ssl.SSLError, match="no certificate"):
        certificate.context()
    put(tmp_path, FIRST)
    assert certificate.problem() == ""
    assert certificate.expires_at() == pytest.approx((NOW + CERTIFICATE_LIFE).timestamp(), abs=1)


@pytest.mark.parametrize("broken", ["half", "mismatch", "missing", "nonsense"])
def test_what_cannot_be_used_leaves_the_one_before_in_place(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(FIRST[name])
    certificate = ServedCertificate(str(tmp_path))
    certificate.context()
    if broken == "missing":
        (tmp_path / "tls.key").unlink()
    else:
        content = {"half": OTHER["tls.crt"][:300], "mismatch": OTHER["tls.crt"], "nonsense": b"\x00"}[broken]
        (tmp_path / "tls.crt").write_bytes(content)
    for _ in range(3):
        assert served(certificate.context()).encode() == FIRST["tls.crt"]
        assert certificate.problem() == ""
    assert len([each for each in caplog.records if "cannot be used" in each.getMessage()]) == 1
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_bytes(OTHER[name])
    assert served(certificate.context()).encode() == OTHER["tls.crt"]


class Process:
    """A webhook's process, and what the API server would ask of it."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port, self.process = port, process

    def connect(self, bundle: bytes) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cadata=bundle.decode())
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=10)

    def ask(self, connection: http.client.HTTPSConnection) -> int:
        """Send a review; the number of operations in the answer."""
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
    command = [sys.executable, "-m", "tests.controller.serving", str(folder), str(port)]
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
    """One process for the tests that leave it as it was."""
    put(folder, FIRST)
    with serving(folder) as process:
        wait_for(lambda: process.is_ready(FIRST["ca.crt"]))
        yield process


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_webhook_serves_while_its_certificate_and_authority_are_replaced(webhook: Process, folder: Path) -> None:
    """New connections all the time, and one that is kept, by clients with what was published before and after."""
    old = renew({}, NAMES, NOW - OVERLAP - AUTHORITY_LIFE * 2 / 3)
    announced = renew(old, NAMES, NOW - OVERLAP)  # with a leaf by the old authority, and the new one beside it
    signed = renew(announced | {"tls.crt": b""}, NAMES, NOW)  # with a leaf by the new one
    assert old["ca.crt"] != announced["ca.crt"] == signed["ca.crt"]
    put(folder, announced)
    kept = webhook.connect(old["ca.crt"])
    webhook.ask(kept)
    with asking(webhook, announced["ca.crt"]) as (answered, failed):
        for number in range(20):
            put(folder, [signed, announced][number % 2])
            enough = len(answered) + 5
            wait_for(lambda enough=enough: len(answered) > enough or bool(failed))  # type: ignore[misc]
    assert failed == []
    assert webhook.ask(kept) > 0
    kept.close()
    assert not webhook.is_ready(OTHER["ca.crt"])


@contextmanager
def asking(webhook: Process, bundle: bytes) -> Iterator[tuple[list[int], list[str]]]:
    """Three clients that ask all the time, each time by a new connection: what was answered, and what failed."""
    answered: list[int] = []
    failed: list[str] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            connection = webhook.connect(bundle)
            try:
                answered.append(webhook.ask(connection))
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failed.append(repr(error))
            finally:
                connection.close()

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield answered, failed
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_whoever_speaks_no_tls_disturbs_nobody(webhook: Process, folder: Path) -> None:
    put(folder, FIRST)
    others = [socket.create_connection(("127.0.0.1", webhook.port)) for _ in range(40)]
    for each, words in zip(others, [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\x00" * 100] * 5, strict=False):
        each.sendall(words)
    connection = webhook.connect(FIRST["ca.crt"])
    assert webhook.ask(connection) > 0
    connection.close()
    for each in others:
        each.close()


def test_a_peer_that_stalls_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.tls.STALLED_SECONDS", 0.1)
    put(tmp_path, FIRST)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ssl.SSLError, match="stalled"):
        ServedCertificate(str(tmp_path)).context().wrap_socket(theirs, server_side=True)


def test_a_webhook_that_starts_before_its_certificate_serves_once_it_is_there_and_ends_what_it_began(
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
        time.sleep(0.2)  # most often it has heard by now; answered it must be either way
        connection.send(body[100:])
        assert connection.getresponse().status == 200
        connection.close()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
