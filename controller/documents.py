"""Reads documents of unknown form: users can write a PhJob's status and annotations.

A field with an unexpected type counts as missing, so one malformed object does not affect others.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_EMPTY: Mapping[str, Any] = {}


def mapping_field(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object in the field, or an empty one."""
    value = document.get(name)
    return value if isinstance(value, Mapping) else _EMPTY


def mapping_list(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Return the objects in the field's list; other elements are left out."""
    value = document.get(name)
    return [element for element in value if isinstance(element, Mapping)] if isinstance(value, list) else []


def find_named(documents: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """Return the first of `documents` with this name, or an empty one."""
    return next((document for document in documents if document.get("name") == name), _EMPTY)


def text_field(document: Mapping[str, Any], name: str, limit: int = 1024) -> str:
    """Return the field's text, at most `limit` characters, or ""."""
    value = document.get(name)
    return value[:limit] if isinstance(value, str) else ""


def integer_field(document: Mapping[str, Any], name: str) -> int | None:
    """Return the field's integer if it is neither negative nor greater than 64 bits allow, else None."""
    value = document.get(name)
    return value if type(value) is int and 0 <= value < 2**63 else None


def time_field(document: Mapping[str, Any], name: str) -> float | None:
    """Return the field's RFC 3339 time as UNIX seconds, or None."""
    value = text_field(document, name, 64)
    try:
        return datetime.fromisoformat(value).timestamp() if re.match(r"\d{4}-\d\d-\d\dT", value) else None
    except (ValueError, OverflowError):
        return None


def parse_integer(text: str) -> int | None:
    """Return the integer in an annotation's text, or None."""
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def printable(text: str) -> str:
    """Return the text on one line, without control characters, as users may have written it."""
    return "".join(char if char.isprintable() else " " for char in text).strip()


def format_time(seconds: float) -> str:
    """Format UNIX seconds as RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
