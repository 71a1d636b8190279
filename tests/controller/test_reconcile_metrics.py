"""Each pod is counted once over all replicas that led: the sum of their registries, including those that ended."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from controller.reconcile.run import Controller
from tests.controller.fake_cluster import fake_cluster
from tests.controller.objects import SETTINGS
from tests.controller.test_reconcile import samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until

RESULTS, FILES = "phjob_artifact_results_total", "phjob_artifact_collected_files_total"
QUICK = replace(SETTINGS, lease_seconds=1.0, resync_seconds=0.1)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


@contextmanager
def replica(server: ApiServer, name: str) -> Iterator[Controller]:
    client = server.client()
    controller = Controller(client, QUICK, name)
    controller.start()
    try:
        yield controller
    finally:
        controller.stop()
        client.close()


def counted(*controllers: Controller, name: str = RESULTS) -> dict[str, float]:
    total: Counter[str] = Counter()
    for controller in controllers:
        total.update(samples(controller, name))
    return dict(total)


def is_leading(controller: Controller) -> bool:
    return bool(samples(controller, "phjob_artifact_leader"))


def reconciled(controller: Controller) -> float:
    return samples(controller, "phjob_artifact_reconciles_total").get("done", 0.0)


def test_a_restarted_controller_counts_only_new_pods(server: ApiServer) -> None:
    with fake_cluster(server) as (cluster, _):
        with replica(server, "a") as first:
            for name in ("job-1", "job-2"):
                cluster.add_job(name)
            until(lambda: sum(counted(first).values()) == 2, "two counted pods")
        with replica(server, "b") as second:
            cluster.add_job("job-3")
            until(lambda: counted(second), "the new pod is counted")
            cluster.add_job("running", "sleep")
            until(lambda: cluster.phase("running") == ("Running", "syncing"), "the resync is done")
            assert reconciled(second) >= 4
        assert counted(second) == {"sealed,none": 1.0}
        assert counted(first, second) == {"sealed,none": 3.0}
        assert counted(first, second, name=FILES) == {"": 6.0}


def test_a_change_of_leader_counts_each_pod_once(server: ApiServer) -> None:
    names = [f"job-{number}" for number in range(40)]
    with fake_cluster(server) as (cluster, _), ExitStack() as second_ends:
        with replica(server, "a") as first:
            until(lambda: is_leading(first), "the first replica leads")
            second = second_ends.enter_context(replica(server, "b"))
            for name in names:
                cluster.add_job(name)
            until(lambda: sum(counted(first).values()) >= 3, "some counted pods")
        until(lambda: sum(counted(first, second).values()) >= 40, "all counted")
        until(lambda: all(cluster.phase(name)[1] == "sealed" for name in names), "all ended")
    assert 0 < sum(counted(first).values()) < 40
    assert counted(first, second) == {"sealed,none": 40.0}
    assert counted(first, second, name=FILES) == {"": 80.0}
