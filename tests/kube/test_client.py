"""Requests: what is sent, how responses are parsed, and which errors are raised."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes.client import Configuration

from kube import errors
from kube.client import Client, parse_json
from kube.objects import MAX_PAGE_BYTES, Resource, ResourceClient
from tests.kube.apiserver import TOKEN, ApiServer, configuration_of
from tests.kube.faults import Request
from tests.kube.informers import until

WIDGETS = Resource("example.io", "v1", "widgets", "ns")
PATH = WIDGETS.path()


def any_request(_: Request) -> bool:
    return True


def widget(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": spec}


def test_objects_are_created_read_changed_and_deleted(client: Client) -> None:
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


def test_the_servers_time_is_that_of_its_last_response(client: Client) -> None:
    assert client.server_time() is None
    ResourceClient(client, WIDGETS).create(widget("a"))
    now = client.server_time()
    assert now is not None
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_failed_preconditions_change_nothing(client: Client) -> None:
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


def test_status_is_changed_only_through_its_subresource(server: ApiServer, client: Client) -> None:
    jobs = ResourceClient(client, Resource("primehub.io", "v1alpha1", "phjobs", "ns"))
    jobs.create(widget("a", command="x"))
    assert "status" not in jobs.merge("a", {"status": {"phase": "Failed"}})
    changed = jobs.merge("a", {"status": {"phase": "Failed"}, "spec": {"command": "y"}}, "status")
    assert (changed["status"], changed["spec"]) == ({"phase": "Failed"}, {"command": "x"})


def test_pages_belong_to_one_consistent_list(server: ApiServer, client: Client) -> None:
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
def test_each_status_raises_its_error(
    server: ApiServer, client: Client, code: int, kind: type[errors.StatusError], retryable: bool
) -> None:
    server.script.add("status", any_request, code=code, headers={"Retry-After": "7"})
    with pytest.raises(kind) as caught:
        ResourceClient(client, WIDGETS).get("a")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (code, "Scripted", "scripted")
    assert (caught.value.retryable, caught.value.retry_after) == (retryable, 7)


@pytest.mark.parametrize("kind", ["reset", "truncated", "half_open"])
def test_missing_response_raises_unreachable(server: ApiServer, client: Client, kind: str) -> None:
    widgets = ResourceClient(client, WIDGETS, timeout=0.2)
    widgets.create(widget("a", padding="x" * 1000))
    server.script.add(kind, any_request)
    with pytest.raises(errors.Unreachable):
        widgets.get("a")
    assert widgets.get("a")["spec"]["padding"]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"<html>"])
def test_response_that_is_not_an_object_raises_unreachable(server: ApiServer, client: Client, text: bytes) -> None:
    server.script.add("text", any_request, text=text)
    with pytest.raises(errors.Unreachable):
        ResourceClient(client, WIDGETS).get("a")


def test_closed_port_raises_unreachable() -> None:
    with ApiServer() as server:
        client = server.client()
    with pytest.raises(errors.Unreachable, match="does not answer"):
        ResourceClient(client, WIDGETS).get("a")
    client.close()


def test_listing_a_missing_resource_raises_not_found(server: ApiServer, client: Client) -> None:
    server.missing.add("widgets")
    with pytest.raises(errors.NotFound, match="404 page not found"):
        list(ResourceClient(client, WIDGETS).pages({}))


def test_token_is_refreshed_for_every_request_and_not_in_any_error(server: ApiServer) -> None:
    tokens = iter(["Bearer old-secret", TOKEN, "Bearer bad\nX-Other: 1"])

    def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = next(tokens)

    client = Client(configuration_of(server.url, refresh_api_key_hook=refresh))
    widgets = ResourceClient(client, WIDGETS)
    with pytest.raises(errors.Unauthorized) as unauthorized:
        widgets.get("a")
    with pytest.raises(errors.NotFound):
        widgets.get("a")
    with pytest.raises(errors.NotConfigured) as invalid:
        widgets.get("a")
    assert "old-secret" not in str(unauthorized.value)
    assert "bad" not in str(invalid.value)
    client.close()


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_name_that_changes_the_path_is_never_sent(server: ApiServer, client: Client, name: str) -> None:
    with pytest.raises(ValueError, match="must not"):
        ResourceClient(client, WIDGETS).delete(name)
    assert server.requests == []


def test_special_characters_in_names_are_escaped(server: ApiServer, client: Client) -> None:
    with pytest.raises(errors.NotFound):
        ResourceClient(client, WIDGETS).get("../../b?c#d%2e")
    assert server.requests[0].path == f"{PATH}/..%2F..%2Fb%3Fc%23d%252e"


def test_many_threads_share_few_connections(server: ApiServer) -> None:
    client = server.client(max_connections=4)
    widgets = ResourceClient(client, WIDGETS)

    def work(number: int) -> set[str]:
        return {widgets.create(widget(f"w{number}-{turn}"))["metadata"]["name"] for turn in range(5)}

    with ThreadPoolExecutor(12) as pool:
        created = set().union(*pool.map(work, range(12)))
    assert server.connection_count <= 4
    assert created == {f"w{number}-{turn}" for number in range(12) for turn in range(5)}
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


def test_request_waits_for_a_free_connection_until_its_timeout(server: ApiServer) -> None:
    client = server.client(max_connections=1)
    server.script.add("slow", any_request, seconds=0.5)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ResourceClient(client, WIDGETS).create, widget("a"))
        until(lambda: server.requests, "the slow request")
        with pytest.raises(errors.Unreachable, match="have been in use"):
            ResourceClient(client, WIDGETS, timeout=0.1).get("a")
        assert ResourceClient(client, WIDGETS).get("a") == slow.result()
    client.close()


def test_deeply_nested_values_are_read_as_null_and_the_rest_is_intact() -> None:
    deep = b'{"items": [{"a": "]]}}\\"[", "spec": ' + b"[" * 5000 + b'"x"' + b"]" * 5000 + b', "b": 1}, {"c": 2}]}'
    document = parse_json(deep)
    assert (document["items"][0]["a"], document["items"][0]["b"], document["items"][1]) == (']]}}"[', 1, {"c": 2})
    shallow = document["items"][0]["spec"]
    while shallow:
        shallow = shallow[0]
    assert shallow is None


def test_documents_preserve_all_fields(server: ApiServer, client: Client) -> None:
    odd = {"metadata": {"name": "a"}, "spec": {"x-unknown": [{"restartPolicy": "Always"}, None, 2**60, "ü\u2028"]}}
    created = ResourceClient(client, WIDGETS).create(odd)
    assert created["spec"] == odd["spec"]
    assert json.loads(json.dumps(created)) == created


def test_observer_is_called_with_method_and_error(server: ApiServer) -> None:
    client = server.client()
    calls: list[tuple[str, str | None]] = []
    client.observe(lambda method, seconds, error: calls.append((method, type(error).__name__ if error else None)))
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
    assert calls == [("POST", None), ("POST", "AlreadyExists"), ("GET", "ServerFault"), ("WATCH", None)]


SIZES = {
    "large": [MAX_PAGE_BYTES // 3] * 20,
    "small first": [100] * 200 + [MAX_PAGE_BYTES // 3] * 20,
    "mixed": [100 if number % 7 else MAX_PAGE_BYTES // 2 for number in range(100)],
    "larger than a page": [100, MAX_PAGE_BYTES * 2, 100],
}


@pytest.mark.parametrize("case", SIZES)
def test_pages_are_limited_by_bytes(server: ApiServer, client: Client, case: str) -> None:
    names = [f"w{number:03}" for number in range(len(SIZES[case]))]
    for name, size in zip(names, SIZES[case], strict=True):
        server.put(f"{PATH}/{name}", {"metadata": {"annotations": {"a": "x" * size}}})
    pages = list(ResourceClient(client, WIDGETS).pages({}))
    assert [item["metadata"]["name"] for page in pages for item in page.items] == names
    sizes = [sum(len(json.dumps(item)) for item in page.items) for page in pages]
    assert all(size <= MAX_PAGE_BYTES or len(page.items) == 1 for page, size in zip(pages, sizes, strict=True))
    assert len(server.requests) <= 3 * len(names) // 2 + 10


def test_small_objects_are_listed_in_large_pages(server: ApiServer, client: Client) -> None:
    for number in range(2000):
        server.put(f"{PATH}/w{number}", {})
    assert sum(len(page.items) for page in ResourceClient(client, WIDGETS).pages({})) == 2000
    assert [request.query["limit"] for request in server.requests] == ["10", "40", "160", "500", "500", "500", "500"]


def test_pages_become_smaller_if_the_server_is_too_slow_for_them(server: ApiServer, client: Client) -> None:
    for number in range(30):
        server.put(f"{PATH}/w{number:02}", {})
    server.script.add("half_open", lambda request: int(request.query["limit"]) > 4, times=10**6)
    pages = list(ResourceClient(client, WIDGETS, timeout=0.3).pages({}))
    assert sum(len(page.items) for page in pages) == 30
    assert [request.query["limit"] for request in server.requests][:5] == ["10", "1", "2", "2", "2"]
