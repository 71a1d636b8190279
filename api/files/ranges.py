"""The Range header (RFC 9110, 14): which bytes of a file are asked for. Pure; the header is hostile.

One range is answered. What is no range of bytes, or several of them, is answered with the whole file, as the RFC
allows: many small ranges of one big file would cost more than the file.
"""

import re
from typing import NamedTuple

_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
_BEYOND = 10**18  # longer than any file


class Span(NamedTuple):
    """Bytes of a file: where they start, and how many they are."""

    start: int
    length: int


class Unsatisfiable(Exception):
    """The range lies wholly behind the file's end."""


def parse_range(header: str | None, size: int) -> Span | None:
    """The span of a file of `size` bytes that the header asks for; None: the whole file. Raises Unsatisfiable."""
    unit, _, ranges = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return None
    specs = [spec.strip(" \t") for spec in ranges.split(",") if spec.strip(" \t")]
    found = _RANGE.fullmatch(specs[0]) if len(specs) == 1 else None
    if found is None or found[0] == "-":
        return None
    first, last = found.groups()
    return _from_start(_number(first), last, size) if first else _from_end(_number(last), size)


def content_range(span: Span, size: int) -> str:
    """The header that tells which bytes are sent."""
    return f"bytes {span.start}-{span.start + span.length - 1}/{size}"


def _from_start(first: int, last: str, size: int) -> Span | None:
    if last and _number(last) < first:
        return None
    if first >= size:
        raise Unsatisfiable
    end = min(_number(last) + 1, size) if last else size
    return Span(first, end - first)


def _from_end(count: int, size: int) -> Span | None:
    if count == 0:
        raise Unsatisfiable
    length = min(count, size)
    return Span(size - length, length) if length else None  # of nothing there is no range, only the whole


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 19 else _BEYOND
