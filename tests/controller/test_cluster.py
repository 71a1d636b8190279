"""What the webhook knows of its cluster, asked of an API server over real HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from controller import cluster
from controller.cluster import ClusterFacts
from controller.inject.facts import Facts, Version
from tests.kube.apiserver import ApiServer
from tests.kube.faults import Request
from tests.kube.informers import until

OLD, NEW = (1, 28), (1, 34)
ALWAYS = 10**9


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        tell_version(found)
        yield found


def tell_version(server: ApiServer) -> None:
    server.script.add("text", asks_version, times=ALWAYS, text=b'{"major": "1", "minor": "34"}')


def asks_version(request: Request) -> bool:
    return request.path == "/version"


def asks_nodes(request: Request) -> bool:
    return request.path == "/api/v1/nodes"


def add_node(server: ApiServer, name: str, version: str, **labels: str) -> None:
    told = {"kubernetes.io/os": "linux", **labels}
    status = {"nodeInfo": {"kubeletVersion": version}}
    server.put(f"/api/v1/nodes/{name}", {"metadata": {"labels": told}, "status": status})


@contextmanager
def looking(server: ApiServer, seconds: float = 600.0) -> Iterator[ClusterFacts]:
    client = server.client()
    facts = ClusterFacts(client, seconds)
    facts.start()
    try:
        yield facts
    finally:
        facts.stop()
        client.close()


def known(server: ApiServer) -> Version | None:
    with looking(server) as facts:
        until(lambda: facts().version, "a version")
        return facts().version


def test_without_nodes_the_api_servers_version_is_the_clusters(server: ApiServer) -> None:
    assert known(server) == NEW


def test_the_oldest_kubelet_is_the_clusters_version(server: ApiServer) -> None:
    for number in range(120):  # more than are told at once
        add_node(server, f"new-{number}", "v1.34.1")
    add_node(server, "a-third-of-the-way", "v1.28.15-eks-ab12")
    assert known(server) == OLD


def test_nodes_on_which_no_job_runs_do_not_count(server: ApiServer) -> None:
    add_node(server, "windows", "v1.27.0", **{"kubernetes.io/os": "windows"})
    add_node(server, "virtual", "v1.19.10-vk-azure-aci", type="virtual-kubelet")
    add_node(server, "odd", "latest")
    assert known(server) == NEW


def test_without_the_right_to_see_nodes_the_api_server_is_judged_and_that_is_told(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    add_node(server, "old", "v1.28.1")
    server.script.add("status", asks_nodes, code=403, message="nodes is forbidden")
    assert known(server) == NEW
    assert 'kubelets are not looked at, only the API server error="403' in caplog.text


def test_nothing_is_known_before_the_nodes_are(server: ApiServer) -> None:
    server.script.add("status", asks_nodes, times=ALWAYS, code=500)
    with looking(server) as facts:
        until(lambda: any(map(asks_nodes, server.requests)), "a look")
        assert facts() == Facts(None)
        assert facts.problem() == "the cluster's version is not known yet"


def test_what_is_known_stays_while_looks_fail_and_news_come_with_the_next(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    add_node(server, "one", "v1.34.0")
    with looking(server, 0.02) as facts:
        until(lambda: facts() == Facts(NEW), "the first look")
        assert facts.problem() == ""
        server.script.add("status", asks_nodes, code=503)
        until(lambda: "versions not known" in caplog.text, "a look that fails")
        assert facts() == Facts(NEW)
        add_node(server, "two", "v1.28.0")
        until(lambda: facts() == Facts(OLD), "the next look")
    assert "versions server=1.34 oldest_kubelet=1.28 node=two sidecars=False" in caplog.text
    assert caplog.text.count("sidecars=False") == 1


def test_an_api_server_that_tells_no_version_is_asked_again(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_AGAIN_SECONDS", 0.01)
    server.script.clear()
    server.script.add("text", asks_version, text=b"{}")
    server.script.add("status", asks_version, code=500)
    tell_version(server)
    assert known(server) == NEW
