"""Main is ended after its own grace period if somebody deletes its pod."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from controller.reconcile.deletion import Shortening, shorten_deletion
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.status_plan import DeletePod
from tests.controller.fake_cluster import PODS, FakeCluster
from tests.controller.objects import NOW, POD_UID, ended, pod, pod_document, running
from tests.controller.test_reconcile import running_controller
from tests.kube.apiserver import ApiServer
from tests.kube.informers import until

KILL = Shortening(DeletePod(POD_UID, grace_seconds=1))


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api_server:
        yield api_server


def deleted(grace: int | None = 120, **fields: Any) -> Pod:
    """Return an injected pod with a grace period of 120 s, raised from 30 s, that was deleted at NOW."""
    states = {"main": running(), "sidecar": running(), "phase": "Running", **fields}
    return replace(pod(deleting=NOW + (grace or 0), **states), deletion_grace_seconds=grace)


TABLE = {
    "main has its own grace period": (deleted(), NOW + 29, Shortening(check_at=NOW + 30)),
    "main ignores SIGTERM": (deleted(), NOW + 30, KILL),
    "main has ended": (deleted(main=ended()), NOW + 60, Shortening()),
    "main never ran": (deleted(main=None), NOW + 60, Shortening()),
    "already shortened": (deleted(grace=1), NOW + 60, Shortening()),
    "cancelled with main's own grace": (deleted(grace=30), NOW + 60, Shortening()),
    "deleted with a chosen grace period": (deleted(grace=100), NOW + 60, Shortening()),
    "no sidecar": (deleted(sidecar=None), NOW + 60, Shortening()),
    "not deleted": (pod(main=running(), sidecar=running(), phase="Running"), NOW + 60, Shortening()),
    "never raised": (replace(deleted(), original_grace_seconds=120), NOW + 60, Shortening()),
    "original grace is not a period": (replace(deleted(), original_grace_seconds=-5), NOW, KILL),
}


@pytest.mark.parametrize("case", TABLE)
def test_deletions_are_shortened_if_main_ignores_sigterm(case: str) -> None:
    current, now, expected = TABLE[case]
    assert shorten_deletion(current, now) == expected


@pytest.mark.parametrize("has_phjob", [True, False])
def test_pod_is_deleted_again_also_after_its_phjob(server: ApiServer, has_phjob: bool) -> None:
    cluster = FakeCluster(server)
    if has_phjob:
        cluster.add_job("job", status={"phase": "Running", "requeued": 0})
    uid = cluster.job("job")["metadata"]["uid"] if has_phjob else "gone"
    now = time.time()
    document = pod_document(main=running(now), sidecar=running(now), phase="Running", deleting=now + 60, owner=uid)
    document["metadata"] |= {"finalizers": ["kubelet"], "deletionGracePeriodSeconds": 120}
    assert read_pod(document).deletion_grace_seconds == 120
    with running_controller(server):
        cluster.put_pod(document)
        deletion = ("DELETE", f"{PODS}/job")
        until(lambda: deletion in [(sent.method, sent.path) for sent in server.requests], "the second deletion")
