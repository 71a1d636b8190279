"""Events on PhJobs, against an API server over real HTTP: told once, and never in the way."""

from dataclasses import replace

import pytest

from controller.reconcile.events import Events, Notice, make_event
from kube.client import Client
from kube.objects import Resource, ResourceClient
from tests.controller.cluster import NOW, job
from tests.controller.kubelet import EVENTS
from tests.kube.apiserver import ApiServer, parse_path

NOTICE = Notice("Warning", "ArtifactsIncomplete", "not all artifacts were collected", "pod-uid")


@pytest.fixture
def events(client: Client) -> Events:
    return Events(ResourceClient(client, Resource("", "v1", "events", "ns")))


def test_what_is_told_twice_is_there_once_and_of_another_pod_beside_it(server: ApiServer, events: Events) -> None:
    for now in (NOW, NOW + 60):  # by who leads now, and by who comes to lead
        events.tell(job(), NOTICE, now)
    events.tell(job(), replace(NOTICE, about="second"), NOW)
    found = server.objects.all(parse_path(EVENTS))
    assert [each["reason"] for each in found] == ["ArtifactsIncomplete"] * 2
    assert {each["involvedObject"]["uid"] for each in found} == {job().uid}


@pytest.mark.parametrize("code", [403, 404, 422, 500])
def test_an_event_that_cannot_be_written_is_logged_and_stops_nothing(
    server: ApiServer, events: Events, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    server.script.add("status", lambda request: request.method == "POST", code=code, times=3)
    events.tell(job(), NOTICE, NOW)
    assert "event not written job=job group=Team_A reason=ArtifactsIncomplete" in caplog.text


def test_an_event_fits_into_what_the_api_server_takes() -> None:
    long = replace(job(), name="j." * 126)
    event = make_event(long, replace(NOTICE, message="m" * 5000), NOW)
    assert len(event["metadata"]["name"]) <= 253
    assert ".." not in event["metadata"]["name"]
    assert len(event["message"]) <= 1024
