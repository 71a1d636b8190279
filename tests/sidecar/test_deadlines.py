"""Deadlines of the last sync: as measured on a real kubelet, and always with enough time to seal."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.deadlines import MIN_GRACE_SECONDS, compute_deadlines

SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("grace_seconds", "sigterm_at", "prestop_at", "killed_at", "sync"),
    [
        (30.0, 100.0, None, 130.0, 127.0),  # no preStop ran
        (30.0, 100.0, 99.5, 129.5, 126.55),  # main ended by itself: preStop ran just before
        (30.0, 100.0, 92.0, 122.0, 119.8),  # deleted: main took 8 s of the grace period
        (30.0, 100.0, 70.0, 102.0, 101.4),  # deleted: main took all of it
        (30.0, 100.0, 71.0, 102.0, 101.4),  # ... or nearly all
        (30.0, 100.0, 10.0, 130.0, 127.0),  # a preStop long ago had another cause
        (5.0, 100.0, None, 105.0, 104.4),
        (1.0, 100.0, None, 102.0, 101.4),  # never less than the kubelet's minimum
        (3600.0, 100.0, None, 3700.0, 3697.0),
        (0.0, 100.0, 99.5, inf, inf),  # no grace period: nothing kills the sidecar
    ],
)
def test_deadlines_follow_the_kubelets_grace_period(
    grace_seconds: float, sigterm_at: float, prestop_at: float | None, killed_at: float, sync: float
) -> None:
    deadlines = compute_deadlines(grace_seconds, sigterm_at, prestop_at)
    assert [deadlines.sync_until, deadlines.exit_until] == pytest.approx([sync, killed_at - 0.3])


@pytest.mark.parametrize(
    ("prestop_at", "main"),
    [
        (None, 100.0),
        (99.7, 100.0),  # main ended by itself
        (99.0, 101.15),  # possibly evicted: the kubelet kills main 2 s after preStop
        (98.95, 101.1),
        (98.5, 100.65),
        (97.9, 100.0),  # main has been killed by now
        (60.0, 100.0),
    ],
)
def test_main_is_waited_for_if_the_pod_may_be_evicted(prestop_at: float | None, main: float) -> None:
    assert compute_deadlines(120.0, 100.0, prestop_at).main_until == pytest.approx(main)


@given(st.floats(1, 86400), SECONDS, st.none() | SECONDS)
def test_there_is_always_time_to_sync_seal_and_exit(
    grace_seconds: float, sigterm_at: float, before: float | None
) -> None:
    deadlines = compute_deadlines(grace_seconds, sigterm_at, None if before is None else sigterm_at - before)
    assert sigterm_at + 1 <= deadlines.sync_until
    assert deadlines.main_until <= deadlines.sync_until
    assert deadlines.sync_until + 0.25 <= deadlines.exit_until
    assert deadlines.exit_until <= sigterm_at + max(grace_seconds, MIN_GRACE_SECONDS)
