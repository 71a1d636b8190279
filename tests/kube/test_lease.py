"""At most one holds a lease, whatever its clocks, the network and the API server do."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kube import errors
from kube.client import Client
from kube.leader_election import LeaderElection, hold_lease
from kube.lease import Lease, LeaseTiming
from tests.kube.apiserver import ApiServer, parse_path
from tests.kube.informers import until

PATH = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/main"


class Clock:
    """Seconds that pass when told to; one for both clocks."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def lease(client: Client, identity: str, clock: Clock, **given_: Any) -> Lease:
    return Lease(client, "ns", "main", identity, LeaseTiming(15.0, clock=clock, wall=clock, **given_))


def spec(server: ApiServer) -> dict[str, Any]:
    found: dict[str, Any] = server.objects.get(parse_path(PATH))["spec"]
    return found


def holds(found: Lease) -> bool:
    return found.is_held


def test_the_first_holds_it_until_it_releases_it(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = lease(client, "a", clock), lease(client, "b", clock)
    assert (first.acquire(), holds(first)) == (True, True)
    assert (second.acquire(), holds(second)) == (False, False)
    clock.now += 5
    assert first.acquire()
    first.release()
    assert not holds(first)
    assert second.acquire()
    assert spec(server) == {
        "holderIdentity": "b",
        "leaseDurationSeconds": 15,
        "acquireTime": "1970-01-12T13:46:45.000000Z",
        "renewTime": "1970-01-12T13:46:45.000000Z",
        "leaseTransitions": 1,
    }


def test_a_holder_that_cannot_renew_has_lost_before_another_takes_over(server: ApiServer, client: Client) -> None:
    clock = Clock()
    first, second = lease(client, "a", clock), lease(client, "b", clock)
    assert first.acquire()
    assert not second.acquire()
    clock.now += 9.9
    assert holds(first)
    clock.now += 0.2
    assert not holds(first)
    assert not second.acquire()
    clock.now += 5
    assert second.acquire()
    assert not first.acquire()


def test_others_clocks_are_not_trusted(server: ApiServer, client: Client) -> None:
    holder, other = Clock(), Clock()
    holder.now -= 10**6
    assert lease(client, "a", holder).acquire()
    late = lease(client, "b", other)
    assert not late.acquire()
    other.now += 14
    assert not late.acquire()
    other.now += 1
    assert late.acquire()


def test_one_that_looks_once_outlives_a_dead_holder_by_the_wall_clock(server: ApiServer, client: Client) -> None:
    clock = Clock()
    assert lease(client, "dead", clock).acquire()
    clock.now += 15 + 299
    assert not lease(client, "b", clock, stale_seconds=300.0).acquire()
    clock.now += 1
    assert not lease(client, "b", clock).acquire()
    assert lease(client, "b", clock, stale_seconds=300.0).acquire()


def test_of_two_that_write_at_once_one_wins(server: ApiServer, client: Client) -> None:
    clock = Clock()
    for turn in range(10):
        contenders = [lease(client, f"{turn}-{number}", clock) for number in range(8)]
        start = threading.Barrier(8)

        def strive(each: Lease, start: threading.Barrier = start) -> bool:
            start.wait()
            return each.acquire()

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(strive, contenders)).count(True) == 1
        assert [each.is_held for each in contenders].count(True) == 1
        next(each for each in contenders if each.is_held).release()


def test_a_write_whose_answer_was_lost_is_ours_all_the_same(server: ApiServer, client: Client) -> None:
    ours = lease(client, "a", Clock())
    server.script.add("truncated", lambda request: request.method == "POST")
    with pytest.raises(errors.Unreachable):
        ours.acquire()
    assert not ours.is_held
    assert ours.acquire()


@pytest.mark.parametrize("odd", [{}, {"spec": None}, {"spec": {"holderIdentity": 7, "leaseDurationSeconds": "x"}}])
def test_a_lease_that_holds_nonsense_is_taken(server: ApiServer, client: Client, odd: dict[str, Any]) -> None:
    server.put(PATH, odd)
    assert lease(client, "a", Clock()).acquire()


@pytest.mark.parametrize("odd", [{"renewTime": "soon"}, {"renewTime": 7, "leaseDurationSeconds": -1}, {}])
def test_a_holder_with_odd_times_is_outlived_all_the_same(
    server: ApiServer, client: Client, odd: dict[str, Any]
) -> None:
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
def test_never_two_hold_it(server: ApiServer, client: Client, actions: list[tuple[str, Any]]) -> None:
    clock = Clock()
    server.script.clear()
    server.objects.forget_objects(100)
    contenders = [lease(client, str(number), clock) for number in range(3)]
    for action, given_ in actions:
        if action == "wait":
            clock.now += given_
        elif action == "fault":
            server.script.add(given_, lambda request: request.method != "GET")
        else:
            with suppress(errors.KubeError):
                getattr(contenders[given_], action)()
        assert [each.is_held for each in contenders].count(True) <= 1


@contextmanager
def electing(client: Client, identity: str) -> Iterator[tuple[LeaderElection, list[bool]]]:
    told: list[bool] = []
    found = LeaderElection(Lease(client, "ns", "main", identity, LeaseTiming(1.5)), told.append)
    found.start()
    try:
        yield found, told
    finally:
        found.stop()


def test_a_leader_that_resigns_is_followed_at_once_and_one_that_is_cut_off_has_lost(
    server: ApiServer, client: Client
) -> None:
    with electing(client, "a") as (first, told):
        until(lambda: first.is_leader, "a leads")
        with electing(client, "b") as (second, _):
            until(lambda: len(server.requests) > 6, "both try")
            assert not second.is_leader
            first.stop()
            assert told == [True, False]
            until(lambda: second.is_leader, "b leads")
            server.script.add("status", lambda _: True, times=10**6)
            until(lambda: not second.is_leader, "b has lost")
            server.script.clear()
            until(lambda: second.is_leader, "b leads again")
    assert "holderIdentity" not in spec(server)


def test_a_lapse_that_the_next_renewal_mends_is_told(server: ApiServer, client: Client) -> None:
    """Meanwhile this process did not lead, and left its work to whoever does."""
    lapse, told = [0.0], list[bool]()
    timing = LeaseTiming(1.5, clock=lambda: time.monotonic() + lapse[0])
    found = LeaderElection(Lease(client, "ns", "main", "a", timing), told.append)
    found.start()
    until(lambda: found.is_leader, "it leads")
    lapse[0] = 100.0
    assert not found.is_leader
    until(lambda: found.is_leader, "it leads again")
    until(lambda: told == [True, False, True], "both are told")
    asked = len(server.requests)
    until(lambda: len(server.requests) > asked + 6, "renewals")
    assert told == [True, False, True]
    found.stop()


def test_a_leaders_handler_that_raises_stops_nothing(server: ApiServer, client: Client) -> None:
    def fail(_: bool) -> None:
        raise RuntimeError("no")

    found = LeaderElection(Lease(client, "ns", "main", "a", LeaseTiming(0.3)), fail)
    found.start()
    until(lambda: found.is_leader and len(server.requests) > 6, "renewals")
    found.stop()


def test_a_run_holds_the_lease_renews_it_and_lets_it_go(server: ApiServer, client: Client) -> None:
    with hold_lease(client, "ns", "main", "pod", LeaseTiming(1.5)) as held:
        assert held
        assert holds(held)
        renewed = spec(server)["renewTime"]
        until(lambda: spec(server)["renewTime"] != renewed, "a renewal")
        with hold_lease(client, "ns", "main", "pod") as other:
            assert other is None
        assert holds(held)
    assert not holds(held)
    with hold_lease(client, "ns", "main", "pod") as again:
        assert again


def test_a_run_is_told_when_it_has_lost_the_lease_and_does_not_take_it_back(server: ApiServer, client: Client) -> None:
    with hold_lease(client, "ns", "main", "pod", LeaseTiming(1.5)) as held:
        assert held
        server.put(PATH, {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 15}})
        until(lambda: not holds(held), "the loss")
        server.put(PATH, {"spec": {}})
        until(lambda: not [each for each in threading.enumerate() if each.name == "lease main"], "it has given up")
    assert "holderIdentity" not in spec(server)


def test_a_run_lets_go_when_it_fails(server: ApiServer, client: Client) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(client, "ns", "main", "pod"):
        raise ZeroDivisionError
    assert "holderIdentity" not in spec(server)
