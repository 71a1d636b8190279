"""So many sidecars that fail in a row switch injection off: by the times of their pods, whoever leads, in any order."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from controller.reconcile.breaker import Breaker, Judged
from controller.reconcile.names import INJECTION_LABEL, INJECTION_OFF, SWITCHED_OFF_AT
from kube.objects import Resource, ResourceClient
from tests.controller.cluster import NOW, rfc3339
from tests.kube.apiserver import ApiServer

FAILED, BEFORE, SWITCHED_OFF = Judged.FAILED, Judged.BEFORE, Judged.SWITCHED_OFF


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


def leader(namespaces: ResourceClient, most: int = 3, clock: float = NOW + 60.5) -> Breaker:
    return Breaker(namespaces, "ns", most, lambda: clock)


def fail(breaker: Breaker, *seconds: int, worked: int = 0) -> list[Judged]:
    """Pods fail that were made so many seconds after NOW; one that was made `worked` seconds after it works."""
    return [breaker.failed(f"pod-{second}", NOW + second, lambda: NOW + worked) for second in seconds]


def metadata(namespaces: ResourceClient) -> dict[str, Any]:
    return dict(namespaces.get("ns")["metadata"])


def switch_on(namespaces: ResourceClient) -> None:
    """As a person does it: kubectl label namespace ns primehub.io/artifact-injection-"""
    namespaces.merge("ns", {"metadata": {"labels": {INJECTION_LABEL: None}}})


def test_so_many_failures_in_a_row_switch_injection_off(namespaces: ResourceClient) -> None:
    breaker = leader(namespaces)
    assert fail(breaker, 1, 1, 2) == [FAILED, BEFORE, FAILED]
    assert fail(breaker, 4, 5, worked=3) == [FAILED, FAILED]
    assert "labels" not in metadata(namespaces)
    assert fail(breaker, 6, worked=3) == [SWITCHED_OFF]
    assert breaker.is_off
    assert metadata(namespaces)["labels"] == {INJECTION_LABEL: INJECTION_OFF}
    assert metadata(namespaces)["annotations"] == {SWITCHED_OFF_AT: rfc3339(NOW + 61)}


def test_the_order_in_which_pods_are_looked_at_changes_nothing(namespaces: ResourceClient) -> None:
    for order in permutations((1, 2, 4, 5)):
        assert set(fail(leader(namespaces), *order, worked=3)) == {FAILED}, order
    for order in permutations((2, 4, 5, 6)):
        assert fail(leader(namespaces), *order, worked=3).count(SWITCHED_OFF) == 1, order
        switch_on(namespaces)
        namespaces.merge("ns", {"metadata": {"annotations": {SWITCHED_OFF_AT: None}}})


def test_once_somebody_has_switched_it_on_what_failed_before_counts_no_more(namespaces: ResourceClient) -> None:
    first = leader(namespaces)
    fail(first, 1, 2, 3)
    switch_on(namespaces)
    for breaker in (first, leader(namespaces)):  # an upgrade has another one lead, to which all pods are new
        breaker.look()
        assert set(fail(breaker, 1, 2, 3, 4, 60)) <= {FAILED, BEFORE}
        assert not breaker.is_off
        assert INJECTION_LABEL not in metadata(namespaces)["labels"]
    assert fail(leader(namespaces), 1, 62, 63, 64) == [FAILED, FAILED, FAILED, SWITCHED_OFF]


def test_one_that_has_not_looked_yet_does_so_before_it_switches(namespaces: ResourceClient) -> None:
    fail(leader(namespaces), 1, 2, 3)
    switch_on(namespaces)
    breaker = leader(namespaces)
    assert fail(breaker, 1, 2, 3, 62, 63, 64) == [*[FAILED] * 5, SWITCHED_OFF]


def test_where_it_is_off_it_is_not_switched_off_once_more(namespaces: ResourceClient) -> None:
    namespaces.merge("ns", {"metadata": {"labels": {INJECTION_LABEL: INJECTION_OFF}}})  # by a person
    breaker = leader(namespaces)
    assert set(fail(breaker, 1, 2, 3, 4)) == {FAILED}
    assert breaker.is_off
    switch_on(namespaces)
    assert fail(breaker, 5) == [SWITCHED_OFF]


def test_pods_made_ahead_of_this_clock_are_not_held_against_what_was_mended(namespaces: ResourceClient) -> None:
    breaker = leader(namespaces, clock=NOW - 1000)
    fail(breaker, 1, 2, 3)
    assert metadata(namespaces)["annotations"] == {SWITCHED_OFF_AT: rfc3339(NOW + 3)}


def test_none_switches_where_none_is_to(namespaces: ResourceClient) -> None:
    assert set(fail(leader(namespaces, most=0), *range(1, 9))) == {FAILED}


def test_a_namespace_that_cannot_be_changed_is_said_and_tried_again(
    server: ApiServer, namespaces: ResourceClient, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = leader(namespaces)
    server.script.add("status", lambda request: request.method == "PATCH", code=403)
    assert set(fail(breaker, 1, 2, 3)) == {FAILED}
    assert not breaker.is_off
    assert "injection could not be switched off namespace=ns" in caplog.text
    assert fail(breaker, 4) == [SWITCHED_OFF]  # at the next
