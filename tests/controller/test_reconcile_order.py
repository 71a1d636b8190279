"""The order in which a controller that starts looks at the jobs: unfinished and new ones first."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from controller.reconcile import reconciler
from controller.reconcile.run import Controller
from controller.reconcile.status_plan import plan_status
from tests.controller.fake_cluster import FakeCluster, fake_cluster
from tests.controller.objects import SETTINGS, rfc3339
from tests.kube.apiserver import ApiServer
from tests.kube.informers import TIMEOUT_SECONDS, until

QUICK = replace(SETTINGS, workers=1, lease_seconds=1.0)


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with ApiServer() as server, fake_cluster(server) as (fake, _):
        yield fake


def test_unfinished_and_new_jobs_are_reconciled_before_finished_ones_after_a_start(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, resume = list[str](), threading.Event()

    def record(job: Any, *arguments: Any) -> Any:
        order.append(job.name)
        resume.wait(TIMEOUT_SECONDS)
        return plan_status(job, *arguments)

    monkeypatch.setattr(reconciler, "plan_status", record)
    done = {"phase": "Succeeded", "finishTime": rfc3339(time.time()), "requeued": 0}
    for number in range(200):
        cluster.add_job(f"finished-{number}", status=done | {"artifact": {"state": "sealed", "podUid": "x"}})
    cluster.add_job("unfinished")
    client = cluster.server.client()
    controller = Controller(client, QUICK, "me")
    controller.start()
    try:
        until(lambda: order, "the first job is reconciled")
        cluster.add_job("new")
        until(lambda: controller._phjobs.objects.get("ns/new"), "the watch shows the new job")
        resume.set()
        until(lambda: len(set(order)) == 202, "all jobs are reconciled")
    finally:
        resume.set()
        controller.stop()
        client.close()
    # A worker that gets finished jobs in the moment in which the controller becomes the leader reconciles some of them.
    assert {"unfinished", "new"} <= set(order[:10])
