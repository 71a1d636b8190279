"""After random changes and faults, informer and handlers have exactly the server's objects."""

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
def test_informer_converges_without_lost_or_phantom_objects(
    server: ApiServer, client: Client, actions: list[tuple[str, Any]]
) -> None:
    server.script.clear()
    server.objects.forget_objects(100)
    with running(client, synced=False, timeout=0.1, timing=HASTY) as (informer, mirror):
        for number, (action, argument) in enumerate(actions):
            perform(server, client, informer.objects, (action, argument), number)
            if action == "settle":
                server.script.clear()
                until(lambda: sizes(informer) == server_objects(server), "the current objects")
        server.script.clear()
        until(lambda: informer.has_synced and sizes(informer) == server_objects(server), "the final objects")
        assert mirror.objects == {key: informer.objects.get(key) for key in informer.objects.list_keys()}
        assert mirror.inconsistencies == []


def perform(server: ApiServer, client: Client, indexer: Any, action: tuple[str, Any], number: int) -> None:
    kind, argument = action
    if kind == "put":
        server.put(f"{PATH}/{argument}", widget(number))
    elif kind == "own":
        try:
            indexer.record_write(ResourceClient(client, WIDGETS).merge(argument, {"spec": {"size": number}}))
        except errors.KubeError:
            return
    elif kind == "remove":
        if argument in server_objects(server):
            server.remove(f"{PATH}/{argument}")
    elif kind == "compact":
        server.objects.compact()
        server.cut()
    elif kind == "cut":
        server.cut()
    elif kind != "settle":
        fault, options = argument
        server.script.add(fault, lambda request: is_read(request) and request.is_watch == (kind[0] == "w"), **options)


def server_objects(server: ApiServer) -> dict[str, Any]:
    path = parse_path(PATH)
    return {document["metadata"]["name"]: document["spec"]["size"] for document in server.objects.all(path)}


def test_only_trimmed_objects_are_stored(server: ApiServer, client: Client) -> None:
    for number in range(2000):
        server.put(f"{PATH}/w{number}", {**widget(number), "padding": "x" * 500})
    with running(client, timing=HASTY) as (informer, _):
        assert len(sizes(informer)) == 2000
        assert not any("x" * 500 in str(spec) for spec in informer.objects.values())
