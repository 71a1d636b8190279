"""The manifest: written entries are parsed back, and hostile content does no harm."""

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


INVALID_PATHS: list[object] = ["", "/x", "../x", "a/../../b", ".primehub/x", ".metadata/expiredAt", "a\0", "\ud800"]
INVALID_NUMBERS: list[object] = [None, "1", 1.0, True, [], 2**64]
INVALID_DIGESTS: list[object] = [DIGEST[:-1], DIGEST.upper(), DIGEST[:-1] + "g", 7, None]
INVALID_UIDS: list[object] = [7, None, [], "x" * 65]
INVALID: list[dict[str, object]] = [
    *({"path": path} for path in [*INVALID_PATHS, None, 1, ["a"], "x" * 256]),
    *({name: value} for name in ("size", "mtimeNs", "ctimeNs", "inode") for value in INVALID_NUMBERS),
    {"size": -1},
    {"size": 2**63},
    {"mtimeNs": 2**63},
    {"ctimeNs": -(2**63) - 1},
    {"inode": -1},
    *({"sha256": digest} for digest in INVALID_DIGESTS),
    *({"podUid": pod_uid} for pod_uid in INVALID_UIDS),
]


def line(**changes: Any) -> bytes:
    return json.dumps(FIELDS | changes).encode()


def read(*lines: bytes, header: ManifestHeader = HEADER, limit: int = 1000) -> list[ManifestEntry]:
    return list(read_entries(lines, header, limit))


@OFTEN
@given(st.lists(ENTRY, max_size=4))
def test_written_entries_are_parsed_back(entries: list[ManifestEntry]) -> None:
    lines = [format_entry(entry, HEADER).encode() for entry in entries]
    assert read(*lines) == entries
    assert all(written.endswith(b"\n") and written.count(b"\n") == 1 for written in lines)


@OFTEN
@given(st.text(max_size=253), st.text(max_size=64))
def test_written_header_is_parsed_back(job: str, pod_uid: str) -> None:
    written = format_header(ManifestHeader(job, pod_uid)).encode()
    assert read_header(written) == ManifestHeader(job, pod_uid)
    assert written.count(b"\n") == 1


def test_default_values_are_omitted() -> None:
    entry = ManifestEntry("a/ü", 1, 2, 3, 4)
    assert format_entry(entry._replace(pod_uid="uid-1"), HEADER) == (
        '{"path":"a/ü","size":1,"mtimeNs":2,"ctimeNs":3,"inode":4}\n'
    )
    assert format_header(HEADER) == '{"version": 1, "job": "job-1", "podUid": "uid-1"}\n'


def test_longest_path_fits_in_a_line() -> None:
    path = "/".join(['"' * 255] * 4)[:1024]
    assert path_problem(path) is None
    entry = ManifestEntry(path, 2**63 - 1, -(2**63), -(2**63), 2**64 - 1, DIGEST, True, True, "\0" * 64)
    written = format_entry(entry, HEADER).encode()
    assert len(written) < MAX_LINE_BYTES
    assert read(written) == [entry]


def test_unknown_fields_are_ignored() -> None:
    assert read(line(later={"a": [1]})) == [ManifestEntry("a", 1, 2, 3, 4, DIGEST, pod_uid="u")]
    assert read_header(b'{"version":1,"job":"j","podUid":"u","later":1}') == ManifestHeader("j", "u")


@pytest.mark.parametrize("flag", [1, "true", [], {}, None])
def test_flags_are_true_only_for_true(flag: object) -> None:
    assert read(line(pending=flag, unstable=flag)) == [ManifestEntry("a", 1, 2, 3, 4, DIGEST, pod_uid="u")]


@pytest.mark.parametrize(
    "changes",
    INVALID,
)
def test_invalid_entry_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(line(), line(**changes))
    assert "line 3" in str(caught.value)


@pytest.mark.parametrize("missing", ["path", "size", "mtimeNs", "ctimeNs", "inode"])
def test_entry_without_a_required_field_is_refused(missing: str) -> None:
    fields = {name: value for name, value in FIELDS.items() if name != missing}
    with pytest.raises(InvalidDocument):
        read(json.dumps(fields).encode())


def test_entries_are_parsed_up_to_the_first_invalid_one() -> None:
    entries = read_entries([line(), b"garbage", line()], HEADER)
    assert next(entries).path == "a"
    with pytest.raises(InvalidDocument):
        next(entries)


def test_number_of_entries_is_limited() -> None:
    assert len(read(line(), line(), limit=2)) == 2
    with pytest.raises(InvalidDocument):
        read(line(), line(), line(), limit=2)


@pytest.mark.parametrize(
    "content", [*NO_JSON, *NESTED, b"[]", b"null", b"1", b'"a"', b" " * (MAX_LINE_BYTES + 1) + b"{}"]
)
def test_line_that_is_not_an_object_is_refused(content: bytes) -> None:
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
def test_unsupported_header_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument):
        read_header(json.dumps(fields).encode())


@OFTEN
@given(st.binary(max_size=60) | near(FIELDS) | near({"version": 1, "job": "j", "podUid": "u"}))
def test_any_line_is_parsed_or_refused(content: bytes) -> None:
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
def test_parsed_entries_can_be_written_by_another_pod(pod_uid: str, job: str) -> None:
    """JSON can contain a lone surrogate in a pod's UID; it must not break the next pod's manifest."""
    header = read_header(json.dumps({"version": 1, "job": job, "podUid": pod_uid}).encode())
    fields = {name: value for name, value in FIELDS.items() if name != "podUid"}
    for content in (json.dumps(fields).encode(), line(podUid=pod_uid)):
        (entry,) = read(content, header=header)
        format_header(header).encode()
        assert read(format_entry(entry, HEADER).encode()) == [entry]
