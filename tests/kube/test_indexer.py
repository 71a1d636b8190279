"""What is known of objects, under every order in which the watch, lists and answers to writes may come."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.indexer import Indexer

KEYS = ("a", "b", "c")
Doc = dict[str, Any]


def document(key: str, version: int) -> Doc:
    return {"metadata": {"name": key, "resourceVersion": str(version)}}


def read(found: Mapping[str, Any]) -> int:
    return int(found["metadata"]["resourceVersion"])


class World:
    """A server's history, a cache that follows it some way behind, and answers to our writes on their way."""

    def __init__(self) -> None:
        self.version = 10
        self.history: dict[int, tuple[str, bool]] = {}
        self.known: Indexer[int] = Indexer(read)
        self.told: dict[str, int] = {}
        self.known.add_handler(self._tell)
        self.answers: list[Doc] = []
        self.floor: dict[str, int] = {}  # the version of our last write that was answered, by key
        self.came_to = 10
        self.listing: int | None = None

    def write(self, key: str, *, ours: bool) -> None:
        self.version += 1
        self.history[self.version] = (key, True)
        if ours:
            self.answers.append(document(key, self.version))

    def remove(self, key: str) -> None:
        if key in self.state(self.version):
            self.version += 1
            self.history[self.version] = (key, False)

    def answer(self, which: int) -> None:
        """An answer arrives: not before its write, else at any time and in any order."""
        if self.answers:
            found = self.answers.pop(which % len(self.answers))
            self.known.record_write(found)
            name = found["metadata"]["name"]
            self.floor[name] = max(self.floor.get(name, 0), read(found))

    def watch(self) -> None:
        if self.listing is None and self.came_to < self.version:
            self.came_to += 1
            key, is_there = self.history[self.came_to]
            before = key in self.state(self.came_to - 1)
            kind = ("MODIFIED" if before else "ADDED") if is_there else "DELETED"
            self.known.apply_event(kind, document(key, self.came_to))

    def bookmark(self) -> None:
        if self.listing is None:
            self.known.apply_event("BOOKMARK", {"metadata": {"resourceVersion": str(self.came_to)}})

    def begin_list(self) -> None:
        self.known.begin_list()
        self.listing = self.version

    def end_list(self) -> None:
        if self.listing is not None:
            state = self.state(self.listing)
            self.known.replace(self.known.index(document(*each) for each in state.items()), str(self.listing))
            self.came_to, self.listing = self.listing, None

    def state(self, version: int) -> dict[str, int]:
        state: dict[str, int] = {}
        for number, (key, is_there) in self.history.items():
            if number <= version:
                state[key] = number
                if not is_there:
                    del state[key]
        return state

    def shown(self) -> dict[str, int]:
        return {key: found for key in KEYS if (found := self.known.get(key)) is not None}

    def check(self) -> None:
        """Each object is shown as it was at some moment that is no older than the watch, or our last answered write."""
        shown = self.shown()
        assert self.told == shown
        for key in KEYS:
            since = max(self.came_to, self.floor.get(key, 0))
            moments = {self.state(version).get(key) for version in range(since, self.version + 1)}
            assert shown.get(key) in moments, (key, shown.get(key), moments)

    def _tell(self, key: str, old: int | None, new: int | None) -> None:
        assert self.told.pop(key, None) == old
        assert old != new
        if new is not None:
            self.told[key] = new


STEPS = st.one_of(
    st.tuples(st.sampled_from(["ours", "theirs", "remove"]), st.sampled_from(KEYS)),
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["watch", "watch", "bookmark", "begin_list", "end_list"]), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_no_order_of_changes_lists_and_answers_shows_what_is_past(steps: list[tuple[str, Any]]) -> None:
    world = World()
    for step, given_ in steps:
        if step in ("ours", "theirs"):
            world.write(given_, ours=step == "ours")
        elif given_ is None:
            getattr(world, step)()
        else:
            getattr(world, step)(given_)
        world.check()
    world.end_list()
    while world.came_to < world.version:
        world.watch()
        world.check()
    while world.answers:
        world.answer(0)
    assert world.shown() == world.state(world.version)


def test_an_older_answer_that_comes_during_a_list_is_left_alone() -> None:
    world = World()
    world.write("a", ours=True)
    world.write("a", ours=True)
    world.answer(1)
    world.begin_list()
    world.answer(0)
    world.check()


def test_our_own_write_outlasts_no_later_list_not_even_one_with_versions_that_began_anew() -> None:
    known: Indexer[int] = Indexer(read)
    known.record_write(document("a", 100))
    known.begin_list()
    known.record_write(document("b", 100))
    known.replace({}, "50")
    assert known.list_keys() == ["b"]
    known.begin_list()
    known.replace({}, "50")
    assert known.list_keys() == []


def test_the_same_version_is_read_once() -> None:
    reads: list[str] = []
    known: Indexer[None] = Indexer(lambda found: reads.append(found["metadata"]["name"]))
    for _ in range(3):
        known.replace(known.index([document("a", 1), document("b", 1)]), "5")
    known.record_write(document("a", 6))
    known.apply_event("MODIFIED", document("a", 6))
    assert reads == ["a", "b", "a"]


@pytest.mark.parametrize("version", ["x", "", "²", "9" * 50, None, 7])
def test_versions_that_are_no_numbers_are_left_to_the_watch(version: Any) -> None:
    known: Indexer[str] = Indexer(lambda found: str(found["spec"]))
    strange = {"metadata": {"name": "a", "resourceVersion": version}, "spec": 1}
    known.record_write(strange)
    assert known.values() == []
    known.apply_event("ADDED", strange)
    assert known.values() == ["1"]


def test_keys_have_the_namespace_where_there_is_one() -> None:
    known: Indexer[int] = Indexer(read)
    known.apply_event("ADDED", document("a", 1))
    known.apply_event("ADDED", {"metadata": {"name": "a", "namespace": "ns", "resourceVersion": "2"}})
    assert sorted(known.list_keys()) == ["a", "ns/a"]
