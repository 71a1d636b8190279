"""The breaker: consecutive failures pause injection for an owner or for all, whichever replica leads."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import permutations

import pytest

from controller.injection_pauses import (
    ALL,
    CONFIG_MAP,
    FIRST_PAUSE_SECONDS,
    MAX_ENTRIES,
    MAX_PAUSE_SECONDS,
    RESUMED_AT_ANNOTATION,
    Pause,
    format_pauses,
    next_pause,
    pod_owner,
    read_pauses,
)
from controller.reconcile.breaker import Breaker, FailureResult, SidecarFailure
from controller.reconcile.names import INJECTION_LABEL
from kube.objects import Resource, ResourceClient
from tests.controller.objects import NOW, pod, rfc3339, running
from tests.kube.apiserver import ApiServer, parse_path

COUNTED, ALREADY_COUNTED = FailureResult.COUNTED, FailureResult.ALREADY_COUNTED
PAUSED_FOR_OWNER, PAUSED_FOR_ALL = FailureResult.PAUSED_FOR_OWNER, FailureResult.PAUSED_FOR_ALL
CONFIG_MAPS = Resource("", "v1", "configmaps", "ns")
ANN, BOB, EVE = "user.ann", "user.bob", "user.eve"
POD = pod(main=running(), sidecar=running())


class Replica:
    """A breaker with a clock that is set by hand, and the newest working pods by owner (seconds after NOW)."""

    def __init__(self, server: ApiServer, max_failures: int = 3) -> None:
        self.client = server.client()
        self.now, self.working = NOW + 60, dict[str, float]()
        namespaces = ResourceClient(self.client, Resource("", "v1", "namespaces"))
        config_maps = ResourceClient(self.client, CONFIG_MAPS)
        self.breaker = Breaker(namespaces, config_maps, "ns", max_failures, lambda: self.now)

    def fail(self, *seconds: float, owner: str = ANN, counts: bool = True) -> list[FailureResult]:
        """Record failures of pods created `seconds` after NOW."""
        return [
            self.breaker.record_failure(SidecarFailure(f"{owner}-{second}", NOW + second, owner, counts), self.last)
            for second in seconds
        ]

    def last(self, owner: str) -> float:
        times = [at for name, at in self.working.items() if owner in (ALL, name)]
        return NOW + max(times, default=-1e6)

    def work(self, second: float, owner: str = ANN) -> None:
        """Record a working pod created `second` seconds after NOW."""
        self.working[owner] = second
        self.breaker.record_working(replace(POD, created_at=NOW + second, owner=owner))


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        server.put("/api/v1/namespaces/ns", {"metadata": {"name": "ns"}})
        server.put(CONFIG_MAPS.path(CONFIG_MAP), {"metadata": {"labels": {"a": "b"}}})
        yield server


@pytest.fixture
def replica(server: ApiServer) -> Iterator[Replica]:
    replica = Replica(server)
    yield replica
    replica.client.close()


def stored(server: ApiServer) -> Mapping[str, Pause]:
    return read_pauses(server.objects.get(parse_path(CONFIG_MAPS.path(CONFIG_MAP))))


def test_failures_of_one_owner_pause_injection_only_for_that_owner(server: ApiServer, replica: Replica) -> None:
    assert replica.fail(1, 1, 2) == [COUNTED, ALREADY_COUNTED, COUNTED]
    assert stored(server) == {}
    assert replica.fail(*range(3, 40)) == [PAUSED_FOR_OWNER, *[COUNTED] * 36]
    assert stored(server) == {ANN: Pause(NOW + 60, NOW + 60 + FIRST_PAUSE_SECONDS, 1)}
    assert (replica.breaker.is_off, replica.breaker.paused_owners) == (False, 1)
    labels = server.objects.get(parse_path(CONFIG_MAPS.path(CONFIG_MAP)))["metadata"]["labels"]
    assert labels == {"a": "b"}


def test_failures_of_several_owners_in_a_row_pause_injection_for_all(server: ApiServer, replica: Replica) -> None:
    assert replica.fail(1) + replica.fail(2, owner=BOB) == [COUNTED, COUNTED]
    replica.work(3, "user.dan")
    assert replica.fail(4) + replica.fail(5, owner=BOB) == [COUNTED, COUNTED]
    assert replica.fail(6, owner=EVE) == [PAUSED_FOR_ALL]
    assert stored(server).keys() == {ALL}
    assert replica.breaker.is_off


def test_sidecars_that_are_not_the_configured_one_do_not_count(server: ApiServer, replica: Replica) -> None:
    """Users can create pods with a container of the sidecar's name that fails, or one that works."""
    for owner in (ANN, BOB, EVE):
        assert set(replica.fail(*range(9), owner=owner, counts=False)) == {COUNTED}
    assert stored(server) == {}


def test_the_order_of_reported_failures_does_not_matter(server: ApiServer) -> None:
    for order in permutations((1, 2, 4, 5)):
        replica = Replica(server)
        replica.working[ANN] = 3
        assert set(replica.fail(*order)) == {COUNTED}, order
        replica.client.close()
    for order in permutations((2, 4, 5, 6)):
        server.put(CONFIG_MAPS.path(CONFIG_MAP), {"metadata": {}})
        replica = Replica(server)
        replica.working[ANN] = 3
        assert replica.fail(*order).count(PAUSED_FOR_OWNER) == 1, order
        replica.client.close()


def test_a_sidecar_that_works_ends_the_pauses(server: ApiServer, replica: Replica) -> None:
    replica.fail(1, 2, 3)
    replica.fail(4, owner=BOB)
    replica.fail(5, owner=EVE)
    assert stored(server).keys() == {ALL, ANN}
    replica.work(59, "user.dan")  # created before the pauses
    assert stored(server).keys() == {ALL, ANN}
    replica.work(61, "user.dan")
    assert stored(server).keys() == {ANN}
    replica.work(62)
    assert stored(server) == {}
    assert (replica.breaker.is_off, replica.breaker.paused_owners) == (False, 0)


def test_each_pause_is_twice_as_long_as_the_previous_one_and_at_most_a_day(server: ApiServer, replica: Replica) -> None:
    replica.fail(1, 2, 3)
    lengths = []
    for number in range(9):
        pause = stored(server)[ANN]
        lengths.append((pause.until - pause.since) / FIRST_PAUSE_SECONDS)
        replica.now = pause.until - 1
        assert replica.fail(pause.until - NOW - 2 + number / 10) == [COUNTED]
        replica.now = pause.until + 30
        assert replica.fail(pause.until - NOW + 1) == [PAUSED_FOR_OWNER]  # on probation, one failure is enough
    assert lengths == [1, 2, 4, 8, 16, 32, 64, 96, 96]
    assert MAX_PAUSE_SECONDS == 96 * FIRST_PAUSE_SECONDS


def test_one_user_cannot_extend_the_pause_for_all(server: ApiServer, replica: Replica) -> None:
    for second, owner in enumerate((ANN, BOB, EVE)):
        replica.fail(second, owner=owner)
    pause = stored(server)[ALL]
    replica.now = pause.until + 60
    replica.fail(*(pause.until - NOW + second for second in range(9)))
    assert stored(server)[ALL] == pause
    replica.fail(pause.until - NOW + 1, owner=BOB)
    assert replica.fail(pause.until - NOW + 1, owner=EVE) == [PAUSED_FOR_ALL]
    assert stored(server)[ALL].count == 2


def test_another_replica_continues_from_the_record(server: ApiServer, replica: Replica) -> None:
    replica.fail(1, 2, 3)
    other = Replica(server)
    other.breaker.refresh()
    assert other.breaker.paused_owners == 1
    assert set(other.fail(1, 2, 3, 60)) == {COUNTED}  # created before the pause
    pause = stored(server)[ANN]
    other.now = pause.until + 10
    assert other.fail(pause.until - NOW + 5) == [PAUSED_FOR_OWNER]
    assert stored(server)[ANN].count == 2
    other.client.close()


def test_a_replica_reads_the_record_before_it_pauses(server: ApiServer, replica: Replica) -> None:
    replica.fail(1, 2, 3)
    other = Replica(server)
    assert set(other.fail(4, 5, 6)) == {COUNTED}
    assert stored(server)[ANN].count == 1
    other.client.close()


def test_an_administrator_ends_all_pauses(server: ApiServer, replica: Replica) -> None:
    replica.fail(1, 2, 3)
    annotation = f"{RESUMED_AT_ANNOTATION}=$(date -u +%FT%TZ)"
    assert replica.breaker.remedy == f"kubectl -n ns annotate configmap {CONFIG_MAP} --overwrite {annotation}"
    annotations = {RESUMED_AT_ANNOTATION: rfc3339(NOW + 70)}
    ResourceClient(replica.client, CONFIG_MAPS).merge(CONFIG_MAP, {"metadata": {"annotations": annotations}})
    for one in (replica, Replica(server)):  # after an upgrade another replica leads, which has seen no pod
        one.breaker.refresh()
        assert one.breaker.paused_owners == 0
        assert set(one.fail(1, 2, 3, 4, 70)) <= {COUNTED, ALREADY_COUNTED}
    replica.now = NOW + 100
    assert replica.fail(71, 72, 73) == [COUNTED, COUNTED, PAUSED_FOR_OWNER]
    assert stored(server)[ANN].count == 1


def test_an_administrator_disables_injection(server: ApiServer, replica: Replica) -> None:
    server.put("/api/v1/namespaces/ns", {"metadata": {"labels": {INJECTION_LABEL: "off"}}})
    replica.breaker.refresh()
    assert replica.breaker.is_off


def test_a_maximum_of_zero_disables_the_breaker(server: ApiServer) -> None:
    replica = Replica(server, max_failures=0)
    assert set(replica.fail(*range(1, 9))) == {COUNTED}
    replica.client.close()


def test_a_maximum_of_one_does_not_let_one_user_pause_injection_for_all(server: ApiServer) -> None:
    replica = Replica(server, max_failures=1)
    assert replica.fail(1) == [PAUSED_FOR_OWNER]
    assert replica.fail(2, owner=BOB) == [PAUSED_FOR_ALL]
    replica.client.close()


def test_a_failed_write_is_logged_and_retried_at_the_next_failure(
    server: ApiServer, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    server.script.add("status", lambda request: request.method == "PUT", code=403)
    assert set(replica.fail(1, 2, 3)) == {COUNTED}
    assert "cannot change whether injection is paused namespace=ns" in caplog.text
    assert replica.fail(4) == [PAUSED_FOR_OWNER]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"since": "2026"}', '{"since": 1, "until": 2, "count": 1}', "[" * 1000]
)
def test_malformed_entries_are_ignored(text: str) -> None:
    valid = format_pauses({ANN: Pause(NOW, NOW + 1, 1)}, NOW)
    assert read_pauses({"data": {**valid, ALL: text}}).keys() == {ANN}
    assert read_pauses({"data": [text]}) == {}


def test_times_that_no_leader_can_have_written_are_not_believed() -> None:
    assert next_pause(None, NOW).is_active(NOW)
    assert not Pause(NOW, NOW + 10**9, 1).is_active(NOW)
    assert next_pause(Pause(NOW, NOW, 10**9), NOW).until == NOW + MAX_PAUSE_SECONDS


def test_the_record_is_bounded() -> None:
    pauses = {f"user.{number}": Pause(NOW + number, NOW + number, 1) for number in range(2 * MAX_ENTRIES)}
    kept = format_pauses({ALL: Pause(NOW, NOW, 1), **pauses}, NOW)
    assert len(kept) == MAX_ENTRIES
    assert ALL in kept
    assert "user.511" in kept
    assert format_pauses(pauses, NOW + 30 * 86400) == {}


@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"primehub.io/user": "escaped-ann", "primehub.io/group": "escaped-a"}, "user.escaped-ann"),
        ({"primehub.io/group": "escaped-a"}, "user.escaped-a"),
        ({}, "user."),
        (None, "user."),
    ],
)
def test_the_owner_of_a_pod_is_its_user_or_its_group(labels: dict[str, str] | None, owner: str) -> None:
    assert pod_owner({"labels": labels}) == owner
