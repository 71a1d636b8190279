"""The API's errors, each with its HTTP status and code.

    ApiError
    ├── BadInput                400 BAD_USER_INPUT    invalid request; the message says what to change
    ├── NotAuthenticated        401 UNAUTHENTICATED   no token, or an invalid one
    ├── NotAuthorized           403 NOT_AUTH          the caller has no permission for the group or action
    ├── NotFoundError           404 NOT_FOUND         absent, or in another group: the response is the same
    ├── ConflictError           409 CONFLICT          not possible now: another run, a job that has not ended
    │   └── CleanupRefused      409 REFUSED_BY_GUARD  a cleanup of suspiciously many jobs, or a wrong clock
    ├── Expired                 410 EXPIRED           the artifacts have expired, whether removed or not
    ├── TooLarge                413 TOO_LARGE         more than the API accepts or returns at once
    └── ServiceUnavailable      503 UNAVAILABLE       the store or the jobs cannot be read now; retry

GraphQL has `code` in `extensions.code`, REST in the body that `error_body` returns. Neither contains a stack trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from api.store.store import StoreBlocked
from artifacts.errors import ArtifactError, StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)


class ApiError(ArtifactError):
    """An error for the caller. The text says what is wrong and what to do, and contains no secret."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"


class BadInput(ApiError):
    """The request is invalid."""

    status = 400
    code = "BAD_USER_INPUT"


class NotAuthenticated(ApiError):
    """The request has no token, or an invalid one."""

    status = 401
    code = "UNAUTHENTICATED"


class NotAuthorized(ApiError):
    """The caller has no permission to do this. `NOT_AUTH` is PrimeHub's code."""

    status = 403
    code = "NOT_AUTH"


class NotFoundError(ApiError):
    """The job or file does not exist, or belongs to a group that the caller may not see."""

    status = 404
    code = "NOT_FOUND"


class ConflictError(ApiError):
    """The request conflicts with the current state."""

    status = 409
    code = "CONFLICT"


class CleanupRefused(ConflictError):
    """The guard stopped a cleanup before it removed anything: suspiciously many jobs are due, or a clock is wrong."""

    code = "REFUSED_BY_GUARD"


class Expired(ApiError):
    """The artifacts have expired or were removed."""

    status = 410
    code = "EXPIRED"


class TooLarge(ApiError):
    """The request or its response exceeds a limit."""

    status = 413
    code = "TOO_LARGE"


class ServiceUnavailable(ApiError):
    """The store, the jobs or the issuer cannot be reached now."""

    status = 503
    code = "UNAVAILABLE"


# All error codes, including those of GraphQL itself.
CODES = (
    *("BAD_USER_INPUT", "UNAUTHENTICATED", "NOT_AUTH", "NOT_FOUND", "CONFLICT", "REFUSED_BY_GUARD", "EXPIRED"),
    *("TOO_LARGE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"),
)


STORE_UNAVAILABLE = "the store does not answer; retry later"
STORE_BLOCKED = (
    "the permissions of some files do not allow the API to read or remove them: only their owner or an administrator "
    "can change that"
)


@contextmanager
def store_errors_as_unavailable() -> Iterator[None]:
    """Log a StoreError of the block, and raise ServiceUnavailable or ConflictError instead."""
    try:
        yield
    except StoreError as error:
        raise from_store_error(error) from error


def from_store_error(error: StoreError) -> ApiError:
    """Log a StoreError, and return the error for the caller: files that their owner closed are no failure."""
    if isinstance(error, StoreBlocked):
        logger.info("store access blocked", error=error)
        return ConflictError(STORE_BLOCKED)
    logger.warning("store failed", error=error)
    return ServiceUnavailable(STORE_UNAVAILABLE)


def job_not_found(job: str) -> NotFoundError:
    """Return the error for a job that is absent or not visible, with the text that PrimeHub's clients search for."""
    return NotFoundError(f'phjobs.primehub.io "{job[:253]}" not found')


def error_body(status: int, code: str, message: str) -> dict[str, Any]:
    """Return the JSON body of a REST error."""
    return {"error": {"status": status, "code": code, "message": message}}
