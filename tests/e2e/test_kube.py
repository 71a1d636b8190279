"""kube/ on a real API server: checks what the tests of kube/ assume about it, and connection faults."""

import copy
import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from kubernetes.client import Configuration

from kube import errors
from kube.client import Client
from kube.informer import Informer, InformerTiming
from kube.leader_election import LeaderElection, hold_lease
from kube.lease import Lease, LeaseTiming
from kube.objects import Resource, ResourceClient
from tests.e2e.accounts import client_with_token, create_service_account, create_token, grant_role
from tests.e2e.conftest import CRDS, crd, ensure_crd, wait_until
from tests.e2e.kubectl import KUBECTL
from tests.kube.proxy import Proxy

QUICK = InformerTiming(page_size=50, idle_seconds=3.0, initial_delay_seconds=0.05, max_delay_seconds=0.5)


@pytest.fixture(scope="module")
def group(access: Configuration) -> Iterator[str]:
    """A new API group with the resource widgets."""
    client, name = Client(access), f"{uuid.uuid4().hex[:8]}.example.io"
    ensure_crd(client, crd(name, "widgets", "Widget"))
    yield name
    ResourceClient(client, CRDS).delete(f"widgets.{name}")
    client.close()


@pytest.fixture
def resource(group: str, namespace: str) -> Resource:
    """The resource widgets in the test namespace."""
    return Resource(group, "v1alpha1", "widgets", namespace)


@pytest.fixture
def widgets(admin: Client, resource: Resource) -> ResourceClient:
    """A client for widgets with administrator rights."""
    return ResourceClient(admin, resource)


def widget(widgets: ResourceClient, name: str, **spec: Any) -> dict[str, Any]:
    """Return a widget with that spec."""
    version = f"{widgets.resource.group}/{widgets.resource.version}"
    return {"apiVersion": version, "kind": "Widget", "metadata": {"name": name}, "spec": spec}


def size(document: Mapping[str, Any]) -> Any:
    """Return the indexed value of a widget."""
    return document["spec"]["size"]


@contextmanager
def running(client: Client, resource: Resource, timing: InformerTiming = QUICK) -> Iterator[Informer[Any]]:
    """Run an informer for the resource."""
    cache = Informer(ResourceClient(client, resource, timeout=3.0), size, timing=timing)
    cache.start()
    try:
        yield cache
    finally:
        cache.stop()


def sizes(cache: Informer[Any]) -> dict[str, Any]:
    """Return the informer's indexed values by name."""
    return {key.split("/")[1]: cache.objects.get(key) for key in cache.objects.list_keys()}


def test_objects_are_created_changed_and_deleted_under_preconditions(widgets: ResourceClient) -> None:
    created = widgets.create(widget(widgets, "a", size=1))
    with pytest.raises(errors.AlreadyExists):
        widgets.create(widget(widgets, "a"))
    assert widgets.merge("a", {"spec": {"size": 2, "odd": [None, {"x": 1}]}})["spec"]["size"] == 2
    with pytest.raises(errors.Conflict):
        widgets.replace("a", {**created, "spec": {"size": 9}})
    with pytest.raises(errors.Conflict):
        widgets.merge("a", {"metadata": {"resourceVersion": "1"}, "spec": {"size": 9}})
    with pytest.raises((errors.Invalid, errors.Conflict), match=r"(?i)uid"):
        widgets.merge("a", {"metadata": {"uid": str(uuid.uuid4())}, "spec": {"size": 9}})
    with pytest.raises(errors.Invalid):
        widgets.patch("a", [{"op": "test", "path": "/spec/size", "value": 9}, {"op": "remove", "path": "/spec"}])
    with pytest.raises(errors.Conflict):
        widgets.delete("a", uid=str(uuid.uuid4()))
    with pytest.raises(errors.Conflict):
        widgets.delete("a", version=created["metadata"]["resourceVersion"])
    now = widgets.get("a")
    assert (now["spec"]["size"], now["metadata"]["generation"]) == (2, 2)
    widgets.delete("a", uid=now["metadata"]["uid"], version=now["metadata"]["resourceVersion"])
    with pytest.raises(errors.NotFound):
        widgets.get("a")


def test_status_is_a_subresource(widgets: ResourceClient) -> None:
    widgets.create(widget(widgets, "a", size=1))
    assert "status" not in widgets.merge("a", {"status": {"phase": "x"}})
    changed = widgets.merge("a", {"status": {"phase": "x"}, "spec": {"size": 9}}, "status")
    assert (changed["status"], changed["spec"]) == ({"phase": "x"}, {"size": 1})


def test_missing_resource_raises_not_found(admin: Client, group: str, namespace: str) -> None:
    for missing in (
        Resource("none.example.io", "v1", "widgets", namespace),
        Resource(group, "v9", "widgets", namespace),
    ):
        with pytest.raises(errors.NotFound):
            list(ResourceClient(admin, missing).pages({}))


def test_paged_list_and_watch_report_all_objects(widgets: ResourceClient, admin: Client, resource: Resource) -> None:
    for number in range(180):
        widgets.create(widget(widgets, f"w{number}", size=number))
    with running(admin, resource) as cache:
        wait_until(lambda: cache.has_synced, "the list")
        assert sizes(cache) == {f"w{number}": number for number in range(180)}
        for number in range(0, 180, 2):
            widgets.delete(f"w{number}")
        widgets.merge("w1", {"spec": {"size": "one"}})
        expected = {f"w{number}": number for number in range(3, 180, 2)} | {"w1": "one"}
        wait_until(lambda: sizes(cache) == expected, "the changes")
        cache.objects.record_write(widgets.create(widget(widgets, "new", size=5)))
        assert sizes(cache)["new"] == 5


def test_stalled_and_cut_connections_lose_no_change(
    widgets: ResourceClient, access: Configuration, resource: Resource
) -> None:
    address = urlsplit(access.host)
    proxy = Proxy((str(address.hostname), address.port or 443))
    proxied = copy.deepcopy(access)
    proxied.host = f"https://127.0.0.1:{proxy.port}"
    client = Client(proxied)
    try:
        with running(client, resource) as cache:
            wait_until(lambda: cache.has_synced, "the list")
            widgets.create(widget(widgets, "a", size=1))
            wait_until(lambda: sizes(cache) == {"a": 1}, "the watch")
            proxy.frozen.set()
            widgets.create(widget(widgets, "b", size=2))
            widgets.delete("a")
            wait_until(lambda: cache.error, "the stalled connection is noticed")
            proxy.frozen.clear()
            wait_until(lambda: sizes(cache) == {"b": 2}, "the changes during the stall")
            for number in range(10):
                proxy.cut()
                widgets.merge("b", {"spec": {"size": number}})
            wait_until(lambda: sizes(cache) == {"b": 9}, "the changes between the cuts")
    finally:
        client.close()
        proxy.close()


def test_deeply_nested_object_does_not_hide_other_objects(
    widgets: ResourceClient, admin: Client, resource: Resource
) -> None:
    widgets.create(widget(widgets, "good", size=1))
    deep = b'{"size": 2, "deep": ' + b"[" * 3000 + b"]" * 3000 + b"}"
    body = json.dumps(widget(widgets, "deep")).encode().replace(b'"spec": {}', b'"spec": ' + deep)
    create = [str(KUBECTL), "create", "--raw", resource.path(), "-f", "-"]
    subprocess.run(create, input=body, check=True, capture_output=True)
    with running(admin, resource) as cache:
        wait_until(lambda: sizes(cache) == {"good": 1, "deep": 2}, "both, by list")
    with running(admin, resource) as cache:
        wait_until(lambda: cache.has_synced, "the list")
        widgets.merge("good", {"spec": {"size": 3}})
        wait_until(lambda: sizes(cache)["good"] == 3, "the watch goes on")


def test_granted_rights_are_noticed(
    widgets: ResourceClient, admin: Client, access: Configuration, resource: Resource
) -> None:
    create_service_account(admin, resource.namespace, "reader")
    rules = [{"apiGroups": [resource.group], "resources": ["widgets"], "verbs": ["list", "watch"]}]
    client = client_with_token(access, create_token(admin, resource.namespace, "reader"))
    with running(client, resource) as cache:
        wait_until(lambda: isinstance(cache.error, errors.Forbidden), "forbidden")
        grant_role(admin, resource.namespace, "reader", rules)
        wait_until(lambda: cache.has_synced, "the list, once allowed")
        widgets.create(widget(widgets, "a", size=1))
        wait_until(lambda: sizes(cache) == {"a": 1}, "the watch")
    client.close()


def test_only_one_leads_and_a_held_lease_excludes_others(admin: Client, namespace: str) -> None:
    changes: list[tuple[str, bool]] = []

    def election(name: str) -> LeaderElection:
        lease = Lease(admin, namespace, "leader", name, LeaseTiming(3.0))
        return LeaderElection(lease, lambda leads: changes.append((name, leads)))

    first, second = election("a"), election("b")
    first.start()
    wait_until(lambda: first.is_leader, "a leads")
    second.start()
    first.stop()
    wait_until(lambda: second.is_leader, "b leads")
    second.stop()
    assert changes == [("a", True), ("a", False), ("b", True), ("b", False)]
    with hold_lease(admin, namespace, "run", "pod") as held:
        assert held
        with hold_lease(admin, namespace, "run", "pod") as other:
            assert other is None
    with hold_lease(admin, namespace, "run", "pod") as again:
        assert again
