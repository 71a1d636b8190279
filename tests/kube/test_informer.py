"""An informer stays consistent with the API server despite failures of the server and the network."""

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


def test_objects_are_listed_and_changes_are_followed(server: ApiServer, client: Client) -> None:
    for number in range(8):
        server.put(f"{PATH}/w{number}", widget(number))
    with running(client) as (informer, mirror):
        assert sizes(informer) == {f"w{number}": number for number in range(8)}
        server.put(f"{PATH}/w0", widget(10))
        server.remove(f"{PATH}/w1")
        server.put(f"{PATH}/new", widget(11))
        until(lambda: informer.objects.get("ns/new"), "the new widget")
        assert sizes(informer) == {"w0": 10, **{f"w{number}": number for number in range(2, 8)}, "new": 11}
        assert [(key, old and old[1], new and new[1]) for key, old, new in mirror.changes[8:]] == [
            ("ns/w0", 0, 10),
            ("ns/w1", 1, None),
            ("ns/new", None, 11),
        ]
        assert sorted(spec[1] for spec in informer.objects.values()) == [2, 3, 4, 5, 6, 7, 10, 11]
    assert sizes(informer)["new"] == 11
    assert lists(server) == 1


def test_objects_that_start_or_stop_matching_the_selector_are_added_or_removed(
    server: ApiServer, client: Client
) -> None:
    server.put(f"{PATH}/a", widget(1, selected="no"))
    with running(client, selectors={"labelSelector": "selected=yes"}) as (informer, _):
        assert sizes(informer) == {}
        server.put(f"{PATH}/a", widget(2, selected="yes"))
        until(lambda: sizes(informer) == {"a": 2}, "a came in")
        server.put(f"{PATH}/a", widget(3, selected="no"))
        until(lambda: sizes(informer) == {}, "a went out")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("reset", {"events": 1}),
        ("reset", {"events": 0}),
        ("end", {"events": 1}),
        ("status", {"code": 429}),
    ],
)
def test_broken_watch_resumes_at_its_version(
    server: ApiServer, client: Client, kind: str, options: dict[str, Any]
) -> None:
    server.script.add(kind, is_watch, times=3, **options)
    with running(client) as (informer, mirror):
        for number in range(20):
            server.put(f"{PATH}/w{number}", widget(number))
        until(
            lambda: len(sizes(informer)) == 20 and len(watches(server)) > 3, "all widgets, after three broken watches"
        )
        assert len(mirror.changes) == 20
    assert lists(server) == 1
    versions = [int(version) for version in watches(server)]
    assert versions == sorted(versions)


def test_silently_dead_connection_is_detected(server: ApiServer, client: Client) -> None:
    server.script.add("half_open", is_watch, events=1)
    with running(client, timing=replace(QUICK, idle_seconds=0.3)) as (informer, _):
        server.put(f"{PATH}/a", widget(1))
        until(lambda: len(watches(server)) == 1, "the first watch")
        server.put(f"{PATH}/b", widget(2))
        until(lambda: sizes(informer) == {"a": 1, "b": 2}, "the change behind the dead connection")
    assert lists(server) == 1


def test_hanging_list_is_retried(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    server.script.add("half_open", is_list)
    with running(client, timeout=0.3) as (informer, _):
        assert sizes(informer) == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "options"),
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
def test_refused_or_malformed_watch_causes_a_new_list(
    server: ApiServer, client: Client, kind: str, options: dict[str, Any]
) -> None:
    server.put(f"{PATH}/a", widget(1))
    server.script.add(kind, is_watch, times=2, **options)
    with running(client) as (informer, mirror):
        until(lambda: lists(server) == 3, "a new list")
        server.put(f"{PATH}/b", widget(2))
        until(lambda: sizes(informer) == {"a": 1, "b": 2}, "both widgets")
        assert len(mirror.changes) == 2


def test_objects_deleted_between_watches_are_reported_as_deleted(server: ApiServer, client: Client) -> None:
    for name in ("a", "b", "c"):
        server.put(f"{PATH}/{name}", widget(name))
    with running(client) as (informer, mirror):
        until(lambda: watches(server), "the watch")
        server.script.add("status", is_watch, times=10**6, code=503)
        server.script.add("status", is_list, times=10**6, code=503)
        server.cut()
        until(lambda: informer.error, "the failure")
        server.remove(f"{PATH}/a")
        server.put(f"{PATH}/b", widget("B"))
        server.objects.compact()
        assert sizes(informer) == {"a": "a", "b": "b", "c": "c"}
        server.script.clear()
        until(lambda: sizes(informer) == {"b": "B", "c": "c"}, "the current objects")
        reported = [(key, old and old[1], new and new[1]) for key, old, new in mirror.changes[3:]]
        assert reported == [("ns/a", "a", None), ("ns/b", "b", "B")]
        until(lambda: informer.error is None, "recovery")


def test_expired_list_restarts_at_the_first_page(server: ApiServer, client: Client) -> None:
    for number in range(7):
        server.put(f"{PATH}/w{number}", widget(number))
    server.script.add("status", lambda request: "continue" in request.query, code=410)
    with running(client) as (informer, _):
        assert len(sizes(informer)) == 7
    assert lists(server) == 2


def test_restored_server_with_lower_versions_leaves_no_phantom_objects(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    with running(client, timing=replace(QUICK, idle_seconds=0.15, relist_seconds=0.3)) as (informer, _):
        informer.objects.record_write(server.put(f"{PATH}/b", widget(2)))
        until(lambda: watches(server), "the watch")
        server.objects.forget_objects(50)
        server.put(f"{PATH}/c", widget(3))
        server.cut()
        until(lambda: sizes(informer) == {"c": 3}, "the objects of the backup")


def test_response_that_is_not_a_list_deletes_nothing(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    with running(client) as (informer, mirror):
        until(lambda: watches(server), "the watch")
        server.script.add("text", is_list, text=b'{"metadata": {}, "items": []}')
        server.script.add("text", is_list, text=b'{"metadata": {"resourceVersion": "1"}, "items": {"a": 1}}')
        server.script.add("line", is_watch, text=b"?")
        server.cut()
        until(lambda: lists(server) == 4, "a list that can be read")
        assert sizes(informer) == {"a": 1}
        assert len(mirror.changes) == 1


def test_decreasing_versions_cause_a_new_list(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    server.objects.oldest = 0
    server.script.add("line", is_watch, text=b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}')
    with running(client) as (informer, _):
        until(lambda: lists(server) == 2, "a new list")
        assert sizes(informer) == {"a": 1}


@pytest.mark.parametrize(
    "bad", [{"spec": {}}, {"spec": None}, {"spec": {"size": 1}, "metadata": {"name": 7}}, [], None]
)
def test_malformed_object_does_not_affect_others(server: ApiServer, client: Client, bad: Any) -> None:
    item = {"metadata": {"name": "good", "namespace": "ns", "resourceVersion": "7"}, "spec": {"size": 1}}
    listed = {"metadata": {"resourceVersion": "100"}, "items": [bad, item]}
    server.script.add("text", is_list, text=json.dumps(listed).encode())
    server.script.add("line", is_watch, text=json.dumps({"type": "ADDED", "object": bad}).encode())
    with running(client) as (informer, _):
        until(lambda: len(watches(server)) > 1, "the next watch")
        server.put(f"{PATH}/bad", {**bad, "metadata": {}} if isinstance(bad, dict) else {})
        server.put(f"{PATH}/new", widget(2))
        until(lambda: informer.objects.get("ns/new"), "the new widget")
        assert sizes(informer)["good"] == 1
    assert lists(server) == 1


def test_malformed_update_does_not_delete_the_object(server: ApiServer, client: Client) -> None:
    server.put(f"{PATH}/a", widget(1))
    with running(client) as (informer, mirror):
        server.put(f"{PATH}/a", {"spec": {}})
        server.put(f"{PATH}/b", widget(2))
        until(lambda: "b" in sizes(informer), "the new widget")
        assert sizes(informer) == {"a": 1, "b": 2}
        assert len(mirror.changes) == 2


def test_failing_handler_does_not_stop_the_informer(server: ApiServer, client: Client) -> None:
    def fail(key: str, old: Spec | None, new: Spec | None) -> None:
        raise RuntimeError("no")

    with running(client) as (informer, mirror):
        informer.objects.add_handler(fail)
        informer.objects.add_handler(mirror.apply)
        server.put(f"{PATH}/a", widget(1))
        server.put(f"{PATH}/b", widget(2))
        until(lambda: len(mirror.changes) == 4, "both handlers, both widgets")
        assert len(sizes(informer)) == 2


def test_silence_is_measured_and_ended_by_a_list(server: ApiServer, client: Client) -> None:
    server.bookmark_seconds = 0
    now = [1000.0]
    with running(client, timing=replace(QUICK, idle_seconds=0.2), clock=lambda: now[0]) as (informer, _):
        until(lambda: len(watches(server)) > 2, "two silent watches")
        assert (lists(server), informer.seconds_since_activity) == (1, 0)
        now[0] += 239
        assert informer.seconds_since_activity == 239
        now[0] += 2
        until(lambda: lists(server) == 2, "a list after four minutes of silence")
        until(lambda: informer.seconds_since_activity == 0, "activity")


def test_bookmarks_count_as_activity_and_advance_the_version(server: ApiServer, client: Client) -> None:
    now = [1000.0]
    with running(client, clock=lambda: now[0]) as (informer, _):
        server.put("/apis/example.io/v1/namespaces/other/widgets/a", widget(1))
        now[0] += 100
        until(lambda: informer.seconds_since_activity == 0, "a bookmark")
        until(lambda: watches(server), "the watch")
        server.objects.compact()
        server.cut()
        until(lambda: len(watches(server)) == 2, "the next watch")
        assert watches(server)[1] == "101"
    assert lists(server) == 1


@pytest.mark.parametrize(
    ("kind", "options", "when"),
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
def test_no_server_failure_causes_a_hot_loop(
    server: ApiServer, client: Client, kind: str, options: dict[str, Any], when: Any
) -> None:
    min_delay = 0.02
    server.script.add(kind, when, times=10**6, **options)
    started_at = time.monotonic()
    with running(
        client,
        synced=False,
        timing=replace(QUICK, initial_delay_seconds=2 * min_delay, max_delay_seconds=2 * min_delay),
    ):
        until(lambda: sum(when(request) for request in server.requests) > 3, "tries")
    rounds = sum(when(request) for request in server.requests)
    assert rounds <= (time.monotonic() - started_at) / min_delay + 1


def test_backoff_doubles_up_to_its_limit_and_can_be_reset() -> None:
    backoff = Backoff(0.5, 30)
    for turn in range(2000):
        bound = min(30, 0.5 * 2 ** min(turn, 60))
        assert bound / 2 <= backoff.next() <= bound
    backoff.reset()
    assert 0.25 <= backoff.next() <= 0.5


def test_stable_watch_resets_the_backoff(server: ApiServer, client: Client) -> None:
    timing = replace(QUICK, initial_delay_seconds=0.01, max_delay_seconds=10**6, stable_seconds=5.0)
    now = [0.0]
    server.script.add("reset", is_watch, times=3)
    with running(client, timing=timing, clock=lambda: now[0]) as (_, _):
        for turn in range(60):  # without a reset of the backoff, the sixtieth delay would never end
            until(lambda turn=turn: len(watches(server)) > turn, "one more watch")  # type: ignore[misc]
            now[0] += 6
            server.cut()


def test_retry_after_is_respected(server: ApiServer, client: Client) -> None:
    server.script.add("status", is_list, code=429, headers={"Retry-After": "3600"})
    with running(client, synced=False, timing=replace(QUICK, max_delay_seconds=0.4)) as (informer, _):
        started_at = time.monotonic()
        assert informer.wait_for_sync(20)
        assert time.monotonic() - started_at > 0.3  # limited by our maximum, and not shorter


def test_error_explains_why_nothing_is_listed(server: ApiServer, client: Client) -> None:
    server.missing.add("widgets")
    with running(client, synced=False) as (informer, _):
        until(lambda: informer.error, "the failure")
        assert not informer.has_synced
        assert isinstance(informer.error, errors.NotFound)
        server.missing.clear()
        until(lambda: informer.has_synced and informer.error is None, "the resource")


@pytest.mark.parametrize("kind", ["half_open", "status"])
def test_stop_interrupts_every_wait(server: ApiServer, client: Client, kind: str) -> None:
    server.script.add(kind, is_watch, times=10**6, code=503, events=0)
    with running(client, timing=replace(QUICK, idle_seconds=300, initial_delay_seconds=300, max_delay_seconds=300)) as (
        informer,
        _,
    ):
        until(lambda: watches(server), "the watch")
        informer.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("informer ")]


def test_informer_that_never_started_can_be_stopped(client: Client) -> None:
    with pytest.raises(RuntimeError), running(client, synced=False) as (informer, _):
        informer.start()


def test_own_write_is_visible_at_once_and_reported_once(server: ApiServer, client: Client) -> None:
    server.script.add("half_open", is_watch, times=10**6, events=0)
    with running(client) as (informer, mirror):
        widgets = ResourceClient(client, WIDGETS)
        informer.objects.record_write(widgets.create({**widget(1), "metadata": {"name": "a"}}))
        assert sizes(informer) == {"a": 1}
        informer.objects.record_write(widgets.merge("a", {"spec": {"size": 2}}))
        assert sizes(informer) == {"a": 2}
        server.script.clear()
        server.cut()
        server.put(f"{PATH}/b", widget(3))
        until(lambda: len(sizes(informer)) == 2, "the watch")
        assert [(key, new and new[1]) for key, _, new in mirror.changes] == [("ns/a", 1), ("ns/a", 2), ("ns/b", 3)]
