"""Maps the claims of a verified token to a caller. Pure.

Claims of the wrong type are treated as missing, and invalid group names are ignored.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.auth.caller import Caller
from artifacts.errors import InvalidName
from artifacts.names import group_path


@dataclass(frozen=True)
class ClaimMapping:
    """The names of the claims with the user's groups and roles. `admin_role`: the administrator's; "" for none."""

    groups_claim: str
    admin_claim: str
    admin_role: str

    def to_caller(self, claims: Mapping[str, Any]) -> Caller | None:
        """Return the user, or None if the claims have no usable `sub`."""
        user = _text(claims.get("sub"))
        if not user:
            return None
        return Caller(
            id=user,
            username=_text(claims.get("preferred_username")) or user,
            groups=_group_names(_texts(find_claim(claims, self.groups_claim))),
            is_admin=bool(self.admin_role) and self.admin_role in _texts(find_claim(claims, self.admin_claim)),
            first_name=_text(claims.get("given_name")),
            last_name=_text(claims.get("family_name")),
            email=_text(claims.get("email")),
        )


def find_claim(claims: Any, path: str) -> Any:
    """Return the claim at `path`, or None.

    A dot separates nested names, or is part of a name: client ids and URLs contain dots.
    """
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
    """Return the valid group names. Keycloak may write `/a`; PrimeHub has no nested groups (`/a/b`)."""
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
    return [text for text in values if isinstance(text, str)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
