"""Servers that fail: dead, silent, breaking off, refusing. Played by hand: no real one does so on demand."""

import contextlib
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from types import MappingProxyType
from typing import Any

import pytest

from api.store import bucket as bucket_module
from api.store import s3
from api.store.factory import open_store
from api.store.store import FileChanged, FileMissing, Store
from artifacts.errors import StoreError
from tests.api.store.conftest import _start_obstore
from tests.api.store.test_store import JOB

MIB = 1024 * 1024
SECRET = "kept-from-everybody"


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    _start_obstore()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waiting, in tenths of seconds."""
    short = {"connect_timeout": "100ms", "read_timeout": "100ms", "timeout": "10s"}
    monkeypatch.setattr(bucket_module, "_TIMEOUTS", short)
    monkeypatch.setattr(s3, "_TIMEOUT", s3._TIMEOUT.__class__(connect=0.1, read=0.1))
    monkeypatch.setattr(bucket_module, "_RETRIES", bucket_module._RETRIES | {"max_retries": 1})
    monkeypatch.setattr(s3, "_RETRIES", s3._RETRIES.new(total=1, backoff_factor=0.01))


Answer = Callable[[str, bytes], bytes]  # the request's head and body, to what is sent before the connection ends


@contextlib.contextmanager
def server(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, list[str]]]:
    """A store on a server that answers so, and the requests it got."""
    heads: list[str] = []
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    head, body = _request(connection)
                    heads.append(head)
                    connection.sendall(answer(head, body))

        thread = threading.Thread(target=serve)
        thread.start()
        _set_environ(monkeypatch, listener.getsockname()[1])
        try:
            yield open_store("s3://bucket"), heads
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _request(connection: socket.socket) -> tuple[str, bytes]:
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


def reply(status: str, body: bytes = b"", headers: Mapping[str, object] = MappingProxyType({})) -> bytes:
    """An HTTP answer, of an object or of anything else."""
    told = {
        "Content-Length": len(body),
        "Connection": "close",
        "ETag": '"1"',
        "Last-Modified": "Tue, 24 Nov 2026 19:39:06 GMT",
        **headers,
    }
    return (
        "\r\n".join([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in told.items()), "", ""]).encode()
        + body
    )


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>m</Message><AWSAccessKeyId>id</AWSAccessKeyId></Error>".encode()


EVERY: dict[str, Callable[[Any], object]] = {
    "check": lambda store: store.check(),
    "list": lambda store: list(store.list(JOB)),
    "stat": lambda store: store.stat("a"),
    "open": lambda store: store.open("a"),
    "read": lambda store: store.read("a", 1),
    "write": lambda store: store.write("a", b"x"),
    "delete": lambda store: store.delete("a"),
    "delete odd": lambda store: store._keys.delete(["a//b"]),
    "remove": lambda store: store.remove(JOB),
}


@pytest.mark.parametrize("work", EVERY)
def test_a_refusal_is_an_error_without_anything_secret_in_it(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    refusal = reply("403 Forbidden", error("AccessDenied"))
    with server(lambda *_: refusal, monkeypatch) as (store, heads), pytest.raises(StoreError) as caught:
        EVERY[work](store)
    assert len(heads) == 1
    said = "".join(traceback.format_exception(caught.value))
    assert "AccessDenied" in said or "403" in said
    assert SECRET not in said
    assert "Signature" not in said
    assert "\n" not in str(caught.value)
    assert "<" not in str(caught.value)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("work", EVERY)
def test_a_server_that_is_away_is_tried_again_and_then_an_error(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        _set_environ(monkeypatch, free.getsockname()[1])
    with pytest.raises(StoreError) as caught:
        EVERY[work](open_store("s3://bucket"))
    assert "Signature" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("work", EVERY)
def test_a_server_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        _set_environ(monkeypatch, silent.getsockname()[1])
        with pytest.raises(StoreError) as caught:
            EVERY[work](open_store("s3://bucket"))
    assert "Signature" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_busy_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    answers = [
        reply("503 Slow Down", error("SlowDown")),
        reply("503 Slow Down", error("SlowDown")),
        reply("200 OK", page),
    ]
    with server(lambda *_: answers.pop(0), monkeypatch) as (store, heads):
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
def test_an_answer_that_is_no_listing_is_an_error_and_not_an_empty_folder(
    monkeypatch: pytest.MonkeyPatch, page: bytes
) -> None:
    with server(lambda *_: reply("200 OK", page), monkeypatch) as (store, heads), pytest.raises(StoreError):
        list(store.list(JOB))
    assert len(heads) <= 2


def test_what_one_key_of_many_is_refused_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "<Size>1</Size><ETag>1</ETag><LastModified>2026-11-24T19:39:06Z</LastModified>"
    entry = f"<Contents><Key>{{}}</Key>{told}</Contents>"
    page = "".join(entry.format(JOB + name) for name in ("a", "b", "last"))
    listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{page}</ListBucketResult>".encode()
    refusal = f"<Key>{JOB}a</Key><Code>AccessDenied</Code><Message>held</Message>"
    deleted = f"<DeleteResult><Error>{refusal}</Error><Deleted><Key>{JOB}b</Key></Deleted></DeleteResult>".encode()
    with (
        server(lambda head, _: reply("200 OK", listing if "GET" in head else deleted), monkeypatch) as (store, heads),
        pytest.raises(StoreError, match=r"job-1/a: held \(code: AccessDenied\)"),
    ):
        store.remove(JOB, ["last"])
    assert [head.split()[0] for head in heads] == ["GET", "POST"]


def test_a_server_without_bulk_deletes_can_be_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DISABLE_BULK_DELETE", "true")
    with server(lambda *_: reply("204 No Content"), monkeypatch) as (store, heads):
        store._keys.delete(["a", "b"])  # type: ignore[attr-defined]
    assert sorted(head.split(" HTTP")[0] for head in heads) == ["DELETE /bucket/a", "DELETE /bucket/b"]


def served(whole: bytes, tag: Callable[[int], str], cut: int) -> Answer:
    """An object whose answers to GET break off after `cut` bytes, and that has a tag for each request."""
    count = iter(range(100))

    def answer(head: str, _: bytes) -> bytes:
        now = tag(next(count))
        if head.startswith("HEAD"):
            return reply("200 OK", headers={"Content-Length": len(whole), "ETag": now})
        wanted = re.search(r"if-match: (.*)", head, re.IGNORECASE)
        if wanted is None or wanted[1].strip() != now:
            return reply("412 Precondition Failed", error("PreconditionFailed"))
        found = re.search(r"bytes=(\d+)-(\d+)", head)
        start, end = (int(found[1]), int(found[2])) if found else (0, len(whole) - 1)
        told = {"Content-Length": end + 1 - start, "Content-Range": f"bytes {start}-{end}/{len(whole)}", "ETag": now}
        return reply("206 Partial Content", headers=told) + whole[start : min(end + 1, start + cut)]

    return answer


def test_an_answer_that_breaks_off_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytes(range(256)) * 4096 * 3
    answers = served(whole, lambda _: '"1"', MIB + 7)
    with server(answers, monkeypatch) as (store, heads), closing(store.open("a")) as file:
        assert b"".join(file.chunks(0, len(whole))) == whole
    assert len(heads) > 3


def test_nothing_is_gone_on_with_that_has_been_replaced_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytes(3 * MIB)
    answers = served(whole, lambda count: '"1"' if count < 2 else '"2"', MIB)
    with server(answers, monkeypatch) as (store, heads), pytest.raises((FileChanged, StoreError)):
        list(store.open("a").chunks(0, len(whole)))
    assert 2 < len(heads) < 6


@pytest.mark.parametrize("answer", ["200 whole", "other tag", "other size", "404"])
def test_a_server_that_gives_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    def get(head: str, _: bytes) -> bytes:
        if head.startswith("HEAD"):
            return reply("200 OK", headers={"Content-Length": 10})
        match answer:
            case "200 whole":
                return reply("200 OK", b"0123456789")
            case "other tag":
                return reply("206 Partial", b"0123", {"Content-Range": "bytes 0-3/10", "ETag": '"2"'})
            case "other size":
                return reply("206 Partial", b"0123", {"Content-Range": "bytes 0-3/11"})
            case _:
                return reply("404 Not Found", error("NoSuchKey"))

    with server(get, monkeypatch) as (store, _), pytest.raises((FileChanged, StoreError)):
        list(store.open("a").chunks(0, 4))


def test_a_file_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda *_: reply("404 Not Found", error("NoSuchKey")), monkeypatch) as (store, _):
        for work in ("stat", "open", "read"):
            with pytest.raises(FileMissing):
                EVERY[work](store)
