"""The indexer is correct for every order in which events, lists and responses to writes can arrive."""

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


def read(document: Mapping[str, Any]) -> int:
    return int(document["metadata"]["resourceVersion"])


class World:
    """A server's history, an indexer that lags behind it, and responses to our writes that are in flight."""

    def __init__(self) -> None:
        self.version = 10
        self.history: dict[int, tuple[str, bool]] = {}
        self.indexer: Indexer[int] = Indexer(read)
        self.reported: dict[str, int] = {}
        self.indexer.add_handler(self._on_change)
        self.responses: list[Doc] = []
        self.confirmed_version: dict[str, int] = {}  # key -> version of our last confirmed write
        self.observed_version = 10
        self.listing: int | None = None

    def write(self, key: str, *, ours: bool) -> None:
        self.version += 1
        self.history[self.version] = (key, True)
        if ours:
            self.responses.append(document(key, self.version))

    def remove(self, key: str) -> None:
        if key in self.state(self.version):
            self.version += 1
            self.history[self.version] = (key, False)

    def respond(self, which: int) -> None:
        """Deliver a response. Responses can arrive in any order, at any time after their write."""
        if self.responses:
            response = self.responses.pop(which % len(self.responses))
            self.indexer.record_write(response)
            name = response["metadata"]["name"]
            self.confirmed_version[name] = max(self.confirmed_version.get(name, 0), read(response))

    def watch(self) -> None:
        if self.listing is None and self.observed_version < self.version:
            self.observed_version += 1
            key, is_there = self.history[self.observed_version]
            before = key in self.state(self.observed_version - 1)
            kind = ("MODIFIED" if before else "ADDED") if is_there else "DELETED"
            self.indexer.apply_event(kind, document(key, self.observed_version))

    def bookmark(self) -> None:
        if self.listing is None:
            self.indexer.apply_event("BOOKMARK", {"metadata": {"resourceVersion": str(self.observed_version)}})

    def begin_list(self) -> None:
        self.indexer.begin_list()
        self.listing = self.version

    def end_list(self) -> None:
        if self.listing is not None:
            state = self.state(self.listing)
            self.indexer.replace(self.indexer.index(document(*item) for item in state.items()), str(self.listing))
            self.observed_version, self.listing = self.listing, None

    def state(self, version: int) -> dict[str, int]:
        state: dict[str, int] = {}
        for number, (key, is_there) in self.history.items():
            if number <= version:
                state[key] = number
                if not is_there:
                    del state[key]
        return state

    def contents(self) -> dict[str, int]:
        return {key: version for key in KEYS if (version := self.indexer.get(key)) is not None}

    def check(self) -> None:
        """Check that no object is older than the watch and our last confirmed write."""
        contents = self.contents()
        assert self.reported == contents
        for key in KEYS:
            since = max(self.observed_version, self.confirmed_version.get(key, 0))
            moments = {self.state(version).get(key) for version in range(since, self.version + 1)}
            assert contents.get(key) in moments, (key, contents.get(key), moments)

    def _on_change(self, key: str, old: int | None, new: int | None) -> None:
        assert self.reported.pop(key, None) == old
        assert old != new
        if new is not None:
            self.reported[key] = new


STEPS = st.one_of(
    st.tuples(st.sampled_from(["ours", "theirs", "remove"]), st.sampled_from(KEYS)),
    st.tuples(st.just("respond"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["watch", "watch", "bookmark", "begin_list", "end_list"]), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_no_order_of_events_lists_and_responses_exposes_outdated_objects(steps: list[tuple[str, Any]]) -> None:
    world = World()
    for step, argument in steps:
        if step in ("ours", "theirs"):
            world.write(argument, ours=step == "ours")
        elif argument is None:
            getattr(world, step)()
        else:
            getattr(world, step)(argument)
        world.check()
    world.end_list()
    while world.observed_version < world.version:
        world.watch()
        world.check()
    while world.responses:
        world.respond(0)
    assert world.contents() == world.state(world.version)


def test_an_outdated_response_during_a_list_is_ignored() -> None:
    world = World()
    world.write("a", ours=True)
    world.write("a", ours=True)
    world.respond(1)
    world.begin_list()
    world.respond(0)
    world.check()


def test_own_write_is_dropped_by_the_next_list_even_if_versions_restart() -> None:
    indexer: Indexer[int] = Indexer(read)
    indexer.record_write(document("a", 100))
    indexer.begin_list()
    indexer.record_write(document("b", 100))
    indexer.replace({}, "50")
    assert indexer.list_keys() == ["b"]
    indexer.begin_list()
    indexer.replace({}, "50")
    assert indexer.list_keys() == []


def test_bookkeeping_of_own_writes_takes_linear_steps() -> None:
    count = 2000
    names = [HashedName(f"job-{number}") for number in range(count)]
    indexer: Indexer[int] = Indexer(read)
    HashedName.hash_count = 0
    for version, name in enumerate(names):
        indexer.record_write(document(name, version))
    for version, name in enumerate(names):
        indexer.apply_event("MODIFIED", document(name, version))
    assert HashedName.hash_count <= 20 * count


class HashedName(str):
    """A name that counts how often any such name is looked up in a dict or a set."""

    __slots__ = ()
    hash_count = 0

    def __hash__(self) -> int:
        HashedName.hash_count += 1
        return super().__hash__()


def test_each_version_is_trimmed_once() -> None:
    reads: list[str] = []
    indexer: Indexer[None] = Indexer(lambda document: reads.append(document["metadata"]["name"]))
    for _ in range(3):
        indexer.replace(indexer.index([document("a", 1), document("b", 1)]), "5")
    indexer.record_write(document("a", 6))
    indexer.apply_event("MODIFIED", document("a", 6))
    assert reads == ["a", "b", "a"]


@pytest.mark.parametrize("version", ["x", "", "²", "9" * 50, None, 7])
def test_writes_with_versions_that_are_not_numbers_wait_for_the_watch(version: Any) -> None:
    indexer: Indexer[str] = Indexer(lambda document: str(document["spec"]))
    odd = {"metadata": {"name": "a", "resourceVersion": version}, "spec": 1}
    indexer.record_write(odd)
    assert indexer.values() == []
    indexer.apply_event("ADDED", odd)
    assert indexer.values() == ["1"]


def test_keys_include_the_namespace_if_there_is_one() -> None:
    indexer: Indexer[int] = Indexer(read)
    indexer.apply_event("ADDED", document("a", 1))
    indexer.apply_event("ADDED", {"metadata": {"name": "a", "namespace": "ns", "resourceVersion": "2"}})
    assert sorted(indexer.list_keys()) == ["a", "ns/a"]
