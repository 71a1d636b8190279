"""When the next sync comes: soon after a hint, and never so often that looking costs the job anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.loop import next_sync

SECONDS = st.floats(0, 1e5)


@pytest.mark.parametrize(
    ("scan", "sync", "hinted", "seconds"),
    [
        (0.001, 0.002, False, 10.0),
        (0.001, 0.002, True, 2.1),  # once what changed is at rest
        (0.1, 0.2, False, 100.0),  # 0.1 % of the time for looking
        (0.1, 0.2, True, 5.0),  # 2 % where files come and go
        (0.1, 20.0, False, 200.0),  # a tenth for copying
        (0.1, 20.0, True, 200.0),
    ],
)
def test_the_interval_follows_what_the_last_sync_took(scan: float, sync: float, hinted: bool, seconds: float) -> None:
    assert next_sync(10.0, 2.0, scan, sync, hinted) == pytest.approx(seconds)


def test_without_a_quiet_time_syncs_still_keep_a_distance() -> None:
    assert next_sync(10.0, 0.0, 0.0, 0.0, hinted=True) >= 0.5


@given(st.floats(0.1, 86400), st.floats(0, 3600), SECONDS, SECONDS)
def test_a_hint_never_delays_and_no_sync_crowds_out_the_job(
    interval: float, quiet: float, scan: float, sync: float
) -> None:
    timer = next_sync(interval, quiet, scan, sync, hinted=False)
    hint = next_sync(interval, quiet, scan, sync, hinted=True)
    assert hint <= timer
    assert timer >= max(interval, 1000 * scan, 10 * sync)
    assert hint >= min(interval, 0.5)
    assert hint >= max(50 * scan, 10 * sync)
