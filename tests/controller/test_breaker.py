"""The breaker: consecutive failures, ordered by creation time, switch injection off, whichever replica leads."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from controller.reconcile.breaker import Breaker, FailureResult
from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF, SWITCHED_OFF_AT_ANNOTATION
from kube.objects import Resource, ResourceClient
from tests.controller.objects import NOW, rfc3339
from tests.kube.apiserver import ApiServer

COUNTED, ALREADY_COUNTED = FailureResult.COUNTED, FailureResult.ALREADY_COUNTED
SWITCHED_OFF = FailureResult.SWITCHED_OFF


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.put("/api/v1/namespaces/ns", {"metadata": {"name": "ns"}})
        yield server


@pytest.fixture
def namespaces(server: ApiServer) -> Iterator[ResourceClient]:
    client = server.client()
    yield ResourceClient(client, Resource("", "v1", "namespaces"))
    client.close()


def new_breaker(namespaces: ResourceClient, max_failures: int = 3, clock: float = NOW + 60.5) -> Breaker:
    return Breaker(namespaces, "ns", max_failures, lambda: clock)


def fail(breaker: Breaker, *seconds: int, working: int = 0) -> list[FailureResult]:
    """Record failures of pods created `seconds` after NOW; the newest working pod was created `working` s after NOW."""
    return [breaker.record_failure(f"pod-{second}", NOW + second, lambda: NOW + working) for second in seconds]


def metadata(namespaces: ResourceClient) -> dict[str, Any]:
    return dict(namespaces.get("ns")["metadata"])


def switch_on(namespaces: ResourceClient) -> None:
    """Remove the label, as a person does: kubectl label namespace ns primehub.io/artifact-injection-"""
    namespaces.merge("ns", {"metadata": {"labels": {INJECTION_LABEL: None}}})


def test_consecutive_failures_switch_injection_off(namespaces: ResourceClient) -> None:
    breaker = new_breaker(namespaces)
    assert fail(breaker, 1, 1, 2) == [COUNTED, ALREADY_COUNTED, COUNTED]
    assert fail(breaker, 4, 5, working=3) == [COUNTED, COUNTED]
    assert "labels" not in metadata(namespaces)
    assert fail(breaker, 6, working=3) == [SWITCHED_OFF]
    assert breaker.is_off
    assert metadata(namespaces)["labels"] == {INJECTION_LABEL: INJECTION_OFF}
    assert metadata(namespaces)["annotations"] == {SWITCHED_OFF_AT_ANNOTATION: rfc3339(NOW + 61)}


def test_the_order_of_reported_failures_does_not_matter(namespaces: ResourceClient) -> None:
    for order in permutations((1, 2, 4, 5)):
        assert set(fail(new_breaker(namespaces), *order, working=3)) == {COUNTED}, order
    for order in permutations((2, 4, 5, 6)):
        assert fail(new_breaker(namespaces), *order, working=3).count(SWITCHED_OFF) == 1, order
        switch_on(namespaces)
        namespaces.merge("ns", {"metadata": {"annotations": {SWITCHED_OFF_AT_ANNOTATION: None}}})


def test_earlier_failures_do_not_count_after_injection_is_switched_on_again(namespaces: ResourceClient) -> None:
    first = new_breaker(namespaces)
    fail(first, 1, 2, 3)
    switch_on(namespaces)
    for breaker in (first, new_breaker(namespaces)):  # after an upgrade another replica leads, which has seen no pod
        breaker.refresh()
        assert set(fail(breaker, 1, 2, 3, 4, 60)) <= {COUNTED, ALREADY_COUNTED}
        assert not breaker.is_off
        assert INJECTION_LABEL not in metadata(namespaces)["labels"]
    assert fail(new_breaker(namespaces), 1, 62, 63, 64) == [COUNTED, COUNTED, COUNTED, SWITCHED_OFF]


def test_a_new_breaker_reads_the_namespace_before_it_switches_off(namespaces: ResourceClient) -> None:
    fail(new_breaker(namespaces), 1, 2, 3)
    switch_on(namespaces)
    breaker = new_breaker(namespaces)
    assert fail(breaker, 1, 2, 3, 62, 63, 64) == [*[COUNTED] * 5, SWITCHED_OFF]


def test_injection_that_is_off_is_not_switched_off_again(namespaces: ResourceClient) -> None:
    namespaces.merge("ns", {"metadata": {"labels": {INJECTION_LABEL: INJECTION_OFF}}})  # by a person
    breaker = new_breaker(namespaces)
    assert set(fail(breaker, 1, 2, 3, 4)) == {COUNTED}
    assert breaker.is_off
    switch_on(namespaces)
    assert fail(breaker, 5) == [SWITCHED_OFF]


def test_the_recorded_time_is_not_before_pods_created_ahead_of_this_clock(namespaces: ResourceClient) -> None:
    breaker = new_breaker(namespaces, clock=NOW - 1000)
    fail(breaker, 1, 2, 3)
    assert metadata(namespaces)["annotations"] == {SWITCHED_OFF_AT_ANNOTATION: rfc3339(NOW + 3)}


def test_a_maximum_of_zero_disables_the_breaker(namespaces: ResourceClient) -> None:
    assert set(fail(new_breaker(namespaces, max_failures=0), *range(1, 9))) == {COUNTED}


def test_a_failed_switch_is_logged_and_retried_at_the_next_failure(
    server: ApiServer, namespaces: ResourceClient, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = new_breaker(namespaces)
    server.script.add("status", lambda request: request.method == "PATCH", code=403)
    assert set(fail(breaker, 1, 2, 3)) == {COUNTED}
    assert not breaker.is_off
    assert "cannot switch injection off namespace=ns" in caplog.text
    assert fail(breaker, 4) == [SWITCHED_OFF]
