"""Every file name has a safe and printable path in the store, from which its bytes can be decoded."""

import os
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artifacts.errors import InvalidName
from artifacts.names import (
    MAX_KEY_BYTES,
    MAX_NAME_BYTES,
    RESERVED,
    check_job_name,
    check_path,
    decode_path,
    encode_path,
    group_path,
    path_problem,
)

THOROUGH = settings(deadline=None, max_examples=250)

# Any bytes that a Linux file name can contain, and frequently those that are special to us.
TRICKY = st.sampled_from([b"%", b"%2", b"%25", b"%2E", b"%2e", b".primehub", b".metadata", b".", b"..", b"\xff", b"\n"])
PIECE = TRICKY | st.binary(min_size=1, max_size=6).filter(lambda raw: not {0, 0x2F} & set(raw))
NAME = st.lists(PIECE, min_size=1, max_size=4).map(b"".join).filter(lambda raw: raw not in (b".", b".."))
RAW_PATH = st.lists(NAME, min_size=1, max_size=4).map(b"/".join)
HOSTILE_TEXT = st.text(alphabet=st.characters(exclude_categories=()), max_size=40)


def encode(raw: bytes) -> str:
    return encode_path(os.fsdecode(raw))


@THOROUGH
@given(RAW_PATH)
@example(b".primehub/metadata/report.json")
@example(b"%2Eprimehub/x")
@example(b"100%")
@example(b"%%41")
@example("\ufffe\U0001fffe\u0085\ud7ff".encode())
def test_encoded_path_is_valid_and_decodes_to_the_original_bytes(raw: bytes) -> None:
    encoded = encode(raw)
    assert decode_path(encoded) == raw
    assert path_problem(encoded) is None
    assert encoded.encode().decode() == encoded
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in encoded)
    assert encoded.split("/")[0] not in RESERVED
    assert encoded.count("/") == raw.count(b"/")


@THOROUGH
@given(RAW_PATH, RAW_PATH)
@example(b".primehub", b"%2Eprimehub")
@example(b"\x01", b"%01")
@example(b"%25", b"%")
def test_different_files_have_different_paths(one: bytes, other: bytes) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(HOSTILE_TEXT)
def test_valid_path_without_a_percent_sign_is_unchanged(text: str) -> None:
    if path_problem(text) is None and "%" not in text:
        assert encode_path(text) == text


@pytest.mark.parametrize(
    ("raw", "encoded"),
    [
        ("model.pt", "model.pt"),
        ("日本/ä ö.txt", "日本/ä ö.txt"),
        ("a\nb", "a%0Ab"),
        ("\udcff\udcfe", "%FF%FE"),
        ("\x9b31m", "%C2%9B31m"),
        ("\uffff", "%EF%BF%BF"),
        ("100%", "100%"),
        ("50%ab", "50%25ab"),
        ("%2f..%2F", "%252f..%252F"),
        (".primehub", "%2Eprimehub"),
        (".metadata/expiredAt", "%2Emetadata/expiredAt"),
        ("sub/.primehub", "sub/.primehub"),
        (".metadata2", ".metadata2"),
        ("...", "..."),
    ],
)
def test_only_unsafe_characters_are_encoded(raw: str, encoded: str) -> None:
    assert encode_path(raw) == encoded
    assert decode_path(encoded) == os.fsencode(raw)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "..",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".primehub",
        ".primehub/metadata/report.json",
        ".metadata/expiredAt",
        "a\0b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "\udcff",
        "\ufffe",
        "x" * (MAX_NAME_BYTES + 1),
        "é" * (MAX_NAME_BYTES // 2 + 1),
        "/".join(["x" * MAX_NAME_BYTES] * 5),
    ],
)
def test_invalid_path_is_refused_with_the_reason(path: str) -> None:
    reason = path_problem(path)
    assert reason
    with pytest.raises(InvalidName) as caught:
        check_path(path)
    assert (caught.value.kind, caught.value.value, caught.value.reason) == ("path", path, reason)
    str(caught.value).encode()  # printable for any input
    assert len(str(caught.value)) < 600


def test_length_limits_of_names_and_keys_are_exact() -> None:
    name = "x" * MAX_NAME_BYTES
    assert path_problem(name) is None
    assert path_problem("é" * (MAX_NAME_BYTES // 2) + "x") is None
    key = "/".join(["x" * 200] * 6)[:MAX_KEY_BYTES]
    assert path_problem(key) is None
    assert path_problem(key, prefix_bytes=1)
    assert path_problem(key[:-100], prefix_bytes=100) is None
    assert path_problem(key[:-100], prefix_bytes=101)


@THOROUGH
@given(HOSTILE_TEXT, st.integers(0, 2000))
def test_path_problem_never_raises(text: str, prefix_bytes: int) -> None:
    reason = path_problem(text, prefix_bytes)
    if reason is None:
        assert check_path(text, prefix_bytes) == text
        parts = text.encode().split(b"/")
        assert not {b"", b".", b".."} & set(parts)
        assert b"\0" not in text.encode()


def test_hostile_megabyte_paths_are_checked_quickly() -> None:
    started = time.process_time()
    for text in ("%" * 2**20, "a/" * 2**19, "%2" * 2**19, ".primehub" * 2**16):
        path_problem(text)
        encode_path(text)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("job", ["a", "job-20211213-abc", "a.b", "0", "x" * 253, "a--b.0"])
def test_valid_job_name_is_accepted(job: str) -> None:
    assert check_job_name(job) == job


@pytest.mark.parametrize(
    "job",
    ["", "..", ".", "a/b", "../x", "A", "-a", "a-", "a..b", "a.-b", "a_b", "a\n", "job\0", "ä", "٣", "x" * 254, " a"],
)
def test_invalid_job_name_is_refused(job: str) -> None:
    with pytest.raises(InvalidName) as caught:
        check_job_name(job)
    assert caught.value.kind == "job"


@pytest.mark.parametrize(
    ("group", "path"),
    [("phusers", "phusers"), ("My_Group", "my-group"), ("a-b", "a-b"), ("a_b", "a-b"), ("A.B", "a.b"), ("x" * 63,) * 2],
)
def test_group_path_is_derived_as_in_primehub(group: str, path: str) -> None:
    assert group_path(group) == path


@pytest.mark.parametrize("group", ["", ".", "..", "a/b", "_a", "a_", "-", "a\n", "grüppe", "x" * 64, "a b"])
def test_invalid_group_name_is_refused(group: str) -> None:
    with pytest.raises(InvalidName) as caught:
        group_path(group)
    assert caught.value.kind == "group"


@THOROUGH
@given(st.text(alphabet="abAB01-_./é\n\0", max_size=12))
def test_accepted_names_are_one_safe_path_component(text: str) -> None:
    for check in (check_job_name, group_path):
        try:
            name = check(text)
        except InvalidName:
            continue
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert name.isascii()
        assert name.isprintable()
        assert name == name.lower()
