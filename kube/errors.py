"""Every error of talking to Kubernetes, drawn as a tree.

    KubeError
    ├── NotConfigured    no cluster is named, or what names it cannot be used
    ├── Unreachable      no answer, or one that was cut short or cannot be read; retryable
    └── StatusError          the API server's answer is an error: status, reason, message
        ├── Invalid        400, 422  the request or the object may not be so
        ├── Unauthorized   401       the token is not accepted
        ├── Forbidden      403       a right is missing, or an admission webhook says no
        ├── NotFound       404       no such object; to a list: no such resource, its CRD is missing
        ├── AlreadyExists  409       the name is taken
        ├── Conflict       409       the object has changed, or a precondition does not hold
        ├── Gone           410       the version asked for is too old: list anew
        ├── Busy           429       too many requests; retryable
        └── ServerFault    5xx       retryable

Retryable: the same request may well succeed later. No text holds a token.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

_MOST_TEXT = 1000


class KubeError(Exception):
    """The root: whatever went wrong with Kubernetes."""

    retryable: ClassVar[bool] = False


class NotConfigured(KubeError):
    """No cluster is named, or what names it cannot be used."""


class Unreachable(KubeError):
    """No answer, or none that can be read."""

    retryable = True


class StatusError(KubeError):
    """An error of the API server: HTTP `status`, machine-readable `reason`, `message` for people."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")
        self.status, self.reason, self.message, self.retry_after = status, reason, message, retry_after


class Invalid(StatusError):
    """The request or the object may not be so."""


class Unauthorized(StatusError):
    """The token is not accepted."""


class Forbidden(StatusError):
    """A right is missing, or an admission webhook says no."""


class NotFound(StatusError):
    """No such object; asked for a list: no such resource, its CRD is missing."""


class AlreadyExists(StatusError):
    """The name is taken."""


class Conflict(StatusError):
    """The object has changed meanwhile, or a precondition does not hold."""


class Gone(StatusError):
    """The version asked for is too old."""


class Busy(StatusError):
    """Too many requests."""

    retryable = True


class ServerFault(StatusError):
    """The server failed."""

    retryable = True


_BY_STATUS: Mapping[int, type[StatusError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Busy,
}


def status_error(status: int, answer: Mapping[str, Any], retry_after: float = 0.0) -> StatusError:
    """The error in a `Status` document, which the API server sends with `status` or within a watch."""
    reason, message = (_text(answer.get(name)) for name in ("reason", "message"))
    kind = ServerFault if status >= 500 else _BY_STATUS.get(status, StatusError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(status, reason, message, retry_after)


def _text(value: Any) -> str:
    return value[:_MOST_TEXT] if isinstance(value, str) else ""
