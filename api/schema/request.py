"""Parses the body of a GraphQL request: JSON, or the form that PrimeHub's SDK posts, with `variables` as JSON in it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

from api.errors import BadInput

MAX_BODY_BYTES = 64 * 1024
MAX_JSON_DEPTH = 16
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class GraphQLRequest:
    """The parameters of a GraphQL request. The query is not parsed yet."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None


def parse_request(content: bytes, media_type: str) -> GraphQLRequest:
    """Parse the body. Raises BadInput."""
    fields = _parse_fields(content, media_type)
    query, variables, operation_name = fields.get("query"), fields.get("variables"), fields.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise BadInput("`query` is missing: send the text of the operation")
    if not isinstance(variables, dict | None):
        raise BadInput("`variables` must be an object")
    if not isinstance(operation_name, str | None):
        raise BadInput("`operationName` must be a string")
    return GraphQLRequest(query, variables or {}, operation_name or None)


def _parse_fields(content: bytes, media_type: str) -> dict[str, Any]:
    if media_type == JSON:
        fields = _parse_json(content, "the body")
    elif media_type == FORM:
        fields = _parse_form(content)
    else:
        raise BadInput(f"the media type must be {JSON}, or {FORM} with `variables` as JSON, got {media_type[:80]!r}")
    if isinstance(fields, list):
        raise BadInput("send one operation per request: batches are not supported")
    if not isinstance(fields, dict):
        raise BadInput('the body must be an object with `query`, such as {"query": "{ me { id } }"}')
    return fields


def _parse_form(content: bytes) -> dict[str, Any]:
    try:
        fields = parse_qs(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16)
    except ValueError as error:
        raise BadInput("the form cannot be parsed: it must be URL-encoded UTF-8 with at most 16 fields") from error
    form: dict[str, Any] = {name: values[-1] for name, values in fields.items()}
    if "variables" in form:
        form["variables"] = _parse_json(form["variables"].encode(), "`variables`") if form["variables"] else None
    return form


def _parse_json(content: bytes, subject: str) -> Any:
    """Parse JSON of at most MAX_JSON_DEPTH levels. `subject` names the content in errors."""
    try:
        document = orjson.loads(content)
    except ValueError as error:
        raise BadInput(f"{subject} must be valid JSON") from error
    level = [document]
    for _ in range(MAX_JSON_DEPTH):
        containers = (
            node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list)
        )
        level = [child for container in containers for child in container]
    if level:
        raise BadInput(f"{subject} has more than {MAX_JSON_DEPTH} levels")
    return document
