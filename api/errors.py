"""What the API refuses, as errors that know their HTTP status and their code. One body tells them all.

    ApiError
    ├── BadInput            400 BAD_USER_INPUT    the request cannot be understood; says what to do
    ├── NotAuthenticated    401 UNAUTHENTICATED   no token, or one that is not accepted
    ├── NotAuthorized       403 NOT_AUTH          a group that is foreign, or a right that the caller lacks
    ├── NotFoundError            404 NOT_FOUND         absent, or of a foreign group: the two look alike
    ├── ConflictError            409 CONFLICT          not now: another run, a job that has not ended
    │   └── CleanupRefused         409 REFUSED_BY_GUARD  a cleanup that would remove suspiciously much, or a wrong clock
    ├── Expired             410 EXPIRED           artifacts whose time is over, removed or not
    ├── TooLarge            413 TOO_LARGE         more than the API takes or gives at once
    └── ServiceUnavailable         503 UNAVAILABLE       the store or the jobs cannot be reached; try again

GraphQL carries `code` in `extensions.code`, REST the body of `error_body`. Neither shows a stack trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from artifacts.errors import ArtifactError, StoreError
from artifacts.log import get_logger

logger = get_logger(__name__)


class ApiError(ArtifactError):
    """A refusal. Its text is for the caller: it says what is wrong and what to do, and holds no secret."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"


class BadInput(ApiError):
    """The request cannot be understood."""

    status = 400
    code = "BAD_USER_INPUT"


class NotAuthenticated(ApiError):
    """No token, or one that is not accepted."""

    status = 401
    code = "UNAUTHENTICATED"


class NotAuthorized(ApiError):
    """The caller may not do this. `NOT_AUTH` is PrimeHub's code."""

    status = 403
    code = "NOT_AUTH"


class NotFoundError(ApiError):
    """Absent, or of a foreign group."""

    status = 404
    code = "NOT_FOUND"


class ConflictError(ApiError):
    """Not now."""

    status = 409
    code = "CONFLICT"


class CleanupRefused(ConflictError):
    """A cleanup stopped before it removed anything: it would remove suspiciously much, or a clock is wrong."""

    code = "REFUSED_BY_GUARD"


class Expired(ApiError):
    """The artifacts' time is over."""

    status = 410
    code = "EXPIRED"


class TooLarge(ApiError):
    """More than the API takes or gives at once."""

    status = 413
    code = "TOO_LARGE"


class ServiceUnavailable(ApiError):
    """The store or the jobs cannot be reached at the moment."""

    status = 503
    code = "UNAVAILABLE"


# What errors are told with, GraphQL's own included.
CODES = (
    *("BAD_USER_INPUT", "UNAUTHENTICATED", "NOT_AUTH", "NOT_FOUND", "CONFLICT", "REFUSED_BY_GUARD", "EXPIRED"),
    *("TOO_LARGE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"),
)


@contextmanager
def store_errors_as_unavailable() -> Iterator[None]:
    """Tell a store that fails within as ServiceUnavailable; what failed is for the log."""
    try:
        yield
    except StoreError as error:
        logger.warning("store failed", error=error)
        raise ServiceUnavailable("the store does not answer as it should; try again in a while") from error


def job_not_found(job: str) -> NotFoundError:
    """The error for a job that is absent or foreign, in the words that PrimeHub's clients look for."""
    return NotFoundError(f'phjobs.primehub.io "{job[:253]}" not found')


def error_body(status: int, code: str, message: str) -> dict[str, Any]:
    """The one JSON body of every REST error."""
    return {"error": {"status": status, "code": code, "message": message}}
