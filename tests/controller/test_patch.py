"""JSON Patch: another implementation of the standard applies our patches."""

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.patch import make_patch

JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "/", "~", "a/b~1", ""]), inner)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_the_patch_changes_any_document_into_any_other(before: Any, after: Any) -> None:
    assert jsonpatch.apply_patch(copy.deepcopy(before), list(make_patch(before, after))) == after


@given(JSON)
def test_the_patch_of_equal_documents_is_empty(document: Any) -> None:
    assert list(make_patch(document, copy.deepcopy(document))) == []


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        ([1, 2], [0, 1, 2], [("add", "/0", 0)]),
        ([1, 2], [1, 2, 3], [("add", "/2", 3)]),
        ([1, {"a": 1}], [0, 1, {"a": 2}], [("add", "/0", 0), ("replace", "/2/a", 2)]),
        ({"a": None}, {"a": [1]}, [("replace", "/a", [1])]),
        ({}, {"x/y": 1, "a~b": 2}, [("add", "/x~1y", 1), ("add", "/a~0b", 2)]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, [("remove", "/a/b", None), ("add", "/a/c", 1)]),
        ([1, 2], [1], [("replace", "", [1])]),
    ],
)
def test_elements_are_added_without_replacing_the_list(before: Any, after: Any, operations: list[Any]) -> None:
    assert [(step["op"], step["path"], step.get("value")) for step in make_patch(before, after)] == operations
