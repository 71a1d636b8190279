"""How a user's groups and roles are found in arbitrary claims."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.auth.claims import ClaimMapping, find_claim
from artifacts.names import group_path


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"groups": ["a"]}, "groups", ["a"]),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"https://hub.example.com/groups": ["a"]}, "https://hub.example.com/groups", ["a"]),
        ({"resource_access": {"my.client": {"roles": ["x"]}}}, "resource_access.my.client.roles", ["x"]),
        ({"a": {"x": 1}, "a.b": {"c": 2}}, "a.b.c", 2),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": ["b"]}, "a.b", None),
        ({"a": {"": 1}}, "a.", 1),
        ({}, "", None),
    ],
)
def test_claim_is_found_at_its_path(claims: Any, path: str, found: Any) -> None:
    assert find_claim(claims, path) == found


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        (["/a", "b"], ("a", "b")),
        ("a", ("a",)),
        (["/a/b", "//a", "/", "", "..", "/../a", "a b", "a\x00", "-a", "a" * 64], ()),
        (["a_b", "a-b", "/A_B"], ("a_b",)),  # one folder, so one group
        ({"a": True}, ()),
        (None, ()),
        ([["a"], 1, None, {"a": 1}], ()),
    ],
)
def test_only_valid_group_names_are_groups(value: Any, groups: tuple[str, ...]) -> None:
    caller = ClaimMapping("groups", "", "").to_caller({"sub": "1", "groups": value})
    assert caller is not None
    assert caller.groups == groups


def test_without_an_admin_role_there_is_no_administrator() -> None:
    caller = ClaimMapping("groups", "roles", "").to_caller({"sub": "1", "roles": ["", "realm-admin"]})
    assert caller is not None
    assert not caller.is_admin


_JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["groups", "roles", "sub", "a", "a.b"]), inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(["groups", "roles", "sub", "a", "preferred_username"]), _JSON))
def test_any_claims_give_valid_groups_or_no_caller(claims: dict[str, Any]) -> None:
    caller = ClaimMapping("a.groups", "a.b.roles", "admin").to_caller(claims)
    if caller is not None:
        assert caller.id == claims["sub"]
        assert caller.username.isprintable()
        assert all(group_path(group) for group in caller.groups)
