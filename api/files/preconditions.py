"""Evaluates the preconditions and the Range header of a download (RFC 9110, 13 and 14). Pure; headers are hostile.

Only a single range is served. Any other Range header returns the whole file, as the RFC allows: many small ranges of
one large file would cost more than the file.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from werkzeug.http import parse_date, parse_etags

from api.store.store import FileStat

_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
_MAX_NUMBER = 10**18  # larger than any file


class ByteRange(NamedTuple):
    """A part of a file: its offset and its length in bytes."""

    start: int
    length: int


class RangeNotSatisfiable(Exception):
    """The range starts after the file's end."""


class ResponsePlan(NamedTuple):
    """The response's status, and the bytes to send with a 200 or 206."""

    status: int
    byte_range: ByteRange = ByteRange(0, 0)


def evaluate(headers: Mapping[str, str], stat: FileStat) -> ResponsePlan:
    """Return how to respond to a GET with these headers: 200, 206, 304, 412 or 416."""
    if status := _failed_condition(headers, stat):
        return ResponsePlan(status)
    # Users can set a file's time, so If-Range with a date does not prove that the file is the same.
    is_same = headers.get("If-Range", _quoted(stat)).strip() == _quoted(stat)
    try:
        byte_range = parse_range(headers.get("Range") if is_same else None, stat.size)
    except RangeNotSatisfiable:
        return ResponsePlan(416)
    return ResponsePlan(206, byte_range) if byte_range else ResponsePlan(200, ByteRange(0, stat.size))


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the requested part of a file of `size` bytes, or None for the whole file. Raises RangeNotSatisfiable."""
    unit, _, ranges = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return None
    specs = [spec.strip(" \t") for spec in ranges.split(",") if spec.strip(" \t")]
    match = _RANGE.fullmatch(specs[0]) if len(specs) == 1 else None
    if match is None or match[0] == "-":
        return None
    first, last = match.groups()
    return _from_start(_number(first), last, size) if first else _from_end(_number(last), size)


def content_range(byte_range: ByteRange, size: int) -> str:
    """Return the Content-Range header."""
    return f"bytes {byte_range.start}-{byte_range.start + byte_range.length - 1}/{size}"


def _failed_condition(headers: Mapping[str, str], stat: FileStat) -> int | None:
    """Return 304 or 412 if a precondition is false, in the order of RFC 9110, 13.2.2."""
    if "If-Match" in headers:
        if not parse_etags(headers["If-Match"]).contains(stat.etag):
            return 412
    elif _is_newer(stat, headers.get("If-Unmodified-Since")) is True:
        return 412
    if "If-None-Match" in headers:
        return 304 if parse_etags(headers["If-None-Match"]).contains_weak(stat.etag) else None
    return 304 if _is_newer(stat, headers.get("If-Modified-Since")) is False else None


def _is_newer(stat: FileStat, date: str | None) -> bool | None:
    """Return whether the file changed after `date`, or None if `date` is invalid."""
    parsed = parse_date(date)
    return int(stat.modified_at) > parsed.timestamp() if parsed else None


def _quoted(stat: FileStat) -> str:
    return f'"{stat.etag}"'


def _from_start(first: int, last: str, size: int) -> ByteRange | None:
    if last and _number(last) < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable
    end = min(_number(last) + 1, size) if last else size
    return ByteRange(first, end - first)


def _from_end(count: int, size: int) -> ByteRange | None:
    if count == 0:
        raise RangeNotSatisfiable
    length = min(count, size)
    return ByteRange(size - length, length) if length else None  # an empty file has no ranges


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 19 else _MAX_NUMBER
