"""Whoever sends a request, once authenticated, and the interface of what authenticates.

Rights are told by groups: compared by group path, as PrimeHub does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from artifacts.errors import InvalidName
from artifacts.names import group_path


@dataclass(frozen=True)
class Caller:
    """A user or service. `groups`: the names of the user's groups; `is_admin`: all groups, and what only an
    administrator may; `is_service`: sees all groups and changes nothing."""

    id: str
    username: str
    groups: Sequence[str] = ()
    is_admin: bool = False
    is_service: bool = False

    def can_see(self, group: str) -> bool:
        """Whether what belongs to `group` (a name or a path) may be shown to the caller."""
        return self.is_admin or self.is_service or self._is_member(group)

    def can_change(self, group: str) -> bool:
        """Whether the caller may create, cancel, extend, pin or delete in `group`."""
        return not self.is_service and (self.is_admin or self._is_member(group))

    def _is_member(self, group: str) -> bool:
        path = _path(group)
        return path is not None and any(_path(own) == path for own in self.groups)


class Authenticator(Protocol):
    """Turns a token into a caller. One authenticator decides: what it refuses no other is asked about."""

    def authenticate(self, token: str) -> Caller:
        """The token's owner; raises NotAuthenticated, and Unavailable where that cannot be found out now."""


def _path(group: str) -> str | None:
    try:
        return group_path(group)
    except InvalidName:
        return None
