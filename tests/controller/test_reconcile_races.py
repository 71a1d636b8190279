"""Races: another reconciler, or a watch, is ahead of a reconciler. The steps are executed one by one."""

import json
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from controller.inject.pod import RESULT_ANNOTATION
from controller.reconcile.breaker import Breaker
from controller.reconcile.events import EventRecorder
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.phjob import PhJob, read_phjob
from controller.reconcile.pod import Pod, read_pod
from controller.reconcile.pod_warnings import PodWarnings
from controller.reconcile.reconciler import Caches, Clients, Reconciler
from kube import errors
from kube.client import Client
from kube.indexer import Indexer
from kube.objects import Resource, ResourceClient
from tests.controller.fake_cluster import PAUSES, PHJOBS, PODS
from tests.controller.objects import (
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
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.objectstore import Document

RUNNING = {"phase": "Running", "reason": "PodRunning", "startTime": rfc3339(NOW), "requeued": 0}


class Replica:
    """A reconciler with caches that the test fills."""

    def __init__(self, client: Client, reconcile: bool = True) -> None:
        self.phjobs: Indexer[PhJob] = Indexer(read_phjob)
        self.pods: Indexer[Pod] = Indexer(read_pod)
        self.registry = CollectorRegistry()
        namespaces = ResourceClient(client, Resource("", "v1", "namespaces"))
        events = ResourceClient(client, Resource("", "v1", "events", "ns"))
        clients = Clients(
            ResourceClient(client, Resource("primehub.io", "v1alpha1", "phjobs", "ns")),
            ResourceClient(client, Resource("", "v1", "pods", "ns")),
            EventRecorder(events),
            PodWarnings(events),
        )
        self.reconciler = Reconciler(
            clients,
            Caches(self.phjobs, self.pods),
            replace(SETTINGS, reconcile=reconcile),
            ReconcilerMetrics(self.registry),
            Breaker(namespaces, ResourceClient(client, Resource("", "v1", "configmaps", "ns")), "ns", 3),
            lambda: NOW + 20,
        )

    def count(self, state: str, reason: str = "none") -> float | None:
        labels = {"state": state, "reason": reason}
        return self.registry.get_sample_value("phjob_artifact_results_total", labels)


def put(server: ApiServer, pod: Document) -> tuple[Document, Document]:
    """Store a running job and its pod; return both."""
    job = server.put(f"{PHJOBS}/job", {**job_document(RUNNING), "metadata": {}})
    pod["metadata"]["ownerReferences"][0]["uid"] = job["metadata"]["uid"]
    return job, server.put(f"{PODS}/job", pod)


def test_two_leaders_count_a_pod_once(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=ended(), sidecar=ended(message=summary()), phase="Succeeded"))
    replicas = [Replica(client), Replica(client)]
    for replica in replicas:
        replica.phjobs.apply_event("ADDED", job)
        replica.pods.apply_event("ADDED", pod)
    first, second = replicas
    first.reconciler.reconcile("ns/job")
    with pytest.raises(errors.Conflict):
        second.reconciler.reconcile("ns/job")
    second.phjobs.apply_event("MODIFIED", server.objects.get(parse_path(f"{PHJOBS}/job")))
    second.reconciler.reconcile("ns/job")
    assert (first.count("sealed"), second.count("sealed")) == (1.0, 0.0)


def test_a_newer_status_is_not_overwritten(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", {**job, "status": {"phase": "Preparing"}})
    replica.pods.apply_event("ADDED", pod)
    done = {"phase": "Succeeded", "reason": "PodSucceeded", "finishTime": rfc3339(NOW + 5)}
    server.put(f"{PHJOBS}/job", {**job, "status": done})
    with pytest.raises(errors.Conflict):
        replica.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PHJOBS}/job"))["status"] == done


def test_the_last_state_of_a_deleted_pod_has_its_outcome(server: ApiServer, client: Client) -> None:
    """A deleted pod is removed as soon as its sidecar has ended, often before it is reconciled."""
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    replica.reconciler.reconcile("ns/job")
    _, last = put(
        server, pod_document(main=ended(143), sidecar=ended(message=summary()), phase="Failed", deleting=NOW + 30)
    )
    server.remove(f"{PODS}/job")
    replica.pods.apply_event("MODIFIED", last)
    replica.pods.apply_event("DELETED", {**last, "metadata": {**last["metadata"], "resourceVersion": "99999"}})
    replica.phjobs.apply_event("MODIFIED", server.objects.get(parse_path(f"{PHJOBS}/job")))
    replica.reconciler.reconcile("ns/job")
    status = server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]
    assert (status["phase"], status["exitCode"], status["artifact"]["state"]) == ("Failed", 143, "sealed")
    assert replica.count("sealed") == 1.0


def test_a_pod_that_the_watch_has_not_shown_exists(server: ApiServer, client: Client) -> None:
    job, _ = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.reconciler.reconcile("ns/job")
    status = server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Running", "syncing")


def test_the_api_server_is_asked_before_a_job_with_a_deleted_pod_ends(server: ApiServer, client: Client) -> None:
    """The job was requeued, and the watch of pods is behind that of PhJobs."""
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running", uid="second"))
    status = {**RUNNING, "requeued": 1, "artifact": {"state": "syncing", "podUid": pod["metadata"]["uid"]}}
    job = server.put(f"{PHJOBS}/job", {**job, "status": status})
    replica = Replica(client)
    first = pod_document(uid="first", owner=job["metadata"]["uid"], sidecar=waiting("PodInitializing"))
    replica.pods.apply_event("ADDED", first)
    replica.pods.apply_event("DELETED", {**first, "metadata": {**first["metadata"], "resourceVersion": "10"}})
    replica.phjobs.apply_event("ADDED", job)
    replica.reconciler.reconcile("ns/job")
    status = server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Running", "syncing")


def test_a_deleted_pods_outcome_is_reported_although_it_was_replaced(server: ApiServer, client: Client) -> None:
    job, first = put(server, pod_document(main=ended(), sidecar=ended(message=summary()), phase="Succeeded"))
    status = {**RUNNING, "artifact": {"state": "syncing", "podUid": first["metadata"]["uid"]}}
    job = server.put(f"{PHJOBS}/job", {**job, "status": status})
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", first)
    replica.pods.apply_event("DELETED", {**first, "metadata": {**first["metadata"], "resourceVersion": "99999"}})
    server.remove(f"{PODS}/job")
    server.put(f"{PODS}/job", pod_document(uid="second", owner=job["metadata"]["uid"]))
    replica.reconciler.reconcile("ns/job")
    assert replica.count("sealed") == 1.0


def test_a_pod_without_its_label_still_exists(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    server.put(f"{PODS}/job", {**pod, "metadata": {**pod["metadata"], "labels": {}}})
    replica.pods.apply_event("DELETED", {**pod, "metadata": {**pod["metadata"], "resourceVersion": "9999"}})
    replica.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PHJOBS}/job"))["status"]["phase"] == "Running"


@pytest.mark.parametrize("result", [{"podUid": "of-another"}, {"podUid": "\ud800", "phJobUid": "own"}])
def test_a_copied_or_malformed_result_annotation_is_ignored(
    server: ApiServer, client: Client, result: Document
) -> None:
    replica = Replica(client, reconcile=False)
    annotations = {RESULT_ANNOTATION: json.dumps({"state": "syncing", **result})}
    job = server.put(f"{PHJOBS}/job", {**job_document(RUNNING), "metadata": {"uid": "own", "annotations": annotations}})
    replica.phjobs.apply_event("ADDED", job)
    replica.reconciler.reconcile("ns/job")
    assert replica.count("unknown", "vanished") == float("phJobUid" in result)


def test_a_job_that_ended_before_the_installation_is_not_reported(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=ended(), phase="Succeeded"))
    done = {"phase": "Succeeded", "finishTime": rfc3339(NOW + 10)}
    job = server.put(f"{PHJOBS}/job", {**job, "status": done})
    replica = Replica(client, reconcile=False)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    replica.reconciler.reconcile("ns/job")
    assert not {request.method for request in server.requests} & {"PATCH", "POST"}


def test_a_pod_that_starts_at_the_deadline_is_not_deleted(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(created=NOW - 500))
    job["status"] = {"phase": "Preparing", "requeued": 0}
    job = server.put(f"{PHJOBS}/job", job)
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    server.put(f"{PODS}/job", {**pod, "status": pod_document(main=running(), phase="Running")["status"]})
    with pytest.raises(errors.Conflict):
        replica.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PODS}/job"))["status"]["phase"] == "Running"


def test_a_crashed_sidecar_is_counted_as_a_failure(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=ended(1), phase="Running"))
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    replica.reconciler.reconcile("ns/job")
    assert replica.registry.get_sample_value("phjob_artifact_sidecar_start_failures_total") == 1.0


@pytest.mark.parametrize(("started_at", "counted"), [(NOW - 86400, 0.0), (NOW - 600, 1.0)])
def test_a_new_leader_does_not_count_old_crashes(
    server: ApiServer, client: Client, started_at: float, counted: float
) -> None:
    crashed = ended(1, at=started_at + 1, since=started_at)
    job, pod = put(
        server, pod_document(main=ended(at=started_at + 2, since=started_at), sidecar=crashed, phase="Succeeded")
    )
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    replica.reconciler.reconcile("ns/job")
    assert replica.registry.get_sample_value("phjob_artifact_sidecar_start_failures_total") == counted


@pytest.mark.parametrize(("working", "is_paused"), [((), True), ((NOW - 60,), True), ((NOW - 15,), False)])
def test_a_new_leader_orders_failures_by_creation_time(
    server: ApiServer, client: Client, working: tuple[float, ...], is_paused: bool
) -> None:
    server.put("/api/v1/namespaces/ns", {"metadata": {"name": "ns"}})
    server.put(PAUSES, {"metadata": {}})
    replica = Replica(client)
    for number, created in enumerate((NOW - 20, NOW - 18, NOW - 10, *working)):
        sidecar = running(created) if created in working else ended(1, since=created)
        pod = pod_document(
            main=running(created), sidecar=sidecar, phase="Running", created=created, uid=f"pod-{number}"
        )
        job = job_document(RUNNING)
        for document in (job, pod):
            document["metadata"]["name"] = f"job-{number}"
        server.put(f"{PHJOBS}/job-{number}", job)
        replica.phjobs.apply_event("ADDED", server.objects.get(parse_path(f"{PHJOBS}/job-{number}")))
        pod["metadata"]["ownerReferences"][0]["uid"] = replica.phjobs.get(f"ns/job-{number}").uid  # type: ignore[union-attr]
        replica.pods.apply_event("ADDED", pod)
    for key in replica.phjobs.list_keys():
        replica.reconciler.reconcile(key)
    assert (server.objects.get(parse_path(PAUSES)).get("data", {}).keys() == {"user.escaped-ann"}) is is_paused
    assert replica.registry.get_sample_value("phjob_artifact_sidecar_start_failures_total") == 3.0


def test_a_pod_is_deleted_gracefully_by_its_uid(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    job = server.put(f"{PHJOBS}/job", {**job, "spec": {**job["spec"], "cancel": True}})
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    replica.reconciler.reconcile("ns/job")
    (deletion,) = [request for request in server.requests if request.method == "DELETE"]
    assert deletion.path == f"{PODS}/job"
    assert deletion.body["gracePeriodSeconds"] == 30
    assert deletion.body["preconditions"] == {"uid": pod["metadata"]["uid"]}


def test_another_pod_with_the_name_is_not_deleted(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=running(), sidecar=running(), phase="Running"))
    job = server.put(f"{PHJOBS}/job", {**job, "spec": {**job["spec"], "cancel": True}})
    replica = Replica(client)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    server.remove(f"{PODS}/job")
    server.put(f"{PODS}/job", {**pod, "metadata": {"name": "job", "labels": {"other": "pod"}}})
    with pytest.raises(errors.Conflict):
        replica.reconciler.reconcile("ns/job")
    assert server.objects.get(parse_path(f"{PODS}/job"))["metadata"]["labels"] == {"other": "pod"}


def test_an_outcome_that_cannot_be_annotated_is_recorded_as_an_event(server: ApiServer, client: Client) -> None:
    job, pod = put(server, pod_document(main=ended(), sidecar=ended(message=summary()), phase="Succeeded"))
    message = 'PhJob "job" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes'
    server.script.add("status", lambda request: request.method == "PATCH", code=422, message=message, times=10)
    replica = Replica(client, reconcile=False)
    replica.phjobs.apply_event("ADDED", job)
    replica.pods.apply_event("ADDED", pod)
    for _ in range(3):
        replica.reconciler.reconcile("ns/job")
    (event,) = server.objects.all(parse_path("/api/v1/namespaces/ns/events"))
    assert event["reason"] == "ArtifactsCollected"
    assert replica.count("sealed") == 0.0
