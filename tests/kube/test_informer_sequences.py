"""Random changes and faults: in the end the cache shows what there is, and its handlers were told just that."""

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kube import errors
from kube.client import Client
from kube.objects import ResourceClient
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.faults import Request
from tests.kube.informers import PATH, QUICK, WIDGETS, running, sizes, until, widget

HASTY = replace(QUICK, idle_seconds=0.15, initial_delay_seconds=0.002, max_delay_seconds=0.01)
NAMES = st.sampled_from([f"w{number}" for number in range(8)])
FAULTS = st.sampled_from(
    [
        ("status", {"code": 500}),
        ("status", {"code": 403}),
        ("status", {"code": 410}),
        ("status", {"code": 429}),
        ("reset", {"events": 0}),
        ("reset", {"events": 2}),
        ("truncated", {}),
        ("text", {"text": b"{}"}),
        ("end", {"events": 1}),
        ("line", {"text": b"?", "events": 1}),
        ("slow", {"seconds": 0.02}),
        ("half_open", {"events": 1}),
    ]
)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["put", "put", "own", "remove"]), NAMES),
    st.tuples(st.sampled_from(["list fault", "watch fault"]), FAULTS),
    st.tuples(st.sampled_from(["compact", "cut", "settle"]), st.none()),
)


def is_read(request: Request) -> bool:
    return request.method == "GET"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=5, max_size=40))
def test_nothing_is_lost_and_nothing_is_a_phantom(
    server: ApiServer, client: Client, actions: list[tuple[str, Any]]
) -> None:
    server.script.clear()
    server.objects.forget_objects(100)
    with running(client, synced=False, timeout=0.1, timing=HASTY) as (cache, mirror):
        for number, (action, about) in enumerate(actions):
            perform(server, client, cache.objects, (action, about), number)
            if action == "settle":
                server.script.clear()
                until(lambda: sizes(cache) == there(server), "the truth")
        server.script.clear()
        until(lambda: cache.has_synced and sizes(cache) == there(server), "the truth in the end")
        assert mirror.found == {key: cache.objects.get(key) for key in cache.objects.list_keys()}
        assert mirror.misfits == []


def perform(server: ApiServer, client: Client, known: Any, action: tuple[str, Any], number: int) -> None:
    kind, about = action
    if kind == "put":
        server.put(f"{PATH}/{about}", widget(number))
    elif kind == "own":
        try:
            known.record_write(ResourceClient(client, WIDGETS).merge(about, {"spec": {"size": number}}))
        except errors.KubeError:
            return
    elif kind == "remove":
        if about in there(server):
            server.remove(f"{PATH}/{about}")
    elif kind == "compact":
        server.objects.compact()
        server.cut()
    elif kind == "cut":
        server.cut()
    elif kind != "settle":
        fault, given_ = about
        server.script.add(fault, lambda request: is_read(request) and request.is_watch == (kind[0] == "w"), **given_)


def there(server: ApiServer) -> dict[str, Any]:
    place = parse_path(PATH)
    return {found["metadata"]["name"]: found["spec"]["size"] for found in server.objects.all(place)}


def test_two_thousand_objects_are_followed_without_being_kept_whole(server: ApiServer, client: Client) -> None:
    for number in range(2000):
        server.put(f"{PATH}/w{number}", {**widget(number), "padding": "x" * 500})
    with running(client, timing=HASTY) as (cache, _):
        assert len(sizes(cache)) == 2000
        assert not any("x" * 500 in str(found) for found in cache.objects.values())
