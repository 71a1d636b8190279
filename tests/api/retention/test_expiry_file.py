"""The parsing of expiry files: a table of valid and invalid contents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.retention.expiry import MIN_EXPIRY, parse_expiry_file
from api.retention.record import FOREVER
from artifacts.layout import format_expiry

FILES = {
    "one line": (b"1700000000\n", 1.7e9),
    "no newline": (b"1700000000", 1.7e9),
    "windows line ends": (b"1700000000\r\n", 1.7e9),
    "spaces and empty lines around": (b"\n \t1700000000  \n\n", 1.7e9),
    "byte order mark": (b"\xef\xbb\xbf1700000000\n", 1.7e9),
    "leading zeros": (b"0001700000000\n", 1.7e9),
    "fraction": (b"1700000000.75\n", 1700000000.75),
    "two lines, as PrimeHub's wrapper appends: the later": (b"1700000000\n1700604800\n", 1700604800.0),
    "two lines, the later first": (b"1700604800\n1700000000\n", 1700604800.0),
    "two lines, one of them no number": (b"1700000000\nsoon\n", None),
    "two lines, one of them zero": (b"1700000000\n0\n", None),
    "not a number": (b"NaN\n", None),
    "infinite": (b"inf\n", None),
    "negative": (b"-1700000000\n", None),
    "plus sign": (b"+1700000000\n", None),
    "minus one": (b"-1\n", None),
    "zero": (b"0\n", None),
    "a duration": (b"604800\n", None),
    "the last second before 2000": (b"946684799\n", None),
    "the first of 2000": (b"946684800\n", float(MIN_EXPIRY)),
    "milliseconds: far in the future, and bounded later": (b"1700000000000\n", float(FOREVER)),
    "past any date": (b"9" * 30 + b"\n", float(FOREVER)),
    "exponent": (b"1.7e9\n", None),
    "hexadecimal": (b"0x6553F100\n", None),
    "underscores": (b"1_700_000_000\n", None),
    "digits of another script": ("\u0661\u0667\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660\n".encode(), None),
    "RFC 3339": (b"2023-11-14T22:13:20Z\n", None),
    "empty": (b"", None),
    "only white space": (b" \r\n", None),
    "binary": (bytes(range(256)), None),
    "NUL bytes": (b"1700000000\0", None),
    "UTF-16": ("1700000000\n".encode("utf-16"), None),
    "a number too long": (b"1" * 31, None),
    "1 MB of digits": (b"1" * 2**20, None),
    "1 MB of lines": (b"1700000000\n" * 100_000, None),
}


@pytest.mark.parametrize(("content", "at"), FILES.values(), ids=FILES.keys())
def test_each_content_is_parsed_as_documented(content: bytes, at: float | None) -> None:
    assert parse_expiry_file(content) == at


@given(st.integers(MIN_EXPIRY, FOREVER))
def test_a_written_expiry_is_parsed_back(at: int) -> None:
    assert parse_expiry_file(format_expiry(at)) == at


@given(st.binary(max_size=2000) | st.text("0123456789.-+eEnafinity \r\n\t_x").map(str.encode))
def test_any_bytes_are_parsed_as_none_or_a_bounded_time(content: bytes) -> None:
    at = parse_expiry_file(content)
    assert at is None or MIN_EXPIRY <= at <= FOREVER
