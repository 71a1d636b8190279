"""Formats errors for GraphQL: a message for people, `extensions.code` for programs, never a stack trace."""

import secrets
from typing import Any

from graphql import GraphQLError, GraphQLSyntaxError

from api.errors import ApiError, from_store_error
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)

PARSE_FAILED, VALIDATION_FAILED = "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
_MAX_MESSAGE_LENGTH = 1000


def error_response(code: str, message: str) -> dict[str, Any]:
    """Format the response body of a request that was refused before GraphQL parsed it."""
    return {"errors": [_format_error(message, code)]}


def request_error(error: ApiError) -> dict[str, Any]:
    """Format an error of the whole request."""
    return _format_error(str(error), error.code)


def document_error(error: GraphQLError) -> dict[str, Any]:
    """Format an error of a document that cannot be executed."""
    code = PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else VALIDATION_FAILED
    return _location(error) | _format_error(error.message, code)


def field_error(error: GraphQLError) -> dict[str, Any]:
    """Format an error that occurred in one field during execution."""
    cause = error.original_error
    if isinstance(cause, ApiError):
        formatted = request_error(cause)
    elif isinstance(cause, StoreError):
        formatted = request_error(from_store_error(cause))
    elif cause is None:
        formatted = _format_error(error.message, BAD_USER_INPUT)
    else:
        formatted = internal_error(cause)
    return _location(error) | formatted


def internal_error(error: Exception) -> dict[str, Any]:
    """Log an unexpected error with its traceback, and format it without details, with the id of the log line."""
    error_id = secrets.token_hex(8)
    logger.error("graphql request failed", error_id=error_id, exc_info=error)
    return _format_error(f"internal error: the service's log has the details under the id {error_id}", ApiError.code)


def _location(error: GraphQLError) -> dict[str, Any]:
    location: dict[str, Any] = {}
    if error.locations:
        location["locations"] = [place.formatted for place in error.locations]
    if error.path is not None:
        location["path"] = error.path
    return location


def _format_error(message: str, code: str) -> dict[str, Any]:
    return {"message": message[:_MAX_MESSAGE_LENGTH], "extensions": {"code": code}}
