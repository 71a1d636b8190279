"""Each pod is counted once, over all replicas that ever led: their registries are summed up, ended ones included."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from controller.reconcile.run import Controller
from tests.controller.cluster import SETTINGS
from tests.controller.kubelet import world
from tests.controller.test_reconcile import samples
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until

RESULTS, FILES = "phjob_artifact_results_total", "phjob_artifact_collected_files_total"
QUICK = replace(SETTINGS, lease_seconds=1.0, resync_seconds=0.1)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


@contextmanager
def replica(server: ApiServer, name: str) -> Iterator[Controller]:
    client = server.client()
    found = Controller(client, QUICK, name)
    found.start()
    try:
        yield found
    finally:
        found.stop()
        client.close()


def counted(*controllers: Controller, name: str = RESULTS) -> dict[str, float]:
    total: Counter[str] = Counter()
    for each in controllers:
        total.update(samples(each, name))
    return dict(total)


def leads(controller: Controller) -> bool:
    return bool(samples(controller, "phjob_artifact_leader"))


def worked(controller: Controller) -> float:
    return samples(controller, "phjob_artifact_reconciles_total").get("done", 0.0)


def test_who_starts_anew_counts_what_is_new_and_nothing_again(server: ApiServer) -> None:
    with world(server) as (found, _):
        with replica(server, "a") as first:
            for name in ("job-1", "job-2"):
                found.add_job(name)
            until(lambda: sum(counted(first).values()) == 2, "both are counted")
        with replica(server, "b") as second:
            found.add_job("job-3")
            until(lambda: counted(second), "what is new is counted")
            found.add_job("running", "sleep")
            until(lambda: found.phase("running") == ("Running", "syncing"), "the resync has looked at all")
            assert worked(second) >= 4
        assert counted(second) == {"sealed,none": 1.0}
        assert counted(first, second) == {"sealed,none": 3.0}
        assert counted(first, second, name=FILES) == {"": 6.0}


def test_a_lead_that_passes_on_in_the_middle_leaves_out_no_pod_and_counts_none_twice(server: ApiServer) -> None:
    names = [f"job-{number}" for number in range(40)]
    with world(server) as (found, _), ExitStack() as second_ends:
        with replica(server, "a") as first:
            until(lambda: leads(first), "one leads")
            second = second_ends.enter_context(replica(server, "b"))
            for name in names:
                found.add_job(name)
            until(lambda: sum(counted(first).values()) >= 3, "it is in the middle")
        until(lambda: sum(counted(first, second).values()) >= 40, "all are counted")
        until(lambda: all(found.phase(name)[1] == "sealed" for name in names), "all have ended")
    assert 0 < sum(counted(first).values()) < 40
    assert counted(first, second) == {"sealed,none": 40.0}
    assert counted(first, second, name=FILES) == {"": 80.0}
