"""The Artifacts tab's state in the address, its messages, and blocks of text."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.artifacts.conftest import Modules

PROPERTY_TEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DEFAULT_STATE = {"path": "", "order": "name", "isDescending": False, "search": "", "file": ""}


def read(modules: Modules, query: str) -> Any:
    return modules.run("tab_state.js", "(module, query) => module.parseTabState(new URLSearchParams(query))", query)


def written(modules: Modules, state: dict[str, Any]) -> str:
    text = modules.run("tab_state.js", "(module, state) => module.formatTabState(state).toString()", state)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("", {}),
        ("path=a/b/", {"path": "a/b/"}),
        ("path=a", {"path": "a/"}),
        ("path=../a", {}),
        ("path=%2F", {}),
        ("sort=-size", {"order": "size", "isDescending": True}),
        ("sort=time", {"order": "time"}),
        ("sort=-name", {"isDescending": True}),
        ("sort=-constructor", {}),
        ("sort=--size", {}),
        ("search=%3Cb%3E", {"search": "<b>"}),
        ("file=a/b.txt", {"path": "a/", "file": "a/b.txt"}),
        ("file=a/b.txt&path=", {"file": "a/b.txt"}),
        ("file=a/b.txt&search=b", {"search": "b", "file": "a/b.txt"}),
        ("file=a/../b", {}),
        ("file=a/", {}),
        ("unknown=1", {}),
    ],
)
def test_the_address_is_parsed(modules: Modules, query: str, state: dict[str, Any]) -> None:
    assert read(modules, query) == DEFAULT_STATE | state


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda name: "/" not in name and name not in (".", "..")
)
states = st.fixed_dictionaries(
    {
        "path": st.lists(names, max_size=3).map(lambda parts: "".join(f"{part}/" for part in parts)),
        "order": st.sampled_from(["name", "size", "time"]),
        "isDescending": st.booleans(),
        "search": st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    }
)


@given(states, st.one_of(st.just(""), names))
@PROPERTY_TEST
def test_a_formatted_state_is_parsed_back(modules: Modules, state: dict[str, Any], name: str) -> None:
    shown = state | {"file": state["path"] + name if name else ""}
    query = written(modules, shown)
    assert query.isascii()
    assert read(modules, query) == shown
    assert all(value for _, value in parse_qsl(query, keep_blank_values=True))


@pytest.mark.parametrize(
    ("before", "order", "after"),
    [
        ({}, "size", {"order": "size", "isDescending": True}),
        ({"order": "size", "isDescending": True}, "size", {"order": "size", "isDescending": False}),
        ({"order": "size", "isDescending": True}, "name", {"order": "name", "isDescending": False}),
        ({}, "name", {"isDescending": True}),
    ],
)
def test_a_column_sorts_largest_first_and_then_reverses(
    modules: Modules, before: dict[str, Any], order: str, after: dict[str, Any]
) -> None:
    assert modules.call("tab_state.js", "toggleSort", DEFAULT_STATE | before, order) == DEFAULT_STATE | after


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ({"length": 1, "total": 1, "hasMore": False}, "1 entry"),
        ({"length": 12, "total": 12, "hasMore": False}, "12 entries"),
        ({"length": 200, "total": 12345, "hasMore": True}, "200 of 12,345 entries"),
        ({"length": 200, "total": None, "hasMore": True}, "First 200 entries"),
        ({"length": 1, "total": 1, "hasMore": False, "search": "x"}, "1 file found"),
        ({"length": 200, "total": 300, "hasMore": True, "search": "x"}, "200 of 300 files found"),
    ],
)
def test_the_count_message_shows_loaded_and_total(modules: Modules, listing: dict[str, Any], words: str) -> None:
    state = {"state": DEFAULT_STATE | {"search": listing.get("search", "")}}
    assert modules.call("messages.js", "countMessage", listing | state) == words


@pytest.mark.parametrize(
    ("state", "place", "words"),
    [
        ("expired", {}, "The artifacts have expired and are no longer available."),
        ("rejected", {}, "No files were collected: the job exceeded the artifact limit."),
        ("empty", {}, "The job wrote no files to its artifacts folder."),
        ("__proto__", {}, "There are no files."),
        ("", {}, "There are no files."),
        ("sealed", {"path": "a\u202e/"}, "The folder a\\u{202E}/ does not exist or is empty."),
        ("sealed", {"path": "a/", "search": "x"}, "No file in a/ has “x” in its path."),
    ],
)
def test_the_empty_message_shows_the_reason(modules: Modules, state: str, place: dict[str, str], words: str) -> None:
    assert modules.call("messages.js", "emptyMessage", state, DEFAULT_STATE | place) == words


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.just("\n"), max_size=40))
@PROPERTY_TEST
def test_joined_blocks_are_the_text(modules: Modules, text: str) -> None:
    blocks = modules.call("text_blocks.js", "splitIntoBlocks", text)
    assert "".join(block["text"] for block in blocks) == text
    assert sum(block["lines"] for block in blocks) == text.count("\n") + (not text.endswith("\n") and bool(text))


@pytest.mark.parametrize(
    ("text", "count", "longest"),
    [("\n" * 1000, 2, 500), ("x" * 5000, 3, 2000), ("\U0001d56c" * 1500, 2, 2000), (("y" * 999 + "\n") * 20, 3, 8000)],
)
def test_blocks_are_limited_in_lines_and_length(modules: Modules, text: str, count: int, longest: int) -> None:
    blocks = modules.call("text_blocks.js", "splitIntoBlocks", text)
    assert "".join(block["text"] for block in blocks) == text
    assert len(blocks) == count
    assert max(len(block["text"].encode("utf-16-le")) // 2 for block in blocks) <= longest + 1
