"""Events on PhJobs, against a fake API server over HTTP: recorded once; failures have no other effect."""

from dataclasses import replace

import pytest

from controller.inject.wrapper import NO_SOURCE, SOURCE_VARIABLE
from controller.reconcile.artifact_status import ArtifactStatus
from controller.reconcile.events import EventRecorder, JobEvent, artifact_event, build_event
from controller.reconcile.pod import read_pod
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.controller.fake_cluster import EVENTS
from tests.controller.objects import NOW, POD_UID, job, pod_document, running
from tests.kube.apiserver import ApiServer, parse_path

EVENT = JobEvent("Warning", "ArtifactsIncomplete", "Some artifacts were not collected", "pod-uid")


@pytest.fixture
def recorder(client: Client) -> EventRecorder:
    return EventRecorder(ResourceClient(client, Resource("", "v1", "events", "ns")))


def test_an_event_is_created_once_for_each_pod(server: ApiServer, recorder: EventRecorder) -> None:
    for now in (NOW, NOW + 60):  # by the leader, and by the next one
        recorder.record(job(), EVENT, now)
    recorder.record(job(), replace(EVENT, about="second"), NOW)
    events = server.objects.all(parse_path(EVENTS))
    assert [event["reason"] for event in events] == ["ArtifactsIncomplete"] * 2
    assert {event["involvedObject"]["uid"] for event in events} == {job().uid}


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"PHJOB_ARTIFACT_ENABLED": "true"}, "CollectorNotInjected"),
        ({"PHJOB_ARTIFACT_ENABLED": "false"}, "ArtifactsNotCollected"),
        ({}, "ArtifactsNotCollected"),
        ({"PHJOB_ARTIFACT_ENABLED": "true", SOURCE_VARIABLE: NO_SOURCE}, "ArtifactsNotCollected"),
    ],
)
def test_a_pod_whose_wrapper_copies_is_not_reported_as_not_collected(env: dict[str, str], reason: str) -> None:
    document = pod_document(main=running())
    [main] = document["spec"]["containers"]
    main |= {"command": ["/scripts/run-job.sh"], "env": [{"name": name, "value": env[name]} for name in env]}
    artifact = ArtifactStatus("not-injected", POD_UID, "the webhook was not called", reason="webhook")
    assert artifact_event(artifact, read_pod(document)).reason == reason
    main["command"] = ["sh"]
    assert artifact_event(artifact, read_pod(document)).reason == "ArtifactsNotCollected"
    assert artifact_event(artifact, None).reason == "ArtifactsNotCollected"


@pytest.mark.parametrize("code", [403, 404, 422, 500])
def test_a_failure_to_record_an_event_is_only_logged(
    server: ApiServer, recorder: EventRecorder, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    server.script.add("status", lambda request: request.method == "POST", code=code, times=3)
    recorder.record(job(), EVENT, NOW)
    assert "event not recorded job=job group=Team_A reason=ArtifactsIncomplete" in caplog.text


def test_an_event_fits_the_api_servers_limits() -> None:
    long = replace(job(), name="j." * 126)
    event = build_event(long, replace(EVENT, message="m" * 5000), NOW)
    assert len(event["metadata"]["name"]) <= 253
    assert ".." not in event["metadata"]["name"]
    assert len(event["message"]) <= 1024
