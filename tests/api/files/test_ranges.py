"""The Range header: a table of headers, and that no header selects bytes outside the file."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.files.preconditions import ByteRange, RangeNotSatisfiable, content_range, parse_range

MANY_EXAMPLES = settings(deadline=None, max_examples=200)
HOSTILE = st.text(alphabet="bytes=-,0123456789 \t\x00\u0663\u00b2", max_size=40) | st.text(max_size=40)
LONG = "9" * 5000


@pytest.mark.parametrize(
    ("header", "byte_range"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=3-5", ByteRange(3, 3)),
        ("bytes=3-", ByteRange(3, 7)),
        ("bytes=9-", ByteRange(9, 1)),
        ("bytes=5-99", ByteRange(5, 5)),
        (f"bytes=5-{LONG}", ByteRange(5, 5)),
        ("bytes=-1", ByteRange(9, 1)),
        ("bytes=-10", ByteRange(0, 10)),
        (f"bytes=-{LONG}", ByteRange(0, 10)),
        ("bytes=0000000000000000000000003-5", ByteRange(3, 3)),
        ("Bytes=3-5", ByteRange(3, 3)),
        ("bytes= 3-5 ", ByteRange(3, 3)),
        ("bytes=,3-5,", ByteRange(3, 3)),
    ],
)
def test_a_single_range_selects_its_bytes(header: str, byte_range: ByteRange) -> None:
    assert parse_range(header, 10) == byte_range


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=,", "bytes=5-3", "bytes=a-b", "bytes=1-2-3", "bytes=--1"),
        *("bytes=-1-", "bytes=0-1,4-5", "bytes=0-1,-1", "items=0-1", "bytes 0-1", "bytes=\u0663-\u0665"),
        *("bytes=1 -2", "bytes=+1-2", "bytes=0x1-2"),
    ],
)
def test_other_headers_select_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        (f"bytes={LONG}-", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=-0", 0),
    ],
)
def test_a_range_after_the_end_raises(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, size)


def test_a_suffix_range_of_an_empty_file_selects_the_whole_file() -> None:
    assert parse_range("bytes=-5", 0) is None


@MANY_EXAMPLES
@given(HOSTILE, st.integers(0, 2**63))
def test_no_header_selects_bytes_outside_the_file(header: str, size: int) -> None:
    try:
        byte_range = parse_range(header, size)
    except RangeNotSatisfiable:
        return
    assert byte_range is None or (
        byte_range.length > 0 and byte_range.start >= 0 and byte_range.start + byte_range.length <= size
    )


@MANY_EXAMPLES
@given(st.data(), st.integers(1, 2**63))
def test_content_range_repeats_the_requested_range(data: st.DataObject, size: int) -> None:
    first = data.draw(st.integers(0, min(size, 10**18) - 1))
    last = data.draw(st.integers(first, min(size, 10**18) - 1))
    byte_range = parse_range(f"bytes={first}-{last}", size)
    assert byte_range == ByteRange(first, last - first + 1)
    assert content_range(byte_range, size) == f"bytes {first}-{last}/{size}"
