"""At most one contender holds a lease, despite failures of clocks, the network and the API server."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kube import errors
from kube.client import Client
from kube.leader_election import LeaderElection, hold_lease
from kube.lease import MAX_DURATION_SECONDS, Lease, LeaseTiming
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.informers import until

PATH = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/main"


class Clock:
    """A manual clock, used as monotonic and as wall clock."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def lease(client: Client, identity: str, clock: Clock, **options: Any) -> Lease:
    return Lease(client, "ns", "main", identity, LeaseTiming(15.0, clock=clock, wall=clock, **options))


def spec(server: ApiServer) -> dict[str, Any]:
    result: dict[str, Any] = server.objects.get(parse_path(PATH))["spec"]
    return result


def is_held(lease: Lease) -> bool:
    """Return `lease.is_held`; a call, so that mypy does not narrow its type."""
    return lease.is_held


def test_first_contender_holds_the_lease_until_it_releases_it(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = lease(client, "a", clock), lease(client, "b", clock)
    assert (first.acquire(), is_held(first)) == (True, True)
    assert (second.acquire(), is_held(second)) == (False, False)
    clock.now += 5
    assert first.acquire()
    first.release()
    assert not is_held(first)
    assert second.acquire()
    assert spec(server) == {
        "holderIdentity": "b",
        "leaseDurationSeconds": 15,
        "acquireTime": "1970-01-12T13:46:45.000000Z",
        "renewTime": "1970-01-12T13:46:45.000000Z",
        "leaseTransitions": 1,
    }


def test_holder_that_cannot_renew_loses_before_another_takes_over(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = lease(client, "a", clock), lease(client, "b", clock)
    assert first.acquire()
    assert not second.acquire()
    clock.now += 9.9
    assert is_held(first)
    clock.now += 0.2
    assert not is_held(first)
    assert not second.acquire()
    clock.now += 5
    assert second.acquire()
    assert not first.acquire()


def test_clocks_of_other_holders_are_not_trusted(server: ApiServer, client: Client) -> None:
    holder, other = Clock(), Clock()
    holder.now -= 10**6
    assert lease(client, "a", holder).acquire()
    late = lease(client, "b", other)
    assert not late.acquire()
    other.now += 14
    assert not late.acquire()
    other.now += 1
    assert late.acquire()


def test_single_attempt_replaces_a_dead_holder_by_the_wall_clock(server: ApiServer, client: Client) -> None:
    clock = Clock()
    assert lease(client, "dead", clock).acquire()
    clock.now += 15 + 299
    assert not lease(client, "b", clock, stale_seconds=300.0).acquire()
    clock.now += 1
    assert not lease(client, "b", clock).acquire()
    assert lease(client, "b", clock, stale_seconds=300.0).acquire()


FORGED = {
    "holderIdentity": "mallory",
    "leaseDurationSeconds": 2**31 - 1,
    "acquireTime": "2099-01-01T00:00:00.000000Z",
    "renewTime": "2099-01-01T00:00:00.000000Z",
    "leaseTransitions": 2**31 - 1,
}


def write_record(server: ApiServer, record: dict[str, Any]) -> None:
    server.put(PATH, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {}, "spec": record})


def test_a_record_written_by_hand_does_not_keep_contenders_waiting_for_ever(server: ApiServer, client: Client) -> None:
    clock = Clock()
    waiting = lease(client, "a", clock)
    write_record(server, FORGED)
    assert not waiting.acquire()
    clock.now += MAX_DURATION_SECONDS - 1
    assert (waiting.acquire(), waiting.other_holder, waiting.silent_seconds) == (False, "mallory", 599.0)
    clock.now += 1
    assert waiting.acquire()
    assert spec(server)["leaseDurationSeconds"] == 15
    assert spec(server)["leaseTransitions"] < 2**31  # the API server refuses more
    assert (waiting.other_holder, waiting.silent_seconds) == ("", 0.0)


@pytest.mark.parametrize(("ahead_seconds", "is_available"), [(299, False), (300, True), (10**9, True)])
def test_single_attempt_replaces_a_record_that_was_renewed_in_the_future(
    server: ApiServer, client: Client, ahead_seconds: int, is_available: bool
) -> None:
    clock = Clock()
    renewed_at = datetime.fromtimestamp(clock.now + ahead_seconds, UTC).isoformat()
    write_record(server, {"holderIdentity": "b", "renewTime": renewed_at})
    assert not lease(client, "a", clock).acquire()
    assert lease(client, "a", clock, stale_seconds=300.0).acquire() == is_available


def test_an_election_reports_that_no_process_leads(server: ApiServer, client: Client) -> None:
    clock = Clock()
    write_record(server, FORGED)
    contender = lease(client, "a", clock)
    election = LeaderElection(contender, lambda _: None)
    assert election.problem() == ""
    election.start()
    try:
        until(lambda: contender.other_holder, "the first attempt")
        assert election.problem() == ""  # mallory may be alive
        clock.now += 16
        assert election.problem() == (
            "no replica leads: the Lease main belongs to 'mallory', who has not renewed it for 16 s"
        )
        clock.now += MAX_DURATION_SECONDS
        until(lambda: election.is_leader, "leadership")
        assert election.problem() == ""
    finally:
        election.stop()


def test_an_election_reports_that_the_lease_cannot_be_acquired(server: ApiServer, client: Client) -> None:
    server.script.add("status", lambda request: "/leases/" in request.path, code=403, message="no", times=100)
    election = LeaderElection(lease(client, "a", Clock()), lambda _: None)
    election.start()
    try:
        until(lambda: election.problem().startswith("the Lease main cannot be acquired: 403"), "the problem")
    finally:
        election.stop()


def test_only_one_of_several_concurrent_writers_wins(server: ApiServer, client: Client) -> None:
    clock = Clock()
    for turn in range(10):
        contenders = [lease(client, f"{turn}-{number}", clock) for number in range(8)]
        start = threading.Barrier(8)

        def acquire_together(contender: Lease, start: threading.Barrier = start) -> bool:
            start.wait()
            return contender.acquire()

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(acquire_together, contenders)).count(True) == 1
        assert [contender.is_held for contender in contenders].count(True) == 1
        next(contender for contender in contenders if contender.is_held).release()


def test_write_with_a_lost_response_can_be_renewed(server: ApiServer, client: Client) -> None:
    ours = lease(client, "a", Clock())
    server.script.add("truncated", lambda request: request.method == "POST")
    with pytest.raises(errors.Unreachable):
        ours.acquire()
    assert not ours.is_held
    assert ours.acquire()


@pytest.mark.parametrize("odd", [{}, {"spec": None}, {"spec": {"holderIdentity": 7, "leaseDurationSeconds": "x"}}])
def test_malformed_lease_is_acquired(server: ApiServer, client: Client, odd: dict[str, Any]) -> None:
    server.put(PATH, odd)
    assert lease(client, "a", Clock()).acquire()


@pytest.mark.parametrize("odd", [{"renewTime": "soon"}, {"renewTime": 7, "leaseDurationSeconds": -1}, {}])
def test_holder_with_malformed_times_is_replaced(server: ApiServer, client: Client, odd: dict[str, Any]) -> None:
    server.put(PATH, {"spec": {"holderIdentity": "b", **odd}})
    clock = Clock()
    ours = lease(client, "a", clock, stale_seconds=1.0)
    assert not ours.acquire()
    clock.now += 15
    assert ours.acquire()


ACTIONS = st.one_of(
    st.tuples(st.just("acquire"), st.integers(0, 2)),
    st.tuples(st.just("release"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.floats(0, 12)),
    st.tuples(st.just("fault"), st.sampled_from(["reset", "truncated", "status"])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, max_size=40))
def test_no_two_contenders_hold_the_lease(server: ApiServer, client: Client, actions: list[tuple[str, Any]]) -> None:
    clock = Clock()
    server.script.clear()
    server.objects.forget_objects(100)
    contenders = [lease(client, str(number), clock) for number in range(3)]
    for action, argument in actions:
        if action == "wait":
            clock.now += argument
        elif action == "fault":
            server.script.add(argument, lambda request: request.method != "GET")
        else:
            with suppress(errors.KubeError):
                getattr(contenders[argument], action)()
        assert [contender.is_held for contender in contenders].count(True) <= 1


@contextmanager
def running_election(client: Client, identity: str) -> Iterator[tuple[LeaderElection, list[bool]]]:
    changes: list[bool] = []
    election = LeaderElection(Lease(client, "ns", "main", identity, LeaseTiming(1.5)), changes.append)
    election.start()
    try:
        yield election, changes
    finally:
        election.stop()


def test_resigned_leader_is_replaced_at_once_and_disconnected_leader_steps_down(
    server: ApiServer, client: Client
) -> None:
    with running_election(client, "a") as (first, changes):
        until(lambda: first.is_leader, "a leads")
        with running_election(client, "b") as (second, _):
            until(lambda: len(server.requests) > 6, "attempts of both")
            assert not second.is_leader
            first.stop()
            assert changes == [True, False]
            until(lambda: second.is_leader, "b leads")
            server.script.add("status", lambda _: True, times=10**6)
            until(lambda: not second.is_leader, "b steps down")
            server.script.clear()
            until(lambda: second.is_leader, "b leads again")
    assert "holderIdentity" not in spec(server)


def test_lapse_between_two_renewals_is_reported(server: ApiServer, client: Client) -> None:
    """During the lapse this process did not lead, so work was dropped and must be queued again."""
    lapse, changes = [0.0], list[bool]()
    timing = LeaseTiming(1.5, clock=lambda: time.monotonic() + lapse[0])
    election = LeaderElection(Lease(client, "ns", "main", "a", timing), changes.append)
    election.start()
    until(lambda: election.is_leader, "the process leads")
    lapse[0] = 100.0
    assert not election.is_leader
    until(lambda: election.is_leader, "the process leads again")
    until(lambda: changes == [True, False, True], "both changes")
    request_count = len(server.requests)
    until(lambda: len(server.requests) > request_count + 6, "renewals")
    assert changes == [True, False, True]
    election.stop()


def test_failing_leadership_handler_does_not_stop_the_election(server: ApiServer, client: Client) -> None:
    def fail(_: bool) -> None:
        raise RuntimeError("no")

    election = LeaderElection(Lease(client, "ns", "main", "a", LeaseTiming(0.3)), fail)
    election.start()
    until(lambda: election.is_leader and len(server.requests) > 6, "renewals")
    election.stop()


def test_hold_lease_acquires_renews_and_releases(server: ApiServer, client: Client) -> None:
    with hold_lease(client, "ns", "main", "pod", LeaseTiming(1.5)) as run_lease:
        assert run_lease
        assert is_held(run_lease)
        renewed = spec(server)["renewTime"]
        until(lambda: spec(server)["renewTime"] != renewed, "a renewal")
        with hold_lease(client, "ns", "main", "pod") as other:
            assert other is None
        assert is_held(run_lease)
    assert not is_held(run_lease)
    with hold_lease(client, "ns", "main", "pod") as again:
        assert again


def test_lost_lease_is_not_acquired_again(server: ApiServer, client: Client) -> None:
    with hold_lease(client, "ns", "main", "pod", LeaseTiming(1.5)) as run_lease:
        assert run_lease
        server.put(PATH, {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 15}})
        until(lambda: not is_held(run_lease), "the loss")
        server.put(PATH, {"spec": {}})
        until(
            lambda: not [thread for thread in threading.enumerate() if thread.name == "lease main"],
            "the end of renewals",
        )
    assert "holderIdentity" not in spec(server)


def test_lease_is_released_if_the_block_raises(server: ApiServer, client: Client) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(client, "ns", "main", "pod"):
        raise ZeroDivisionError
    assert "holderIdentity" not in spec(server)
