"""Deadlines of the last sync: what a real kubelet was seen to leave, and always time enough to seal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.deadline import LEAST_SECONDS, deadlines

SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("grace_seconds", "terminated", "prestop", "killed", "sync"),
    [
        (30.0, 100.0, None, 130.0, 127.0),  # no preStop ran
        (30.0, 100.0, 99.5, 129.5, 126.55),  # main ended by itself: preStop just before
        (30.0, 100.0, 92.0, 122.0, 119.8),  # deleted: main took 8 s of the grace period
        (30.0, 100.0, 70.0, 102.0, 101.4),  # deleted: main took all of it
        (30.0, 100.0, 71.0, 102.0, 101.4),  # ... or nearly all
        (30.0, 100.0, 10.0, 130.0, 127.0),  # a preStop of long ago was for something else
        (5.0, 100.0, None, 105.0, 104.4),
        (1.0, 100.0, None, 102.0, 101.4),  # never less than the kubelet's least
        (3600.0, 100.0, None, 3700.0, 3697.0),
    ],
)
def test_the_time_is_what_the_kubelet_leaves(
    grace_seconds: float, terminated: float, prestop: float | None, killed: float, sync: float
) -> None:
    made = deadlines(grace_seconds, terminated, prestop)
    assert [made.sync, made.exit] == pytest.approx([sync, killed - 0.3])


@pytest.mark.parametrize(
    ("prestop", "main"),
    [
        (None, 100.0),
        (99.7, 100.0),  # main ended by itself
        (99.0, 101.15),  # evicted, perhaps: the kubelet kills main 2 s after preStop
        (98.95, 101.1),
        (98.5, 100.65),
        (97.9, 100.0),  # main is dead by now, if it was not sooner
        (60.0, 100.0),
    ],
)
def test_a_main_that_may_be_running_still_is_given_its_time(prestop: float | None, main: float) -> None:
    assert deadlines(120.0, 100.0, prestop).main == pytest.approx(main)


@given(st.floats(1, 86400), SECONDS, st.none() | SECONDS)
def test_there_is_always_time_to_sync_to_seal_and_to_go(
    grace_seconds: float, terminated: float, before: float | None
) -> None:
    made = deadlines(grace_seconds, terminated, None if before is None else terminated - before)
    assert terminated + 1 <= made.sync
    assert made.main <= made.sync
    assert made.sync + 0.25 <= made.exit
    assert made.exit <= terminated + max(grace_seconds, LEAST_SECONDS)
