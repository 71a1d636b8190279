"""S3 servers that fail: dead, silent, interrupting or refusing. Simulated, since real ones do not fail on demand."""

import contextlib
import errno
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from types import MappingProxyType
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from api.store import bucket as bucket_module
from api.store import s3
from api.store.bucket import BucketStore
from api.store.factory import open_store
from api.store.keys import ObstoreKeys
from api.store.store import FileChanged, FileMissing, Store, StoreBlocked
from artifacts.errors import StoreError
from tests.api.store.conftest import start_obstore
from tests.api.store.test_store import JOB

MIB = 1024 * 1024
SECRET = "secret-access-key"


@pytest.fixture(scope="module", autouse=True)
def obstore_started() -> None:
    start_obstore()


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the timeouts to tenths of seconds."""
    short = {"connect_timeout": "100ms", "read_timeout": "100ms", "timeout": "10s"}
    monkeypatch.setattr(bucket_module, "_TIMEOUTS", short)
    monkeypatch.setattr(s3, "_TIMEOUT", s3._TIMEOUT.__class__(connect=0.1, read=0.1))
    monkeypatch.setattr(bucket_module, "_RETRIES", bucket_module._RETRIES | {"max_retries": 1})
    monkeypatch.setattr(s3, "_RETRIES", s3._RETRIES.new(total=1, backoff_factor=0.01))


Handler = Callable[[str, bytes], bytes]  # maps a request's head and body to the response


@contextlib.contextmanager
def fake_server(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, list[str]]]:
    """Yield a store on a server with this handler, and the heads of the received requests."""
    heads: list[str] = []
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    head, body = _receive(connection)
                    heads.append(head)
                    connection.sendall(handler(head, body))

        thread = threading.Thread(target=serve)
        thread.start()
        _set_environ(monkeypatch, listener.getsockname()[1])
        try:
            yield open_store("s3://bucket"), heads
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _receive(connection: socket.socket) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head.decode(), body


def _set_environ(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    environ = {"ENDPOINT_URL": f"http://127.0.0.1:{port}", "ALLOW_HTTP": "true", "ACCESS_KEY_ID": "id"}
    for name, value in {**environ, "SECRET_ACCESS_KEY": SECRET, "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def response(status: str, body: bytes = b"", headers: Mapping[str, object] = MappingProxyType({})) -> bytes:
    """Build an HTTP response with the headers of an object."""
    fields = {
        "Content-Length": len(body),
        "Connection": "close",
        "ETag": '"1"',
        "Last-Modified": "Tue, 24 Nov 2026 19:39:06 GMT",
        **headers,
    }
    return (
        "\r\n".join([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode()
        + body
    )


def error_body(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>m</Message><AWSAccessKeyId>id</AWSAccessKeyId></Error>".encode()


OPERATIONS: dict[str, Callable[[Any], object]] = {
    "check": lambda store: store.check(),
    "list": lambda store: list(store.list(JOB)),
    "stat": lambda store: store.stat("a"),
    "open": lambda store: store.open("a"),
    "read": lambda store: store.read("a", 1),
    "write": lambda store: store.write("a", b"x"),
    "delete": lambda store: store.delete("a"),
    "delete invalid key": lambda store: store._keys.delete(["a//b"]),
    "remove": lambda store: store.remove(JOB),
}


@pytest.mark.parametrize("work", OPERATIONS)
def test_the_error_of_a_refused_request_contains_no_secret(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    refusal = response("403 Forbidden", error_body("AccessDenied"))
    with fake_server(lambda *_: refusal, monkeypatch) as (store, heads), pytest.raises(StoreError) as caught:
        OPERATIONS[work](store)
    assert len(heads) == 1
    text = "".join(traceback.format_exception(caught.value))
    assert "AccessDenied" in text or "403" in text
    assert SECRET not in text
    assert "Signature" not in text
    assert "\n" not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.parametrize("has_s3_keys", [True, False])
@pytest.mark.parametrize("work", OPERATIONS)
def test_an_error_of_the_operating_system_raises_store_error(
    monkeypatch: pytest.MonkeyPatch, work: str, has_s3_keys: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    _set_environ(monkeypatch, 1)
    store = open_store("s3://bucket")
    if not has_s3_keys:
        store = BucketStore(S3Store("bucket"), ObstoreKeys(S3Store("bucket")), "")
    for name in ("head", "get", "put", "list", "list_with_delimiter", "delete"):
        monkeypatch.setattr(obstore, name, fail)
    monkeypatch.setattr("urllib3.PoolManager.request", fail)
    with pytest.raises(StoreError) as caught:
        OPERATIONS[work](store)
    assert not isinstance(caught.value, StoreBlocked), "the owners of a job's files cannot close a bucket"


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("work", OPERATIONS)
def test_an_unreachable_server_raises_store_error_after_retries(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        _set_environ(monkeypatch, free.getsockname()[1])
    with pytest.raises(StoreError) as caught:
        OPERATIONS[work](open_store("s3://bucket"))
    assert "Signature" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("work", OPERATIONS)
def test_a_silent_server_raises_store_error_after_the_timeout(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        _set_environ(monkeypatch, silent.getsockname()[1])
        with pytest.raises(StoreError) as caught:
            OPERATIONS[work](open_store("s3://bucket"))
    assert "Signature" not in "".join(traceback.format_exception(caught.value))


def test_requests_to_a_busy_server_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    responses = [
        response("503 Slow Down", error_body("SlowDown")),
        response("503 Slow Down", error_body("SlowDown")),
        response("200 OK", page),
    ]
    with fake_server(lambda *_: responses.pop(0), monkeypatch) as (store, heads):
        assert list(store.list(JOB)) == []
    assert len(heads) == 3


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"not xml",
        b"<html><body>login</body></html>",
        b"<ListBucketResult></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
    ],
)
def test_an_invalid_listing_raises_store_error(monkeypatch: pytest.MonkeyPatch, page: bytes) -> None:
    with fake_server(lambda *_: response("200 OK", page), monkeypatch) as (store, heads), pytest.raises(StoreError):
        list(store.list(JOB))
    assert len(heads) <= 2


def test_a_bulk_delete_raises_the_error_of_the_refused_key(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = "<Size>1</Size><ETag>1</ETag><LastModified>2026-11-24T19:39:06Z</LastModified>"
    entry = f"<Contents><Key>{{}}</Key>{fields}</Contents>"
    page = "".join(entry.format(JOB + name) for name in ("a", "b", "last"))
    listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{page}</ListBucketResult>".encode()
    refusal = f"<Key>{JOB}a</Key><Code>AccessDenied</Code><Message>held</Message>"
    deleted = f"<DeleteResult><Error>{refusal}</Error><Deleted><Key>{JOB}b</Key></Deleted></DeleteResult>".encode()

    def handle(head: str, _: bytes) -> bytes:
        return response("200 OK", listing if "GET" in head else deleted)

    with (
        fake_server(lambda head, _: response("200 OK", listing if "GET" in head else deleted), monkeypatch) as (
            store,
            heads,
        ),
        pytest.raises(StoreError, match=r"job-1/a: held \(code: AccessDenied\)"),
    ):
        store.remove(JOB, ["last"])
    assert [head.split()[0] for head in heads] == ["GET", "POST"]


def test_bulk_deletes_can_be_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DISABLE_BULK_DELETE", "true")
    with fake_server(lambda *_: response("204 No Content"), monkeypatch) as (store, heads):
        store._keys.delete(["a", "b"])  # type: ignore[attr-defined]
    assert sorted(head.split(" HTTP")[0] for head in heads) == ["DELETE /bucket/a", "DELETE /bucket/b"]


def interrupted_object(whole: bytes, tag: Callable[[int], str], cut: int) -> Handler:
    """Return a handler for an object: GET stops after `cut` bytes; `tag` returns the entity tag of the n-th request."""
    count = iter(range(100))

    def handle(head: str, _: bytes) -> bytes:
        etag = tag(next(count))
        if head.startswith("HEAD"):
            return response("200 OK", headers={"Content-Length": len(whole), "ETag": etag})
        expected = re.search(r"if-match: (.*)", head, re.IGNORECASE)
        if expected is None or expected[1].strip() != etag:
            return response("412 Precondition Failed", error_body("PreconditionFailed"))
        span = re.search(r"bytes=(\d+)-(\d+)", head)
        start, end = (int(span[1]), int(span[2])) if span else (0, len(whole) - 1)
        headers = {
            "Content-Length": end + 1 - start,
            "Content-Range": f"bytes {start}-{end}/{len(whole)}",
            "ETag": etag,
        }
        return response("206 Partial Content", headers=headers) + whole[start : min(end + 1, start + cut)]

    return handle


def test_an_interrupted_response_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytes(range(256)) * 4096 * 3
    handler = interrupted_object(whole, lambda _: '"1"', MIB + 7)
    with fake_server(handler, monkeypatch) as (store, heads), closing(store.open("a")) as file:
        assert b"".join(file.chunks(0, len(whole))) == whole
    assert len(heads) > 3


def test_an_interrupted_response_is_not_resumed_if_the_object_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytes(3 * MIB)
    handler = interrupted_object(whole, lambda count: '"1"' if count < 2 else '"2"', MIB)
    with fake_server(handler, monkeypatch) as (store, heads), pytest.raises((FileChanged, StoreError)):
        list(store.open("a").chunks(0, len(whole)))
    assert 2 < len(heads) < 6


@pytest.mark.parametrize("kind", ["200 whole", "other tag", "other size", "404"])
def test_a_response_for_another_object_raises(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def get(head: str, _: bytes) -> bytes:
        if head.startswith("HEAD"):
            return response("200 OK", headers={"Content-Length": 10})
        match kind:
            case "200 whole":
                return response("200 OK", b"0123456789")
            case "other tag":
                return response("206 Partial", b"0123", {"Content-Range": "bytes 0-3/10", "ETag": '"2"'})
            case "other size":
                return response("206 Partial", b"0123", {"Content-Range": "bytes 0-3/11"})
            case _:
                return response("404 Not Found", error_body("NoSuchKey"))

    with fake_server(get, monkeypatch) as (store, _), pytest.raises((FileChanged, StoreError)):
        list(store.open("a").chunks(0, 4))


def test_a_missing_object_raises_file_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_server(lambda *_: response("404 Not Found", error_body("NoSuchKey")), monkeypatch) as (store, _):
        for work in ("stat", "open", "read"):
            with pytest.raises(FileMissing):
                OPERATIONS[work](store)
