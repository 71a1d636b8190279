"""Errors as GraphQL tells them: `extensions.code` for programs, a message for people, never a trace."""

import secrets
from typing import Any

from graphql import GraphQLError, GraphQLSyntaxError

from api.errors import ApiError, ServiceUnavailable
from artifacts.errors import StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)

PARSE_FAILED, VALIDATION_FAILED = "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
_MOST_TEXT = 1000


def graphql_body(code: str, message: str) -> dict[str, Any]:
    """The answer to a request that was refused before it came to GraphQL."""
    return {"errors": [_told(message, code)]}


def refusal(error: ApiError) -> dict[str, Any]:
    """An error of the whole request."""
    return _told(str(error), error.code)


def invalid(error: GraphQLError) -> dict[str, Any]:
    """An error of a document that cannot be executed."""
    code = PARSE_FAILED if isinstance(error, GraphQLSyntaxError) else VALIDATION_FAILED
    return _place(error) | _told(error.message, code)


def failure(error: GraphQLError) -> dict[str, Any]:
    """An error that an execution met in one field."""
    cause = error.original_error
    if isinstance(cause, ApiError):
        told = refusal(cause)
    elif isinstance(cause, StoreError):
        logger.warning("store failed", error=cause)
        told = refusal(ServiceUnavailable("the store does not answer as it should; try again in a while"))
    elif cause is None:
        told = _told(error.message, BAD_USER_INPUT)
    else:
        told = unexpected(cause)
    return _place(error) | told


def unexpected(error: Exception) -> dict[str, Any]:
    """What nobody thought of: told by a number that leads to its trace in the log, and by nothing else."""
    number = secrets.token_hex(8)
    logger.error("graphql failed", number=number, exc_info=error)
    return _told(f"something went wrong here; in the log it is {number}", ApiError.code)


def _place(error: GraphQLError) -> dict[str, Any]:
    place: dict[str, Any] = {}
    if error.locations:
        place["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        place["path"] = error.path
    return place


def _told(message: str, code: str) -> dict[str, Any]:
    return {"message": message[:_MOST_TEXT], "extensions": {"code": code}}
