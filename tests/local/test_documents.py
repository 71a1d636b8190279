"""JSON files that other programs may write too: input is validated, writes are atomic, changes are serialized."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.errors import InvalidDocument
from local.documents import MAX_DOCUMENT_BYTES, lock_documents, read_document, write_document


def nested(levels: int) -> bytes:
    """Return JSON with that many nested objects."""
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_written_document_can_be_read(tmp_path: Path) -> None:
    document = {"a": [1, {"b": "\ud800\n"}], "é": None}
    write_document(tmp_path / "d.json", document)
    assert read_document(tmp_path / "d.json") == document
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


def test_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "d.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_document(tmp_path / "d.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


INVALID = {
    "empty": b"",
    "truncated": b"{",
    "array": b"[]",
    "null": b"null",
    "not UTF-8": b"\xff",
    "deep": nested(32),
    "deeper than Python reads": b"[" * 100_000,
    "a long number": b'{"a":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", INVALID.values(), ids=INVALID)
def test_invalid_document_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.json").write_bytes(content)
    with pytest.raises(InvalidDocument):
        read_document(tmp_path / "d.json")


def test_documents_at_the_limits_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(nested(31).ljust(MAX_DOCUMENT_BYTES))
    document = read_document(path)
    write_document(path, document)
    assert json.loads(path.read_bytes()) == document
    path.write_bytes(nested(31).ljust(MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(InvalidDocument, match="longer than"):
        read_document(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/hostname")])
def test_only_regular_files_are_opened(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "d.json")
    with pytest.raises(OSError, match=r"not a regular file|symbolic links"):
        read_document(tmp_path / "d.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change a file's owner")
def test_file_of_another_user_is_rejected(tmp_path: Path) -> None:
    write_document(tmp_path / "d.json", {})
    os.chown(tmp_path / "d.json", 65534, 65534)
    with pytest.raises(InvalidDocument, match="another user"):
        read_document(tmp_path / "d.json")


def test_concurrent_changes_are_serialized(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    write_document(path, {"n": 0})

    def increment() -> None:
        for _ in range(50):
            with lock_documents(tmp_path):
                write_document(path, {"n": read_document(path)["n"] + 1})

    threads = [threading.Thread(target=increment) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_document(path) == {"n": 150}
