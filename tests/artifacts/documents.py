"""Hypothesis strategies for hostile JSON documents, shared by the tests of manifest, report and summary."""

import json
from typing import Any

from hypothesis import strategies as st

# Lone surrogates are generated often: JSON can contain them, but UTF-8 cannot.
ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from("\ud800\udfff\0\u2028"), max_size=30)
ANY_NUMBER = (
    st.integers() | st.floats() | st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, True, 1.0])
)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | ANY_NUMBER | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)
NESTED = [b"[" * depth + b"]" * depth for depth in (200, 900, 5000)]
NO_JSON = [b"", b"\0", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000, b"1" * 5000, b"nul", b"\xef\xbb\xbf{}"]


def near(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """Generate variants of the document: fields at any depth replaced with any values, and unknown fields added."""
    return st.builds(_encode, _near(document))


def _near(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {
        name: st.one_of(st.just(value), ANY_JSON, _near(value) if isinstance(value, dict) else st.just(value))
        for name, value in document.items()
    }
    return st.builds(
        lambda made, unknown: unknown | made, st.fixed_dictionaries({}, optional=fields), st.just({"unknown": [1]})
    )


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
