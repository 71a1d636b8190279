"""What a request's conditions and ranges ask for of a file as it stands, in the order of RFC 9110, 13.2.2. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from werkzeug.http import parse_date, parse_etags

from api.files.ranges import Span, Unsatisfiable, parse_range
from api.store.store import Stat


class Verdict(NamedTuple):
    """The answer's status, and the bytes to send with a 200 or 206."""

    status: int
    span: Span = Span(0, 0)


def judge(headers: Mapping[str, str], stat: Stat) -> Verdict:
    """What a GET with these headers is answered: 200, 206, 304, 412 or 416."""
    if status := _condition(headers, stat):
        return Verdict(status)
    # A date is no proof that a file is the same one (its owner sets it), so only the entity tag makes ranges go on.
    asked = headers.get("Range") if headers.get("If-Range", _quoted(stat)).strip() == _quoted(stat) else None
    try:
        span = parse_range(asked, stat.size)
    except Unsatisfiable:
        return Verdict(416)
    return Verdict(206, span) if span else Verdict(200, Span(0, stat.size))


def _condition(headers: Mapping[str, str], stat: Stat) -> int | None:
    """304 or 412 where a condition is not met."""
    if "If-Match" in headers:
        if not parse_etags(headers["If-Match"]).contains(stat.etag):
            return 412
    elif _is_later(stat, headers.get("If-Unmodified-Since")) is True:
        return 412
    if "If-None-Match" in headers:
        return 304 if parse_etags(headers["If-None-Match"]).contains_weak(stat.etag) else None
    return 304 if _is_later(stat, headers.get("If-Modified-Since")) is False else None


def _is_later(stat: Stat, date: str | None) -> bool | None:
    """Whether the file changed after `date`; None where that is no date."""
    moment = parse_date(date)
    return int(stat.modified) > moment.timestamp() if moment else None


def _quoted(stat: Stat) -> str:
    return f'"{stat.etag}"'
