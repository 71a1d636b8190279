"""The errors of requests to Kubernetes, as a tree.

    KubeError
    ├── NotConfigured      no cluster is configured, or its configuration or credentials cannot be used
    ├── ResponseTooLarge   the response is larger than the caller accepts
    ├── Unreachable        no response, or one that was cut short or cannot be parsed; retryable
    └── StatusError        the API server responded with an error: status, reason, message
        ├── Invalid        400, 422  the request or the object is not valid
        ├── Unauthorized   401       the token is not accepted
        ├── Forbidden      403       a permission is missing, or an admission webhook denied the request
        ├── NotFound       404       the object does not exist; for lists: the resource does not, its CRD is missing
        ├── AlreadyExists  409       an object of this name exists
        ├── Conflict       409       the object has changed, or a precondition failed
        ├── Gone           410       the requested resource version is too old: list again
        ├── Busy           429       too many requests; retryable
        └── ServerFault    5xx       retryable

Retryable: the same request can succeed later. No message contains a token.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

_MAX_TEXT_CHARS = 1000


class KubeError(Exception):
    """The base of all errors of this package."""

    retryable: ClassVar[bool] = False


class NotConfigured(KubeError):
    """No cluster is configured, or its configuration or credentials cannot be used."""


class ResponseTooLarge(KubeError):
    """The response is larger than the caller accepts."""


class Unreachable(KubeError):
    """There was no response, or it was cut short or cannot be parsed. `is_timeout`: the server was too slow."""

    retryable = True

    def __init__(self, message: str, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.is_timeout = is_timeout


class StatusError(KubeError):
    """An error response of the API server: HTTP `status`, machine-readable `reason`, `message` for people."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status, self.reason, self.message, self.retry_after = status, reason, message, retry_after


class Invalid(StatusError):
    """The request or the object is not valid."""


class Unauthorized(StatusError):
    """The token is not accepted."""


class Forbidden(StatusError):
    """A permission is missing, or an admission webhook denied the request."""


class NotFound(StatusError):
    """The object does not exist; for lists: the resource does not exist, its CRD is missing."""


class AlreadyExists(StatusError):
    """An object of this name exists."""


class Conflict(StatusError):
    """The object has changed, or a precondition failed."""


class Gone(StatusError):
    """The requested resource version is too old."""


class Busy(StatusError):
    """The API server receives too many requests."""

    retryable = True


class ServerFault(StatusError):
    """The API server failed."""

    retryable = True


_CLASS_BY_STATUS: Mapping[int, type[StatusError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Busy,
}


def status_error(status: int, document: Mapping[str, Any], retry_after: float = 0.0) -> StatusError:
    """Return the error for a `Status` document, which is the body of an error response or an event of a watch."""
    reason, message = _text(document.get("reason")), _text(document.get("message"))
    error_class = ServerFault if status >= 500 else _CLASS_BY_STATUS.get(status, StatusError)
    if reason == "AlreadyExists":
        error_class = AlreadyExists
    return error_class(status, reason, message, retry_after)


def _text(value: Any) -> str:
    return value[:_MAX_TEXT_CHARS] if isinstance(value, str) else ""
