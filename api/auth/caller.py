"""The authenticated sender of a request, its permissions, and the interface of authenticators.

Permissions depend on the caller's groups, which are compared by group path, as in PrimeHub.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from artifacts.errors import InvalidName
from artifacts.names import group_path


@dataclass(frozen=True)
class Caller:
    """A user or a service.

    `groups`: names of the caller's groups. `is_admin`: may see and change everything. `is_service`: may see all
    groups and change nothing. The last three are for display, "" if unknown.
    """

    id: str
    username: str
    groups: Sequence[str] = ()
    is_admin: bool = False
    is_service: bool = False
    first_name: str = ""
    last_name: str = ""
    email: str = ""

    def can_see(self, group: str) -> bool:
        """Whether the caller may see data of `group` (a name or a path)."""
        return self.is_admin or self.is_service or self._is_member(group)

    def can_change(self, group: str) -> bool:
        """Whether the caller may create, cancel, extend, pin or delete in `group`."""
        return not self.is_service and (self.is_admin or self._is_member(group))

    def _is_member(self, group: str) -> bool:
        path = _path(group)
        return path is not None and path in self._paths

    @cached_property
    def _paths(self) -> frozenset[str | None]:
        return frozenset(map(_path, self.groups))


class Authenticator(Protocol):
    """Turns a token into a caller. Its decision is final: no other authenticator is tried with a refused token."""

    def authenticate(self, token: str) -> Caller:
        """Return the token's owner.

        Raises:
            NotAuthenticated: the token is invalid.
            ServiceUnavailable: the token cannot be checked now.
        """


def _path(group: str) -> str | None:
    try:
        return group_path(group)
    except InvalidName:
        return None
