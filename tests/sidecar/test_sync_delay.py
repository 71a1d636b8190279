"""The delay before the next sync: short after an event, but never so short that scans cost the job much CPU."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.process import create_syncer
from sidecar.sync_loop import SyncLoop, compute_delay
from tests.sidecar.sidecars import Job, until

SECONDS = st.floats(0, 1e5)


@pytest.mark.parametrize(
    ("scan", "sync", "has_changed", "seconds"),
    [
        (0.001, 0.002, False, 10.0),
        (0.001, 0.002, True, 2.1),  # once the changed file is quiet
        (0.1, 0.2, False, 100.0),  # 0.1 % of the time for scans
        (0.1, 0.2, True, 5.0),  # 2 % of the time for scans if files change
        (0.1, 20.0, False, 200.0),  # a tenth of the time for copies
        (0.1, 20.0, True, 200.0),
    ],
)
def test_the_delay_depends_on_the_duration_of_the_last_sync(
    scan: float, sync: float, has_changed: bool, seconds: float
) -> None:
    assert compute_delay(10.0, 2.0, scan, sync, has_changed) == pytest.approx(seconds)


def test_there_is_a_minimum_delay_without_a_quiet_time() -> None:
    assert compute_delay(10.0, 0.0, 0.0, 0.0, has_changed=True) >= 0.5


@given(st.floats(0.1, 86400), st.floats(0, 3600), SECONDS, SECONDS)
def test_an_event_never_delays_a_sync_and_syncs_use_a_bounded_share_of_time(
    interval: float, quiet: float, scan: float, sync: float
) -> None:
    timer = compute_delay(interval, quiet, scan, sync, has_changed=False)
    after_event = compute_delay(interval, quiet, scan, sync, has_changed=True)
    assert after_event <= timer
    assert timer >= max(interval, 1000 * scan, 10 * sync)
    assert after_event >= min(interval, 0.5)
    assert after_event >= max(50 * scan, 10 * sync)


def test_a_slow_first_sync_delays_no_other_while_there_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy node the first sync is slow, before main has made the folder, which then nothing watches yet."""
    job = Job(tmp_path)
    job.artifacts.rmdir()
    syncer = create_syncer(job.settings())
    sync, calls = syncer.sync, []

    def slow_sync(eager: bool = False) -> None:
        calls.append(eager)
        sync(eager)
        time.sleep(0.5)

    monkeypatch.setattr(syncer, "sync", slow_sync)
    loop = SyncLoop(syncer, 0.1, 0)
    loop.start()
    until(lambda: len(calls) > 1, "another sync", 4)
    loop.finish(time.monotonic() + 5, time.monotonic())
    loop.join()
    syncer.close()
