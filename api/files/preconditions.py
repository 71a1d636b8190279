"""What a request's conditions and ranges ask for of a file as it stands, in the order of RFC 9110, 13.2.2. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from werkzeug.http import parse_date, parse_etags

from api.store.store import FileStat

_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
_BEYOND = 10**18  # longer than any file


class ByteRange(NamedTuple):
    """Bytes of a file: where they start, and how many they are."""

    start: int
    length: int


class RangeNotSatisfiable(Exception):
    """The range lies wholly behind the file's end."""


class ResponsePlan(NamedTuple):
    """The answer's status, and the bytes to send with a 200 or 206."""

    status: int
    span: ByteRange = ByteRange(0, 0)


def evaluate(headers: Mapping[str, str], stat: FileStat) -> ResponsePlan:
    """What a GET with these headers is answered: 200, 206, 304, 412 or 416."""
    if status := _condition(headers, stat):
        return ResponsePlan(status)
    # A date is no proof that a file is the same one (its owner sets it), so only the entity tag makes ranges go on.
    asked = headers.get("Range") if headers.get("If-Range", _quoted(stat)).strip() == _quoted(stat) else None
    try:
        span = parse_range(asked, stat.size)
    except RangeNotSatisfiable:
        return ResponsePlan(416)
    return ResponsePlan(206, span) if span else ResponsePlan(200, ByteRange(0, stat.size))


def _condition(headers: Mapping[str, str], stat: FileStat) -> int | None:
    """304 or 412 where a condition is not met."""
    if "If-Match" in headers:
        if not parse_etags(headers["If-Match"]).contains(stat.etag):
            return 412
    elif _is_later(stat, headers.get("If-Unmodified-Since")) is True:
        return 412
    if "If-None-Match" in headers:
        return 304 if parse_etags(headers["If-None-Match"]).contains_weak(stat.etag) else None
    return 304 if _is_later(stat, headers.get("If-Modified-Since")) is False else None


def _is_later(stat: FileStat, date: str | None) -> bool | None:
    """Whether the file changed after `date`; None where that is no date."""
    moment = parse_date(date)
    return int(stat.modified_at) > moment.timestamp() if moment else None


def _quoted(stat: FileStat) -> str:
    return f'"{stat.etag}"'


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The span of a file of `size` bytes that the header asks for; None: the whole file. Raises RangeNotSatisfiable."""
    unit, _, ranges = (header or "").partition("=")
    if unit.strip().lower() != "bytes":
        return None
    specs = [spec.strip(" \t") for spec in ranges.split(",") if spec.strip(" \t")]
    found = _RANGE.fullmatch(specs[0]) if len(specs) == 1 else None
    if found is None or found[0] == "-":
        return None
    first, last = found.groups()
    return _from_start(_number(first), last, size) if first else _from_end(_number(last), size)


def content_range(span: ByteRange, size: int) -> str:
    """The header that tells which bytes are sent."""
    return f"bytes {span.start}-{span.start + span.length - 1}/{size}"


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
    return ByteRange(size - length, length) if length else None  # of nothing there is no range, only the whole


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 19 else _BEYOND
