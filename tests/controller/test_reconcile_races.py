"""What one reconciler does while another, or a watch, is ahead of it: steps are played one by one."""

import json
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from controller.inject.pod import RESULT
from controller.reconcile.breaker import Breaker
from controller.reconcile.events import Events
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF
from controller.reconcile.phjob import PhJob, read_phjob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.reconciler import Api, Reconciler, Seen
from kube import errors
from kube.client import Client
from kube.indexer import Indexer
from kube.objects import Resource, ResourceClient
from tests.controller.cluster import (
    NOW,
    SETTINGS,
    ended,
    job_document,
    pod_document,
    rfc3339,
    running,
    summary,
    waiting,
)
from tests.controller.kubelet import PHJOBS, PODS
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.objectstore import Document

RUNNING = {"phase": "Running", "reason": "PodRunning", "startTime": rfc3339(NOW), "requeued": 0}


class Replica:
    """A reconciler that sees what it is shown."""

    def __init__(self, client: Client, reconcile: bool = True) -> None:
        self.phjobs: Indexer[PhJob] = Indexer(read_phjob)
        self.pods: Indexer[Pod] = Indexer(read_pod)
        self.registry = CollectorRegistry()
        namespaces = ResourceClient(client, Resource("", "v1", "namespaces"))
        api = Api(
            ResourceClient(client, Resource("primehub.io", "v1alpha1", "phjobs", "ns")),
            ResourceClient(client, Resource("", "v1", "pods", "ns")),
            Events(ResourceClient(client, Resource("", "v1", "events", "ns"))),
        )
        self.reconciler = Reconciler(
            api,
            Seen(self.phjobs, self.pods),
            replace(SETTINGS, reconcile=reconcile),
            ReconcilerMetrics(self.registry),
            Breaker(namespaces, "ns", 3),
            lambda: NOW + 20,
        )

    def count(self, state: str, reason: str = "none") -> float | None:
        labels = {"state": state, "reason": reason}
        return self.registry.get_sample_value("phjob_artifact_results_total", labels)


def put(server: ApiServer, pod: Document) -> tuple[Document, Document]:
    """A running job and its pod, as they are stored."""
    job = server.put(f"{PHJOBS}/job", {**job_document(RUNNING), "metadata": {}})
    pod["metadata"]["ownerReferences"][0]["uid"] = job["metadata"]["uid"]
    return job, server.put(f"{PODS}/job", pod)


def test_two_that_believe_they_lead_count_a_pod_once(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=ended(), sidecar=ended(message=summary()), phase="Succeeded"))
    replicas = [Replica(client), Replica(client)]
    for each in replicas:
        each.phjobs.apply_event("ADDED", job)
        each.pods.apply_event("ADDED", pod)
    first, second = replicas
    first.reconciler.reconcile("ns/job")
    with pytest.raises(errors.Conflict):
        second.reconciler.reconcile("ns/job")
    second.phjobs.apply_event("MODIFIED", server.objects.get(parse_path(f"{PHJOBS}/job")))
    second.reconciler.reconcile("ns/job")
    assert (first.count("sealed"), second.count("sealed")) == (1.0, 0.0)


def test_one_that_was_overtaken_does_not_write_over_what_is_newer(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    late = Replica(client)
    late.phjobs.apply_event("ADDED", {**job, "status": {"phase": "Preparing"}})
    late.pods.apply_event("ADDED", pod)
    done = {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": rfc3339(NOW + 5)}
    server.put(f"{PHJOBS}/job", {**job, "status": done})
    with pytest.raises(errors.Conflict):
        late.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PHJOBS}/job"))["status"] == done


def test_the_last_that_was_seen_of_a_pod_tells_what_it_left(server: ApiServer, client: Client) -> None:
    """A pod that was deleted goes as soon as its sidecar has ended: often before anybody could look."""
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    found = Replica(client)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", pod)
    found.reconciler.reconcile("ns/job")
    _, last = put(
        server, pod_document(main=ended(143), sidecar=ended(message=summary()), phase="Failed", deleting=NOW + 30)
    )
    server.remove(f"{PODS}/job")
    found.pods.apply_event("MODIFIED", last)
    found.pods.apply_event("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": "99999"}})
    found.phjobs.apply_event("MODIFIED", server.objects.get(parse_path(f"{PHJOBS}/job")))
    found.reconciler.reconcile("ns/job")
    status = server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]
    assert (status["phase"], status["exitCode"], status["artifact"]["state"]) == ("Failed", 143, "sealed")
    assert found.count("sealed") == 1.0


def test_a_pod_that_the_watch_has_not_shown_yet_is_not_gone(server: ApiServer, client: Client) -> None:
    job, _ = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    late = Replica(client)
    late.phjobs.apply_event("ADDED", job)
    late.reconciler.reconcile("ns/job")
    status = server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Running", "syncing")


def test_who_saw_an_earlier_pod_go_asks_before_it_ends_the_job(server: ApiServer, client: Client) -> None:
    """The job was queued again, and the watch of pods is behind that of PhJobs."""
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running", uid="second"))
    status = {**RUNNING, "requeued": 1, "artifact": {"state": "syncing", "podUid": pod["metadata"]["uid"]}}
    job = server.put(f"{PHJOBS}/job", {**job, "status": status})
    found = Replica(client)
    first = pod_document(uid="first", owner=job["metadata"]["uid"], sidecar=waiting("PodInitializing"))
    found.pods.apply_event("ADDED", first)
    found.pods.apply_event("DELETED", {**first, "metadata": {**first["metadata"], "resourceVersion": "10"}})
    found.phjobs.apply_event("ADDED", job)
    found.reconciler.reconcile("ns/job")
    status = server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Running", "syncing")


def test_what_a_pod_left_that_went_is_told_of_although_another_has_come(server: ApiServer, client: Client) -> None:
    job, first = put(server, pod_document(main=ended(), sidecar=ended(message=summary()), phase="Succeeded"))
    status = {**RUNNING, "artifact": {"state": "syncing", "podUid": first["metadata"]["uid"]}}
    job = server.put(f"{PHJOBS}/job", {**job, "status": status})
    found = Replica(client)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", first)
    found.pods.apply_event("DELETED", {**first, "metadata": {**first["metadata"], "resourceVersion": "99999"}})
    server.remove(f"{PODS}/job")
    server.put(f"{PODS}/job", pod_document(uid="second", owner=job["metadata"]["uid"]))
    found.reconciler.reconcile("ns/job")
    assert found.count("sealed") == 1.0


def test_a_pod_whose_label_was_taken_off_has_not_gone(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    found = Replica(client)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", pod)
    server.put(f"{PODS}/job", {**pod, "metadata": {**pod["metadata"], "labels": {}}})
    found.pods.apply_event("DELETED", {**pod, "metadata": {**pod["metadata"], "resourceVersion": "9999"}})
    found.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]["phase"] == "Running"


@pytest.mark.parametrize("result", [{"podUid": "of-another"}, {"podUid": "\ud800", "phJobUid": "own"}])
def test_a_result_that_is_copied_or_odd_is_no_news_and_no_fault(
    server: ApiServer, client: Client, result: Document
) -> None:
    found = Replica(client, reconcile=False)
    notes = {RESULT: json.dumps({"state": "syncing", **result})}
    job = server.put(f"{PHJOBS}/job", {**job_document(RUNNING), "metadata": {"uid": "own", "annotations": notes}})
    found.phjobs.apply_event("ADDED", job)
    found.reconciler.reconcile("ns/job")
    assert found.count("unknown", "vanished") == float("phJobUid" in result)


def test_of_a_job_that_ended_before_the_product_came_nothing_is_told(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=ended(), phase="Succeeded"))
    done = {"phase": "Succeeded", "finishTime": rfc3339(NOW + 10)}
    job = server.put(f"{PHJOBS}/job", {**job, "status": done})
    found = Replica(client, reconcile=False)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", pod)
    found.reconciler.reconcile("ns/job")
    assert [each for each in server.requests if each.method in ("PATCH", "POST")] == []


def test_a_pod_that_starts_this_moment_is_not_deleted_for_being_late(server: ApiServer, client: Client) -> None:
    job, seen = put(server, pod_document(created=NOW - 500))
    job["status"] = {"phase": "Preparing", "requeued": 0}
    job = server.put(f"{PHJOBS}/job", job)
    late = Replica(client)
    late.phjobs.apply_event("ADDED", job)
    late.pods.apply_event("ADDED", seen)
    server.put(f"{PODS}/job", {**seen, "status": pod_document(main=running(), phase="Running")["status"]})
    with pytest.raises(errors.Conflict):
        late.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PODS}/job"))["status"]["phase"] == "Running"


def test_a_sidecar_that_crashed_beside_main_counts_against_injection(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=ended(1), phase="Running"))
    found = Replica(client)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", pod)
    found.reconciler.reconcile("ns/job")
    assert found.registry.get_sample_value("phjob_artifact_sidecar_start_failures_total") == 1.0


@pytest.mark.parametrize(("began", "counted"), [(NOW - 86400, 0.0), (NOW - 600, 1.0)])
def test_who_comes_to_lead_does_not_count_what_crashed_days_ago(
    server: ApiServer, client: Client, began: float, counted: float
) -> None:
    crashed = ended(1, at=began + 1, since=began)
    job, pod = put(server, pod_document(main=ended(at=began + 2, since=began), sidecar=crashed, phase="Succeeded"))
    found = Replica(client)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", pod)
    found.reconciler.reconcile("ns/job")
    assert found.registry.get_sample_value("phjob_artifact_sidecar_start_failures_total") == counted


@pytest.mark.parametrize(("works", "is_off"), [((), True), ((NOW - 60,), True), ((NOW - 15,), False)])
def test_who_comes_to_lead_takes_failures_in_the_order_in_which_pods_were_made(
    server: ApiServer, client: Client, works: tuple[float, ...], is_off: bool
) -> None:
    server.put("/api/v1/namespaces/ns", {"metadata": {"name": "ns"}})
    found = Replica(client)
    for number, made in enumerate((NOW - 20, NOW - 18, NOW - 10, *works)):
        sidecar = running(made) if made in works else ended(1, since=made)
        pod = pod_document(main=running(made), sidecar=sidecar, phase="Running", created=made, uid=f"pod-{number}")
        job = job_document(RUNNING)
        for document in (job, pod):
            document["metadata"]["name"] = f"job-{number}"
        server.put(f"{PHJOBS}/job-{number}", job)
        found.phjobs.apply_event("ADDED", server.objects.get(parse_path(f"{PHJOBS}/job-{number}")))
        pod["metadata"]["ownerReferences"][0]["uid"] = found.phjobs.get(f"ns/job-{number}").uid  # type: ignore[union-attr]
        found.pods.apply_event("ADDED", pod)
    for key in found.phjobs.list_keys():
        found.reconciler.reconcile(key)
    labels = server.objects.get(parse_path("/api/v1/namespaces/ns"))["metadata"].get("labels", {})
    assert (labels == {INJECTION_LABEL: INJECTION_OFF}) is is_off
    assert found.registry.get_sample_value("phjob_artifact_sidecar_start_failures_total") == 3.0


def test_a_pod_is_deleted_gracefully_and_only_if_it_is_still_that_pod(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    job = server.put(f"{PHJOBS}/job", {**job, "spec": {**job["spec"], "cancel": True}})
    found = Replica(client)
    found.phjobs.apply_event("ADDED", job)
    found.pods.apply_event("ADDED", pod)
    found.reconciler.reconcile("ns/job")
    (deletion,) = [each for each in server.requests if each.method == "DELETE"]
    assert deletion.path == f"{PODS}/job"
    assert deletion.body["gracePeriodSeconds"] == 30
    assert deletion.body["preconditions"] == {"uid": pod["metadata"]["uid"]}


def test_another_pod_of_the_name_is_not_deleted(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    job = server.put(f"{PHJOBS}/job", {**job, "spec": {**job["spec"], "cancel": True}})
    late = Replica(client)
    late.phjobs.apply_event("ADDED", job)
    late.pods.apply_event("ADDED", pod)
    server.remove(f"{PODS}/job")
    server.put(f"{PODS}/job", {**pod, "metadata": {"name": "job", "labels": {"other": "pod"}}})
    with pytest.raises(errors.Conflict):
        late.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PODS}/job"))["metadata"]["labels"] == {"other": "pod"}
