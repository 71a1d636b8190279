"""The poller of the cluster's version, against a fake API server over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from controller import version_poller
from controller.inject.cluster_version import ClusterVersion, Version
from controller.version_poller import ClusterVersionPoller
from tests.kube.apiserver import ApiServer
from tests.kube.faults import Request
from tests.kube.informers import until

OLD, NEW = (1, 28), (1, 34)
ALWAYS = 10**9


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        report_version(api_server)
        yield api_server


def report_version(server: ApiServer) -> None:
    server.script.add("text", is_version_request, times=ALWAYS, text=b'{"major": "1", "minor": "34"}')


def is_version_request(request: Request) -> bool:
    return request.path == "/version"


def is_nodes_request(request: Request) -> bool:
    return request.path == "/api/v1/nodes"


def add_node(server: ApiServer, name: str, version: str, **labels: str) -> None:
    all_labels = {"kubernetes.io/os": "linux", **labels}
    status = {"nodeInfo": {"kubeletVersion": version}}
    server.put(f"/api/v1/nodes/{name}", {"metadata": {"labels": all_labels}, "status": status})


@contextmanager
def polling(server: ApiServer, seconds: float = 600.0) -> Iterator[ClusterVersionPoller]:
    client = server.client()
    poller = ClusterVersionPoller(client, seconds)
    poller.start()
    try:
        yield poller
    finally:
        poller.stop()
        client.close()


def polled_version(server: ApiServer) -> Version | None:
    with polling(server) as poller:
        until(lambda: poller().oldest, "a version")
        return poller().oldest


def test_without_nodes_the_version_is_the_api_servers(server: ApiServer) -> None:
    assert polled_version(server) == NEW


def test_the_version_is_that_of_the_oldest_kubelet(server: ApiServer) -> None:
    for number in range(120):  # more than one page
        add_node(server, f"new-{number}", "v1.34.1")
    add_node(server, "on-the-second-page", "v1.28.15-eks-ab12")
    assert polled_version(server) == OLD


def test_nodes_that_cannot_run_jobs_are_ignored(server: ApiServer) -> None:
    add_node(server, "windows", "v1.27.0", **{"kubernetes.io/os": "windows"})
    add_node(server, "virtual", "v1.19.10-vk-azure-aci", type="virtual-kubelet")
    add_node(server, "odd", "latest")
    assert polled_version(server) == NEW


def test_only_the_api_server_is_checked_if_listing_nodes_is_forbidden(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    add_node(server, "old", "v1.28.1")
    server.script.add("status", is_nodes_request, code=403, message="nodes is forbidden")
    assert polled_version(server) == NEW
    assert "cannot list nodes, only the API server's version is checked error=\"403" in caplog.text


def test_the_version_is_unknown_until_nodes_are_listed(server: ApiServer) -> None:
    server.script.add("status", is_nodes_request, times=ALWAYS, code=500)
    with polling(server) as poller:
        until(lambda: any(map(is_nodes_request, server.requests)), "a poll")
        assert poller() == ClusterVersion(None)
        assert poller.problem() == "the cluster's version is not known yet"


def test_the_first_reviews_after_a_start_wait_for_the_version(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gunicorn restarts a worker that dies, and the pod stays ready meanwhile."""
    monkeypatch.setattr(version_poller, "_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(version_poller, "_FIRST_POLL_SECONDS", 30.0)
    server.script.add("status", is_nodes_request, code=503)
    with polling(server) as poller:
        assert poller() == ClusterVersion(NEW)


def test_the_last_version_stays_in_use_while_polls_fail(server: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    add_node(server, "one", "v1.34.0")
    with polling(server, 0.02) as poller:
        until(lambda: poller() == ClusterVersion(NEW), "the first poll")
        assert poller.problem() == ""
        server.script.add("status", is_nodes_request, code=503)
        until(lambda: "cannot read versions" in caplog.text, "a poll that fails")
        assert poller() == ClusterVersion(NEW)
        add_node(server, "two", "v1.28.0")
        until(lambda: poller() == ClusterVersion(OLD), "the next poll")
    assert "cluster versions read server=1.34 oldest_kubelet=1.28 node=two native_sidecars=False" in caplog.text
    assert caplog.text.count("native_sidecars=False") == 1


def test_a_missing_version_is_retried(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_poller, "_RETRY_SECONDS", 0.01)
    server.script.clear()
    server.script.add("text", is_version_request, text=b"{}")
    server.script.add("status", is_version_request, code=500)
    report_version(server)
    assert polled_version(server) == NEW
