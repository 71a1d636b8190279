"""HTTPS: bodies of all kinds, and a certificate that is replaced while the server runs."""

import datetime
import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import flask
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.serving.server import HttpServer, listen
from api.serving.streamed import StreamedBody

BLOCK = b"x" * 100_000
BLOCKS = 50


class Blocks(StreamedBody):
    def __init__(self) -> None:
        self._left = BLOCKS

    def read(self) -> bytes:
        self._left -= 1
        return BLOCK if self._left >= 0 else b""

    def send(self, socket: int) -> int | None:
        raise AssertionError("plain text must not be sent over an encrypted connection")

    def close(self, sent_bytes: int = 0, *, is_complete: bool = False) -> None:
        assert (sent_bytes, is_complete) == (BLOCKS * len(BLOCK), True)


def write_certificate(folder: Path, serial: int) -> Path:
    """Write a certificate for localhost and its key to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, now, now + datetime.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    path = folder / f"{serial}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(write_certificate(tmp_path, 1))
    return context


@pytest.fixture
def port(context: ssl.SSLContext) -> Iterator[int]:
    app = flask.Flask("tested")
    app.add_url_rule("/", "whole", lambda: flask.request.scheme)
    app.add_url_rule("/blocks", "blocks", lambda: flask.Response(Blocks(), direct_passthrough=True))
    with listen(("127.0.0.1", 0)) as listening:
        server = HttpServer(listening, 2, app, tls=context, grace_seconds=1)
        server.start()
        yield listening.getsockname()[1]
        server.stop()


def connect(port: int) -> http.client.HTTPSConnection:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=20)
    connection.connect()
    return connection


def serial_number(connection: http.client.HTTPSConnection) -> int:
    assert isinstance(connection.sock, ssl.SSLSocket)
    content = connection.sock.getpeercert(binary_form=True)
    assert content
    return x509.load_der_x509_certificate(content).serial_number


def get(connection: http.client.HTTPSConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def test_a_new_certificate_is_served_without_a_restart(port: int, context: ssl.SSLContext, tmp_path: Path) -> None:
    before = connect(port)
    assert get(before, "/") == b"https"
    context.load_cert_chain(write_certificate(tmp_path, 2))
    after = connect(port)
    assert get(after, "/") == get(before, "/") == b"https"
    assert (serial_number(before), serial_number(after)) == (1, 2)
    before.close()
    after.close()


def test_blocks_are_encrypted(port: int) -> None:
    connection = connect(port)
    assert get(connection, "/blocks") == BLOCK * BLOCKS
    assert get(connection, "/") == b"https"
    connection.close()
