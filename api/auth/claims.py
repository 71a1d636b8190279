"""The user in a token's claims. Pure; the claims are those of a token whose signature was checked.

Values of the wrong type count as missing, and what is no group's name is no group.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.auth.caller import Caller
from artifacts.errors import InvalidName
from artifacts.names import group_path


@dataclass(frozen=True)
class Claims:
    """Which claims tell a user's groups, and that one is the administrator. `admin_role`: "" for none."""

    groups: str
    admin: str
    admin_role: str

    def caller(self, claims: Mapping[str, Any]) -> Caller | None:
        """The user; None where the claims name none."""
        user = _text(claims.get("sub"))
        if not user:
            return None
        return Caller(
            id=user,
            username=_text(claims.get("preferred_username")) or user,
            groups=_group_names(_texts(find_claim(claims, self.groups))),
            is_admin=bool(self.admin_role) and self.admin_role in _texts(find_claim(claims, self.admin)),
        )


def find_claim(claims: Any, path: str) -> Any:
    """The claim at `path`, where a dot leads into an object or is part of a name, as client ids and URLs have it."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    for outer, inner in _splits(path):
        found = find_claim(claims.get(outer), inner)
        if found is not None:
            return found
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    at = path.find(".")
    while at >= 0:
        yield path[:at], path[at + 1 :]
        at = path.find(".", at + 1)


def _group_names(values: Sequence[str]) -> tuple[str, ...]:
    """The groups' names. Keycloak may write `/a`; a group within a group (`/a/b`) is none of PrimeHub's."""
    names: dict[str, str] = {}
    for value in values:
        name = value.removeprefix("/")
        try:
            names.setdefault(group_path(name), name)
        except InvalidName:
            continue
    return tuple(names.values())


def _texts(value: Any) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
