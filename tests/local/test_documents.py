"""Documents that others may write too: whatever lies there is refused or read whole, and no change gets lost."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.errors import InvalidDocument
from local.documents import MAX_BYTES, changing, read_document, write_document


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    document = {"a": [1, {"b": "\ud800\n"}], "é": None}
    write_document(tmp_path / "d.json", document)
    assert read_document(tmp_path / "d.json") == document
    assert [each.name for each in tmp_path.iterdir()] == ["d.json"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "d.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_document(tmp_path / "d.json", {})
    assert [each.name for each in tmp_path.iterdir()] == ["d.json"]


USELESS = {
    "nothing": b"",
    "half": b"{",
    "array": b"[]",
    "null": b"null",
    "no UTF-8": b"\xff",
    "deep": nested(32),
    "deeper than Python reads": b"[" * 100_000,
    "a long number": b'{"a":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", USELESS.values(), ids=USELESS)
def test_what_is_no_object_of_bounded_depth_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.json").write_bytes(content)
    with pytest.raises(InvalidDocument):
        read_document(tmp_path / "d.json")


def test_the_longest_and_the_deepest_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(nested(31).ljust(MAX_BYTES))
    document = read_document(path)
    write_document(path, document)
    assert json.loads(path.read_bytes()) == document
    path.write_bytes(nested(31).ljust(MAX_BYTES + 1))
    with pytest.raises(InvalidDocument, match="longer than"):
        read_document(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_regular_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "d.json")
    with pytest.raises(OSError, match=r"no regular file|symbolic links"):
        read_document(tmp_path / "d.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_user_s_file_is_refused(tmp_path: Path) -> None:
    write_document(tmp_path / "d.json", {})
    os.chown(tmp_path / "d.json", 65534, 65534)
    with pytest.raises(InvalidDocument, match="another user"):
        read_document(tmp_path / "d.json")


def test_changes_at_the_same_time_are_made_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    write_document(path, {"n": 0})

    def count() -> None:
        for _ in range(50):
            with changing(tmp_path):
                write_document(path, {"n": read_document(path)["n"] + 1})

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_document(path) == {"n": 150}
