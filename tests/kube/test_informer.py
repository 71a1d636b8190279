"""A cache stays true to the API server whatever the server and the network do."""

import json
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from kube import errors
from kube.backoff import Backoff
from kube.client import Client
from kube.objects import ResourceClient
from tests.kube.apiserver import ApiServer
from tests.kube.faults import Request
from tests.kube.informers import PATH, QUICK, WIDGETS, Spec, running, sizes, until, widget


def is_watch(request: Request) -> bool:
    return request.is_watch


def is_list(request: Request) -> bool:
    return request.is_list


def lists(server: ApiServer) -> int:
    return sum(request.is_list and "continue" not in request.query for request in server.requests)


def watches(server: ApiServer) -> list[str]:
    return [request.query["resourceVersion"] for request in server.requests if request.is_watch]


def test_it_knows_what_was_there_and_what_changes(server: ApiServer, client: Client) -> None:
    for number in range(8):
        server.put(f"{PATH}/w{number}", widget(number))
    with running(client) as (cache, mirror):
        assert sizes(cache) == {f"w{number}": number for number in range(8)}
        server.put(f"{PATH}/w0", widget(10))
        server.remove(f"{PATH}/w1")
        server.put(f"{PATH}/new", widget(11))
        until(lambda: cache.objects.get("ns/new"), "the new widget")
        assert sizes(cache) == {"w0": 10, **{f"w{number}": number for number in range(2, 8)}, "new": 11}
        assert [(key, old and old[1], new and new[1]) for key, old, new in mirror.changes[8:]] == [
            ("ns/w0", 0, 10),
            ("ns/w1", 1, None),
            ("ns/new", None, 11),
        ]
        assert sorted(found[1] for found in cache.objects.values()) == [2, 3, 4, 5, 6, 7, 10, 11]
    assert sizes(cache)["new"] == 11
    assert lists(server) == 1


def test_selectors_bring_objects_in_and_take_them_out(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1, kept="no"))
    with running(client, selectors={"labelSelector": "kept=yes"}) as (cache, _):
        assert sizes(cache) == {}
        server.put(f"{PATH}/a", widget(2, kept="yes"))
        until(lambda: sizes(cache) == {"a": 2}, "a came in")
        server.put(f"{PATH}/a", widget(3, kept="no"))
        until(lambda: sizes(cache) == {}, "a went out")


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("reset", {"events": 1}),
        ("reset", {"events": 0}),
        ("end", {"events": 1}),
        ("status", {"code": 429}),
    ],
)
def test_a_watch_that_breaks_goes_on_where_it_was(
    server: ApiServer, client: Client, kind: str, given: dict[str, Any]
) -> None:
    server.script.add(kind, is_watch, times=3, **given)
    with running(client) as (cache, mirror):
        for number in range(20):
            server.put(f"{PATH}/w{number}", widget(number))
        until(lambda: len(sizes(cache)) == 20 and len(watches(server)) > 3, "all widgets, after three broken watches")
        assert len(mirror.changes) == 20
    assert lists(server) == 1
    versions = [int(version) for version in watches(server)]
    assert versions == sorted(versions)


def test_a_connection_that_died_without_a_word_is_noticed(server: ApiServer, client: Client) -> None:
    server.script.add("half_open", is_watch, events=1)
    with running(client, timing=replace(QUICK, idle_seconds=0.3)) as (cache, _):
        server.put(f"{PATH}/a", widget(1))
        until(lambda: len(watches(server)) == 1, "the first watch")
        server.put(f"{PATH}/b", widget(2))
        until(lambda: sizes(cache) == {"a": 1, "b": 2}, "what changed behind the dead connection")
    assert lists(server) == 1


def test_a_list_that_hangs_is_given_up_and_asked_for_again(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    server.script.add("half_open", is_list)
    with running(client, timeout=0.3) as (cache, _):
        assert sizes(cache) == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("status", {"code": 410}),
        ("status", {"code": 403}),
        ("status", {"code": 500}),
        ("status", {"code": 504}),
        ("line", {"text": b"{"}),
        ("line", {"text": b"[]"}),
        ("line", {"text": b'{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}'}),
        ("line", {"text": b'{"type": "ERROR", "object": {"code": 500}}'}),
        ("line", {"text": b'{"type": "ERROR", "object": []}'}),
    ],
)
def test_a_watch_that_is_refused_or_cannot_be_read_means_listing_anew(
    server: ApiServer, client: Client, kind: str, given: dict[str, Any]
) -> None:
    server.put(f"{PATH}/a", widget(1))
    server.script.add(kind, is_watch, times=2, **given)
    with running(client) as (cache, mirror):
        until(lambda: lists(server) == 3, "listed anew")
        server.put(f"{PATH}/b", widget(2))
        until(lambda: sizes(cache) == {"a": 1, "b": 2}, "both widgets")
        assert len(mirror.changes) == 2


def test_what_disappeared_while_nobody_watched_is_told_as_deleted(server: ApiServer, client: Client) -> None:
    for name in ("a", "b", "c"):
        server.put(f"{PATH}/{name}", widget(name))
    with running(client) as (cache, mirror):
        until(lambda: watches(server), "the watch")
        server.script.add("status", is_watch, times=10**6, code=503)
        server.script.add("status", is_list, times=10**6, code=503)
        server.cut()
        until(lambda: cache.error, "the failure")
        server.remove(f"{PATH}/a")
        server.put(f"{PATH}/b", widget("B"))
        server.objects.compact()
        assert sizes(cache) == {"a": "a", "b": "b", "c": "c"}
        server.script.clear()
        until(lambda: sizes(cache) == {"b": "B", "c": "c"}, "the truth")
        told = [(key, old and old[1], new and new[1]) for key, old, new in mirror.changes[3:]]
        assert told == [("ns/a", "a", None), ("ns/b", "b", "B")]
        until(lambda: cache.error is None, "all is well again")


def test_pages_whose_moment_is_forgotten_are_asked_for_from_the_first(server: ApiServer, client: Client) -> None:
    for number in range(7):
        server.put(f"{PATH}/w{number}", widget(number))
    server.script.add("status", lambda request: "continue" in request.query, code=410)
    with running(client) as (cache, _):
        assert len(sizes(cache)) == 7
    assert lists(server) == 2


def test_versions_that_begin_anew_after_a_restore_leave_no_phantom(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    with running(client, timing=replace(QUICK, idle_seconds=0.15, relist_seconds=0.3)) as (cache, _):
        cache.objects.record_write(server.put(f"{PATH}/b", widget(2)))
        until(lambda: watches(server), "the watch")
        server.objects.forget_objects(50)
        server.put(f"{PATH}/c", widget(3))
        server.cut()
        until(lambda: sizes(cache) == {"c": 3}, "what the backup had")


def test_an_answer_that_is_no_list_is_not_told_as_the_end_of_all(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    with running(client) as (cache, mirror):
        until(lambda: watches(server), "the watch")
        server.script.add("text", is_list, text=b'{"metadata": {}, "items": []}')
        server.script.add("text", is_list, text=b'{"metadata": {"resourceVersion": "1"}, "items": {"a": 1}}')
        server.script.add("line", is_watch, text=b"?")
        server.cut()
        until(lambda: lists(server) == 4, "a list that can be read")
        assert sizes(cache) == {"a": 1}
        assert len(mirror.changes) == 1


def test_versions_that_go_back_mean_listing_anew(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    server.objects.oldest = 0
    server.script.add("line", is_watch, text=b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}')
    with running(client) as (cache, _):
        until(lambda: lists(server) == 2, "listed anew")
        assert sizes(cache) == {"a": 1}


@pytest.mark.parametrize(
    "bad", [{"spec": {}}, {"spec": None}, {"spec": {"size": 1}, "metadata": {"name": 7}}, [], None]
)
def test_one_bad_object_stops_nothing(server: ApiServer, client: Client, bad: Any) -> None:
    item = {"metadata": {"name": "good", "namespace": "ns", "resourceVersion": "7"}, "spec": {"size": 1}}
    listed = {"metadata": {"resourceVersion": "100"}, "items": [bad, item]}
    server.script.add("text", is_list, text=json.dumps(listed).encode())
    server.script.add("line", is_watch, text=json.dumps({"type": "ADDED", "object": bad}).encode())
    with running(client) as (cache, _):
        until(lambda: len(watches(server)) > 1, "the next watch")
        server.put(f"{PATH}/bad", {**bad, "metadata": {}} if isinstance(bad, dict) else {})
        server.put(f"{PATH}/new", widget(2))
        until(lambda: cache.objects.get("ns/new"), "the new widget")
        assert sizes(cache)["good"] == 1
    assert lists(server) == 1


def test_what_a_known_object_became_unreadably_is_not_told_as_its_end(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    with running(client) as (cache, mirror):
        server.put(f"{PATH}/a", {"spec": {}})
        server.put(f"{PATH}/b", widget(2))
        until(lambda: "b" in sizes(cache), "the new widget")
        assert sizes(cache) == {"a": 1, "b": 2}
        assert len(mirror.changes) == 2


def test_a_handler_that_raises_stops_nothing(server: ApiServer, client: Client) -> None:
    def fail(key: str, old: Spec | None, new: Spec | None) -> None:
        raise RuntimeError("no")

    with running(client) as (cache, mirror):
        cache.objects.add_handler(fail)
        cache.objects.add_handler(mirror.take)
        server.put(f"{PATH}/a", widget(1))
        server.put(f"{PATH}/b", widget(2))
        until(lambda: len(mirror.changes) == 4, "both handlers, both widgets")
        assert len(sizes(cache)) == 2


def test_silence_is_told_and_ended_by_a_list(server: ApiServer, client: Client) -> None:
    server.bookmark_seconds = 0
    now = [1000.0]
    with running(client, timing=replace(QUICK, idle_seconds=0.2), clock=lambda: now[0]) as (cache, _):
        until(lambda: len(watches(server)) > 2, "two silent watches")
        assert (lists(server), cache.seconds_since_activity) == (1, 0)
        now[0] += 239
        assert cache.seconds_since_activity == 239
        now[0] += 2
        until(lambda: lists(server) == 2, "a list after four minutes of silence")
        until(lambda: cache.seconds_since_activity == 0, "the list was heard")


def test_bookmarks_are_activity_and_move_the_version_on(server: ApiServer, client: Client) -> None:
    now = [1000.0]
    with running(client, clock=lambda: now[0]) as (cache, _):
        server.put("/apis/example.io/v1/namespaces/other/widgets/a", widget(1))
        now[0] += 100
        until(lambda: cache.seconds_since_activity == 0, "a bookmark")
        until(lambda: watches(server), "the watch")
        server.objects.compact()
        server.cut()
        until(lambda: len(watches(server)) == 2, "the next watch")
        assert watches(server)[1] == "101"
    assert lists(server) == 1


@pytest.mark.parametrize(
    ("kind", "given", "when"),
    [
        ("status", {"code": 403}, is_list),
        ("status", {"code": 500}, is_list),
        ("reset", {}, is_list),
        ("text", {"text": b"?"}, is_list),
        ("status", {"code": 403}, is_watch),
        ("status", {"code": 410}, is_watch),
        ("end", {}, is_watch),
        ("line", {"text": b"{}"}, is_watch),
        ("line", {"text": b"?"}, is_watch),
    ],
)
def test_nothing_that_the_server_does_makes_a_hot_loop(
    server: ApiServer, client: Client, kind: str, given: dict[str, Any], when: Any
) -> None:
    least = 0.02
    server.script.add(kind, when, times=10**6, **given)
    began = time.monotonic()
    with running(
        client, synced=False, timing=replace(QUICK, initial_delay_seconds=2 * least, max_delay_seconds=2 * least)
    ):
        until(lambda: sum(when(request) for request in server.requests) > 3, "tries")
    rounds = sum(when(request) for request in server.requests)
    assert rounds <= (time.monotonic() - began) / least + 1


def test_back_off_doubles_to_its_bound_and_begins_anew() -> None:
    backoff = Backoff(0.5, 30)
    for turn in range(2000):
        bound = min(30, 0.5 * 2 ** min(turn, 60))
        assert bound / 2 <= backoff.next() <= bound
    backoff.reset()
    assert 0.25 <= backoff.next() <= 0.5


def test_a_steady_watch_ends_the_back_off(server: ApiServer, client: Client) -> None:
    timing = replace(QUICK, initial_delay_seconds=0.01, max_delay_seconds=10**6, stable_seconds=5.0)
    now = [0.0]
    server.script.add("reset", is_watch, times=3)
    with running(client, timing=timing, clock=lambda: now[0]) as (_, _):
        for turn in range(60):  # without the end of back-off, the sixtieth delay would be longer than any test
            until(lambda turn=turn: len(watches(server)) > turn, "one more watch")  # type: ignore[misc]
            now[0] += 6
            server.cut()


def test_what_the_server_asks_to_wait_is_waited(server: ApiServer, client: Client) -> None:
    server.script.add("status", is_list, code=429, headers={"Retry-After": "3600"})
    with running(client, synced=False, timing=replace(QUICK, max_delay_seconds=0.4)) as (cache, _):
        began = time.monotonic()
        assert cache.wait_for_sync(20)
        assert time.monotonic() - began > 0.3  # bounded by ours, and no shorter


def test_its_error_tells_why_it_knows_nothing(server: ApiServer, client: Client) -> None:
    server.missing.add("widgets")
    with running(client, synced=False) as (cache, _):
        until(lambda: cache.error, "the failure")
        assert not cache.has_synced
        assert isinstance(cache.error, errors.NotFound)
        server.missing.clear()
        until(lambda: cache.has_synced and cache.error is None, "the resource came")


@pytest.mark.parametrize("kind", ["half_open", "status"])
def test_it_stops_at_once_whatever_it_waits_for(server: ApiServer, client: Client, kind: str) -> None:
    server.script.add(kind, is_watch, times=10**6, code=503, events=0)
    with running(client, timing=replace(QUICK, idle_seconds=300, initial_delay_seconds=300, max_delay_seconds=300)) as (
        cache,
        _,
    ):
        until(lambda: watches(server), "the watch")
        cache.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("informer ")]


def test_one_that_never_started_can_be_stopped(client: Client) -> None:
    with pytest.raises(RuntimeError), running(client, synced=False) as (cache, _):
        cache.start()


def test_a_write_is_seen_at_once_and_told_once(server: ApiServer, client: Client) -> None:
    server.script.add("half_open", is_watch, times=10**6, events=0)
    with running(client) as (cache, mirror):
        widgets = ResourceClient(client, WIDGETS)
        cache.objects.record_write(widgets.create({**widget(1), "metadata": {"name": "a"}}))
        assert sizes(cache) == {"a": 1}
        cache.objects.record_write(widgets.merge("a", {"spec": {"size": 2}}))
        assert sizes(cache) == {"a": 2}
        server.script.clear()
        server.cut()
        server.put(f"{PATH}/b", widget(3))
        until(lambda: len(sizes(cache)) == 2, "the watch came after it")
        assert [(key, new and new[1]) for key, _, new in mirror.changes] == [("ns/a", 1), ("ns/a", 2), ("ns/b", 3)]
