"""Reading documents whose form nobody guarantees: a PhJob's status and annotations can be written by users.

Whatever is not what it should be counts as missing, so that one odd object stops nothing.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_EMPTY: Mapping[str, Any] = {}


def part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else _EMPTY


def parts(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = document.get(name)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def named(documents: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next((each for each in documents if each.get("name") == name), _EMPTY)


def text(document: Mapping[str, Any], name: str, most: int = 1024) -> str:
    value = document.get(name)
    return value[:most] if isinstance(value, str) else ""


def whole(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    return value if type(value) is int and 0 <= value < 2**63 else None


def number(value: str) -> int | None:
    """The number that an annotation holds."""
    return int(value) if re.fullmatch(r"[0-9]{1,12}", value) else None


def moment(document: Mapping[str, Any], name: str) -> float | None:
    """UNIX seconds of an RFC 3339 text."""
    value = text(document, name, 64)
    try:
        return datetime.fromisoformat(value).timestamp() if re.match(r"\d{4}-\d\d-\d\dT", value) else None
    except (ValueError, OverflowError):
        return None


def printable(value: str) -> str:
    """`value` on one line, without what a terminal would take for an order: users may have written it."""
    return "".join(char if char.isprintable() else " " for char in value).strip()


def rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
