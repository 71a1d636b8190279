"""Requests: what is sent, what is made of the answer, and which error tells what."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes.client import Configuration

from kube import errors
from kube.client import Client, parse_json
from kube.objects import Resource, ResourceClient
from tests.kube.apiserver import TOKEN, ApiServer, configuration_of
from tests.kube.faults import Request
from tests.kube.informers import until

WIDGETS = Resource("example.io", "v1", "widgets", "ns")
PATH = WIDGETS.path()


def any_request(_: Request) -> bool:
    return True


def widget(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": spec}


def test_an_object_is_created_read_changed_and_deleted(client: Client) -> None:
    widgets = ResourceClient(client, WIDGETS)
    created = widgets.create(widget("a", size=1))
    assert widgets.get("a") == created
    assert widgets.merge("a", {"spec": {"size": 2, "colour": "red"}})["spec"] == {"size": 2, "colour": "red"}
    operations: list[dict[str, Any]] = [{"op": "test", "path": "/spec/size", "value": 2}]
    patched = widgets.patch("a", [*operations, {"op": "remove", "path": "/spec/colour"}])
    assert patched["spec"] == {"size": 2}
    assert widgets.replace("a", {**patched, "spec": {"size": 3}})["metadata"]["generation"] == 4
    widgets.delete("a", uid=created["metadata"]["uid"])
    with pytest.raises(errors.NotFound):
        widgets.get("a")


def test_a_stale_version_a_foreign_uid_and_a_failed_test_change_nothing(client: Client) -> None:
    widgets = ResourceClient(client, WIDGETS)
    created = widgets.create(widget("a", size=1))
    widgets.merge("a", {"spec": {"size": 2}})
    with pytest.raises(errors.Conflict):
        widgets.replace("a", {**created, "spec": {"size": 9}})
    with pytest.raises(errors.Conflict):
        widgets.merge("a", {"metadata": {"resourceVersion": "1"}, "spec": {"size": 9}})
    with pytest.raises(errors.Invalid, match=r"metadata\.uid"):
        widgets.merge("a", {"metadata": {"uid": "another"}, "spec": {"size": 9}})
    with pytest.raises(errors.Conflict):
        widgets.delete("a", version=created["metadata"]["resourceVersion"])
    with pytest.raises(errors.Conflict):
        widgets.delete("a", uid="another")
    with pytest.raises(errors.Invalid):
        widgets.patch("a", [{"op": "test", "path": "/spec/size", "value": 1}])
    with pytest.raises(errors.AlreadyExists):
        widgets.create(widget("a"))
    assert widgets.get("a")["spec"] == {"size": 2}


def test_status_is_changed_apart_from_the_rest(server: ApiServer, client: Client) -> None:
    jobs = ResourceClient(client, Resource("primehub.io", "v1alpha1", "phjobs", "ns"))
    jobs.create(widget("a", command="x"))
    assert "status" not in jobs.merge("a", {"status": {"phase": "Failed"}})
    changed = jobs.merge("a", {"status": {"phase": "Failed"}, "spec": {"command": "y"}}, "status")
    assert (changed["status"], changed["spec"]) == ({"phase": "Failed"}, {"command": "x"})


def test_a_list_comes_in_pages_of_one_moment(server: ApiServer, client: Client) -> None:
    widgets = ResourceClient(client, WIDGETS)
    for number in range(7):
        server.put(f"{PATH}/w{number}", {"metadata": {"labels": {"odd": str(number % 2)}}})
    pages = widgets.pages({}, 3)
    first = next(pages)
    server.put(f"{PATH}/w9", {})
    assert [[item["metadata"]["name"] for item in page.items] for page in (first, *pages)] == [
        ["w0", "w1", "w2"],
        ["w3", "w4", "w5"],
        ["w6"],
    ]
    selected = [item for page in widgets.pages({"labelSelector": "odd=1"}) for item in page.items]
    assert [item["metadata"]["name"] for item in selected] == ["w1", "w3", "w5"]
    assert [page.items for page in widgets.pages({"fieldSelector": "metadata.name=none"})] == [[]]


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (400, errors.Invalid, False),
        (401, errors.Unauthorized, False),
        (403, errors.Forbidden, False),
        (404, errors.NotFound, False),
        (409, errors.Conflict, False),
        (410, errors.Gone, False),
        (418, errors.StatusError, False),
        (422, errors.Invalid, False),
        (429, errors.Busy, True),
        (500, errors.ServerFault, True),
        (503, errors.ServerFault, True),
    ],
)
def test_every_status_has_its_error(
    server: ApiServer, client: Client, code: int, kind: type[errors.StatusError], retryable: bool
) -> None:
    server.script.add("status", any_request, code=code, headers={"Retry-After": "7"})
    with pytest.raises(kind) as caught:
        ResourceClient(client, WIDGETS).get("a")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (code, "Scripted", "scripted")
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, 7)


@pytest.mark.parametrize("kind", ["reset", "truncated", "half_open"])
def test_an_answer_that_does_not_come_is_told_as_unreachable(server: ApiServer, client: Client, kind: str) -> None:
    widgets = ResourceClient(client, WIDGETS, timeout=0.2)
    widgets.create(widget("a", padding="x" * 1000))
    server.script.add(kind, any_request)
    with pytest.raises(errors.Unreachable):
        widgets.get("a")
    assert widgets.get("a")["spec"]["padding"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"<html>"])
def test_an_answer_that_is_no_object_is_told_as_unreachable(server: ApiServer, client: Client, text: bytes) -> None:
    server.script.add("text", any_request, text=text)
    with pytest.raises(errors.Unreachable):
        ResourceClient(client, WIDGETS).get("a")


def test_nobody_there_is_told_as_unreachable() -> None:
    with ApiServer() as server:
        client = server.client()
    with pytest.raises(errors.Unreachable, match="does not answer"):
        ResourceClient(client, WIDGETS).get("a")
    client.close()


def test_a_missing_resource_is_told_when_it_is_listed(server: ApiServer, client: Client) -> None:
    server.missing.add("widgets")
    with pytest.raises(errors.NotFound, match="404 page not found"):
        list(ResourceClient(client, WIDGETS).pages({}))


def test_the_token_is_asked_for_anew_for_every_request_and_is_in_no_error(server: ApiServer) -> None:
    tokens = iter(["Bearer old-secret", TOKEN, "Bearer bad\nX-Other: 1"])

    def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = next(tokens)

    client = Client(configuration_of(server.url, refresh_api_key_hook=refresh))
    widgets = ResourceClient(client, WIDGETS)
    with pytest.raises(errors.Unauthorized) as refused:
        widgets.get("a")
    with pytest.raises(errors.NotFound):
        widgets.get("a")
    with pytest.raises(errors.NotConfigured) as unusable:
        widgets.get("a")
    assert "old-secret" not in str(refused.value)
    assert "bad" not in str(unusable.value)
    client.close()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_never_sent(server: ApiServer, client: Client, name: str) -> None:
    with pytest.raises(ValueError, match="must not"):
        ResourceClient(client, WIDGETS).delete(name)
    assert server.requests == []


def test_a_name_with_odd_characters_stays_one_component(server: ApiServer, client: Client) -> None:
    with pytest.raises(errors.NotFound):
        ResourceClient(client, WIDGETS).get("../../b?c#d%2e")
    assert server.requests[0].path == f"{PATH}/..%2F..%2Fb%3Fc%23d%252e"


def test_many_threads_share_a_client_and_few_connections(server: ApiServer) -> None:
    client = server.client(max_connections=4)
    widgets = ResourceClient(client, WIDGETS)

    def work(number: int) -> set[str]:
        return {widgets.create(widget(f"w{number}-{turn}"))["metadata"]["name"] for turn in range(5)}

    with ThreadPoolExecutor(12) as pool:
        made = set().union(*pool.map(work, range(12)))
    assert server.connection_count <= 4
    assert made == {f"w{number}-{turn}" for number in range(12) for turn in range(5)}
    assert len(server.objects.history) == 60
    client.close()


def test_redirects_are_not_followed(server: ApiServer, client: Client) -> None:
    server.script.add("status", any_request, code=302, headers={"Location": f"{server.url}{PATH}/b"})
    with pytest.raises(errors.StatusError) as caught:
        ResourceClient(client, WIDGETS).get("a")
    assert caught.value.status == 302
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["reset", "status"])
def test_failed_requests_are_not_retried(server: ApiServer, client: Client, kind: str) -> None:
    server.script.add(kind, any_request, code=503, headers={"Retry-After": "0"})
    with pytest.raises(errors.KubeError):
        ResourceClient(client, WIDGETS).get("a")
    assert len(server.requests) == 1


def test_requests_wait_for_a_free_connection_as_long_as_their_timeout(server: ApiServer) -> None:
    client = server.client(max_connections=1)
    server.script.add("slow", any_request, seconds=0.5)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ResourceClient(client, WIDGETS).create, widget("a"))
        until(lambda: server.requests, "the slow request")
        with pytest.raises(errors.Unreachable, match="have been in use"):
            ResourceClient(client, WIDGETS, timeout=0.1).get("a")
        assert ResourceClient(client, WIDGETS).get("a") == slow.result()
    client.close()


def test_an_object_nested_too_deep_reads_as_null_there_and_hides_nothing_else() -> None:
    deep = b'{"items": [{"a": "]]}}\\"[", "spec": ' + b"[" * 5000 + b'"x"' + b"]" * 5000 + b', "b": 1}, {"c": 2}]}'
    document = parse_json(deep)
    assert (document["items"][0]["a"], document["items"][0]["b"], document["items"][1]) == (']]}}"[', 1, {"c": 2})
    shallow = document["items"][0]["spec"]
    while shallow:
        shallow = shallow[0]
    assert shallow is None


def test_a_document_keeps_every_field_that_the_server_sent(server: ApiServer, client: Client) -> None:
    odd = {"metadata": {"name": "a"}, "spec": {"x-unknown": [{"restartPolicy": "Always"}, None, 2**60, "ü\u2028"]}}
    created = ResourceClient(client, WIDGETS).create(odd)
    assert created["spec"] == odd["spec"]
    assert json.loads(json.dumps(created)) == created


def test_each_request_is_told_with_its_method_and_its_error(server: ApiServer) -> None:
    client = server.client()
    told: list[tuple[str, str | None]] = []
    client.observe(lambda method, seconds, error: told.append((method, type(error).__name__ if error else None)))
    widgets = ResourceClient(client, WIDGETS)
    widgets.create(widget("a"))
    with pytest.raises(errors.AlreadyExists):
        widgets.create(widget("a"))
    server.script.add("status", any_request, code=503)
    with pytest.raises(errors.ServerFault):
        widgets.get("a")
    with widgets.watch({}, "", 1, 5.0) as stream:
        next(iter(stream))
    client.close()
    assert told == [("POST", None), ("POST", "AlreadyExists"), ("GET", "ServerFault"), ("WATCH", None)]
