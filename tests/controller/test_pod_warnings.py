"""The kubelet's Warnings about a pod that does not start are quoted in the PhJob's message."""

from typing import Any

import pytest

from controller.reconcile.pod_warnings import PodWarnings
from controller.reconcile.status_plan import plan_status, warning_due_at
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.controller.fake_cluster import EVENTS, PHJOBS
from tests.controller.objects import NOW, POD_UID, SETTINGS, job, pod, pod_document, rfc3339, running, waiting
from tests.controller.test_reconcile_races import Replica, put
from tests.kube.apiserver import ApiServer, parse_path


def add_event(server: ApiServer, name: str, at: float, uid: str = POD_UID, **fields: Any) -> None:
    event = {
        "involvedObject": {"uid": uid},
        "type": "Warning",
        "reason": "FailedMount",
        "message": name,
        "source": {"component": "kubelet"},
        "lastTimestamp": rfc3339(at),
    }
    server.put(f"{EVENTS}/{name}", event | fields)


def test_the_latest_warning_of_the_kubelet_is_returned(server: ApiServer, client: Client) -> None:
    add_event(server, "c-first", NOW)
    add_event(server, "b-last", NOW + 9)
    add_event(server, "a-other-pod", NOW + 10, uid="other")
    add_event(server, "a-other-source", NOW + 10, source={"component": "user"})
    add_event(server, "a-normal", NOW + 10, type="Normal")
    add_event(server, "a-odd", NOW, source=None, message=[])
    warnings = PodWarnings(ResourceClient(client, Resource("", "v1", "events", "ns")))
    assert warnings.latest(pod(), NOW + 40) == "FailedMount: b-last"


def test_events_are_read_at_most_once_in_30_seconds(server: ApiServer, client: Client) -> None:
    warnings = PodWarnings(ResourceClient(client, Resource("", "v1", "events", "ns")))
    for seconds in range(61):
        warnings.latest(pod(), NOW + seconds)
    assert len(server.requests) == 3
    server.script.add("status", lambda _: True, code=403, times=10)
    assert warnings.latest(pod(), NOW + 100) == ""


@pytest.mark.parametrize(
    ("current", "due_at"),
    [
        (pod(), NOW + 30),
        (pod(sidecar=waiting("PodInitializing")), NOW + 30),
        (pod(scheduled=None), None),
        (pod(main=waiting("ErrImagePull")), None),
        (pod(sidecar=waiting("ErrImagePull")), None),
        (pod(main=running()), None),
        (pod(deleting=NOW), None),
    ],
)
def test_events_are_read_only_if_the_status_has_no_reason(current: Any, due_at: float | None) -> None:
    assert warning_due_at(current, SETTINGS) == due_at


def test_the_pod_is_checked_again_for_warnings() -> None:
    assert plan_status(job(), pod(), SETTINGS, NOW + 1).check_at == NOW + 30
    assert plan_status(job(), pod(), SETTINGS, NOW + 40).check_at == NOW + 70


def test_the_phjobs_message_quotes_the_warning(server: ApiServer, client: Client) -> None:
    phjob, stuck = put(server, pod_document(scheduled=NOW - 20))
    add_event(server, "no such claim", NOW, uid=stuck["metadata"]["uid"])
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", phjob | {"status": {}})
    replica.pods.apply_event("ADDED", stuck)
    replica.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]["message"] == "FailedMount: no such claim"
