"""The manifest's form: what is written is read again, and nothing that users put there does harm."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artifacts.errors import InvalidDocument
from artifacts.manifest import (
    MAX_LINE_BYTES,
    VERSION,
    ManifestEntry,
    ManifestHeader,
    format_entry,
    format_header,
    read_entries,
    read_header,
)
from artifacts.names import encode_path, path_problem
from tests.artifacts.documents import ANY_TEXT, NESTED, NO_JSON, near

OFTEN = settings(deadline=None, max_examples=300)
HEADER = ManifestHeader("job-1", "uid-1")
DIGEST = "0123456789abcdef" * 4
TIME = st.integers(-(2**63), 2**63 - 1)
PATH = st.text(min_size=1, max_size=40).map(encode_path).filter(lambda path: path_problem(path) is None)
ENTRY = st.builds(
    ManifestEntry,
    path=PATH,
    size=st.integers(0, 2**63 - 1),
    mtime_ns=TIME,
    ctime_ns=TIME,
    inode=st.integers(0, 2**64 - 1),
    sha256=st.just("") | st.binary(min_size=32, max_size=32).map(bytes.hex),
    pending=st.booleans(),
    unstable=st.booleans(),
    pod_uid=st.just(HEADER.pod_uid) | st.text(max_size=64),
)
FIELDS = {"path": "a", "size": 1, "mtimeNs": 2, "ctimeNs": 3, "inode": 4, "sha256": DIGEST, "podUid": "u"}


WRONG_PATHS: list[object] = ["", "/x", "../x", "a/../../b", ".primehub/x", ".metadata/expiredAt", "a\0", "\ud800"]
NO_WHOLE_NUMBERS: list[object] = [None, "1", 1.0, True, [], 2**64]
NO_DIGESTS: list[object] = [DIGEST[:-1], DIGEST.upper(), DIGEST[:-1] + "g", 7, None]
NO_UIDS: list[object] = [7, None, [], "x" * 65]
WRONG: list[dict[str, object]] = [
    *({"path": path} for path in [*WRONG_PATHS, None, 1, ["a"], "x" * 256]),
    *({name: value} for name in ("size", "mtimeNs", "ctimeNs", "inode") for value in NO_WHOLE_NUMBERS),
    {"size": -1},
    {"size": 2**63},
    {"mtimeNs": 2**63},
    {"ctimeNs": -(2**63) - 1},
    {"inode": -1},
    *({"sha256": digest} for digest in NO_DIGESTS),
    *({"podUid": pod_uid} for pod_uid in NO_UIDS),
]


def line(**changes: Any) -> bytes:
    return json.dumps(FIELDS | changes).encode()


def read(*lines: bytes, header: ManifestHeader = HEADER, limit: int = 1000) -> list[ManifestEntry]:
    return list(read_entries(lines, header, limit))


@OFTEN
@given(st.lists(ENTRY, max_size=4))
def test_entries_that_were_written_are_read_again(entries: list[ManifestEntry]) -> None:
    lines = [format_entry(entry, HEADER).encode() for entry in entries]
    assert read(*lines) == entries
    assert all(written.endswith(b"\n") and written.count(b"\n") == 1 for written in lines)


@OFTEN
@given(st.text(max_size=253), st.text(max_size=64))
def test_a_header_that_was_written_is_read_again(job: str, pod_uid: str) -> None:
    written = format_header(ManifestHeader(job, pod_uid)).encode()
    assert read_header(written) == ManifestHeader(job, pod_uid)
    assert written.count(b"\n") == 1


def test_a_line_says_only_what_there_is_to_say() -> None:
    entry = ManifestEntry("a/ü", 1, 2, 3, 4)
    assert format_entry(entry._replace(pod_uid="uid-1"), HEADER) == (
        '{"path":"a/ü","size":1,"mtimeNs":2,"ctimeNs":3,"inode":4}\n'
    )
    assert format_header(HEADER) == '{"version": 1, "job": "job-1", "podUid": "uid-1"}\n'


def test_the_longest_path_fits_in_a_line() -> None:
    path = "/".join(['"' * 255] * 4)[:1024]
    assert path_problem(path) is None
    entry = ManifestEntry(path, 2**63 - 1, -(2**63), -(2**63), 2**64 - 1, DIGEST, True, True, "\0" * 64)
    written = format_entry(entry, HEADER).encode()
    assert len(written) < MAX_LINE_BYTES
    assert read(written) == [entry]


def test_an_unknown_field_is_ignored() -> None:
    assert read(line(later={"a": [1]})) == [ManifestEntry("a", 1, 2, 3, 4, DIGEST, pod_uid="u")]
    assert read_header(b'{"version":1,"job":"j","podUid":"u","later":1}') == ManifestHeader("j", "u")


@pytest.mark.parametrize("flag", [1, "true", [], {}, None])
def test_a_flag_is_true_only_when_it_is_true(flag: object) -> None:
    assert read(line(pending=flag, unstable=flag)) == [ManifestEntry("a", 1, 2, 3, 4, DIGEST, pod_uid="u")]


@pytest.mark.parametrize(
    "changes",
    WRONG,
)
def test_a_line_that_is_no_entry_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(line(), line(**changes))
    assert "line 3" in str(caught.value)


@pytest.mark.parametrize("missing", ["path", "size", "mtimeNs", "ctimeNs", "inode"])
def test_a_line_without_a_needed_field_is_refused(missing: str) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != missing}
    with pytest.raises(InvalidDocument):
        read(json.dumps(fields).encode())


def test_entries_are_read_up_to_the_first_that_is_none() -> None:
    entries = read_entries([line(), b"garbage", line()], HEADER)
    assert next(entries).path == "a"
    with pytest.raises(InvalidDocument):
        next(entries)


def test_no_more_entries_than_asked_for_are_read() -> None:
    assert len(read(line(), line(), limit=2)) == 2
    with pytest.raises(InvalidDocument):
        read(line(), line(), line(), limit=2)


@pytest.mark.parametrize(
    "content", [*NO_JSON, *NESTED, b"[]", b"null", b"1", b'"a"', b" " * (MAX_LINE_BYTES + 1) + b"{}"]
)
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidDocument):
        read(content)
    with pytest.raises(InvalidDocument):
        read_header(content)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": VERSION},
        {"version": 2, "job": "j", "podUid": "u"},
        {"version": "1", "job": "j", "podUid": "u"},
        {"version": [1], "job": "j", "podUid": "u"},
        {"version": 1, "job": 7, "podUid": "u"},
        {"version": 1, "job": "j", "podUid": None},
    ],
)
def test_a_header_of_no_known_form_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument):
        read_header(json.dumps(fields).encode())


@OFTEN
@given(st.binary(max_size=60) | near(FIELDS) | near({"version": 1, "job": "j", "podUid": "u"}))
def test_whatever_stands_in_a_line_it_is_read_or_refused(content: bytes) -> None:
    try:
        header = read_header(content)
    except InvalidDocument:
        header = HEADER
    try:
        entries = read(content, header=header)
    except InvalidDocument as error:
        str(error).encode()
        return
    for entry in entries:
        assert path_problem(entry.path) is None
        assert read(format_entry(entry, header).encode(), header=header) == [entry]


@OFTEN
@given(ANY_TEXT, ANY_TEXT)
@example("\ud800", "\ud800")
def test_what_was_read_can_be_written_again_by_another_pod(pod_uid: str, job: str) -> None:
    """A lone surrogate in a pod's UID, which JSON can carry, must not break the next pod's manifest."""
    header = read_header(json.dumps({"version": 1, "job": job, "podUid": pod_uid}).encode())
    fields = {name: value for name, value in FIELDS.items() if name != "podUid"}
    for content in (json.dumps(fields).encode(), line(podUid=pod_uid)):
        (entry,) = read(content, header=header)
        format_header(header).encode()
        assert read(format_entry(entry, HEADER).encode()) == [entry]
