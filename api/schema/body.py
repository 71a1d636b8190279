"""What a request asks, read from its body: JSON, or the form that PrimeHub's SDK posts (`variables`: JSON in it)."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from api.errors import BadInput

MOST_BYTES = 64 * 1024
MOST_DEPTH = 16
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Asked:
    """An operation, not looked at yet."""

    query: str
    variables: dict[str, Any]
    operation: str | None


def read_body(content: bytes, media_type: str) -> Asked:
    """What is asked. Raises BadInput."""
    if media_type == JSON:
        fields = _json(content, "the body")
    elif media_type == FORM:
        fields = _form(content)
    else:
        raise BadInput(f"send the request as {JSON}, or as {FORM} with variables as JSON")
    if isinstance(fields, list):
        raise BadInput("send one operation in a request: lists of them are not taken")
    if not isinstance(fields, dict):
        raise BadInput('send an object with query, such as {"query": "{ me { id } }"}')
    query, variables, operation = fields.get("query"), fields.get("variables"), fields.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise BadInput("query is missing: send the operation's text")
    if not isinstance(variables, dict | None):
        raise BadInput("variables must be an object")
    if not isinstance(operation, str | None):
        raise BadInput("operationName must be a text")
    return Asked(query, variables or {}, operation or None)


def _form(content: bytes) -> dict[str, Any]:
    try:
        fields = parse_qs(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16)
    except ValueError as error:
        raise BadInput("the form cannot be read: it must be UTF-8, with few fields") from error
    form: dict[str, Any] = {name: values[-1] for name, values in fields.items()}
    if "variables" in form:
        form["variables"] = _json(form["variables"].encode(), "variables") if form["variables"] else None
    return form


def _json(content: bytes, what: str) -> Any:
    try:
        value = orjson.loads(content)
    except ValueError as error:
        raise BadInput(f"{what} cannot be read as JSON") from error
    level = [value]
    for _ in range(MOST_DEPTH):
        parts = (part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list))
        level = [value for part in parts for value in part]
    if level:
        raise BadInput(f"{what} has more than {MOST_DEPTH} levels")
    return value
