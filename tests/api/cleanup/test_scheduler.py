"""The cleanup scheduler: when runs are overdue, retries, and the thread."""

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cleanup.scheduler import (
    DAY_SECONDS,
    LOCK_RETRY_SECONDS,
    RETRY_SECONDS,
    CleanupScheduler,
    is_overdue,
    last_scheduled,
)
from api.cleanup.state import read_last_success, write_last_success
from api.errors import ServiceUnavailable
from api.store.store import FileChanged
from artifacts.errors import StoreError
from tests.api.cleanup.environment import StoreEnvironment, directory_environment

MIDNIGHT = 19675 * DAY_SECONDS
AT_3 = MIDNIGHT + 3 * 3600

CASES = {
    "never": (AT_3 + 5, None, True),
    "yesterday's, before today's time": (AT_3 - 5, AT_3 - DAY_SECONDS + 60, False),
    "yesterday's, at today's time": (AT_3, AT_3 - DAY_SECONDS + 60, True),
    "today's": (AT_3 + 60, AT_3 + 30, False),
    "by hand before today's time": (AT_3 + 60, AT_3 - 60, True),
    "days ago": (AT_3 - 5, AT_3 - 5 * DAY_SECONDS, True),
    "in the future, by a wrong clock": (AT_3, AT_3 + 99 * DAY_SECONDS, True),
    "in the future, by a replica whose clock is a little ahead": (AT_3 + 60, AT_3 + 80, False),
}


@pytest.mark.parametrize(("now", "last", "overdue"), CASES.values(), ids=CASES.keys())
def test_a_run_is_overdue_if_none_succeeded_since_the_scheduled_time(
    now: float, last: float | None, overdue: bool
) -> None:
    assert is_overdue(now, "03:00", last) is overdue


@given(st.floats(0, 2**40), st.integers(0, 23), st.integers(0, 59))
def test_the_last_scheduled_time_is_within_the_last_day(now: float, hour: int, minute: int) -> None:
    scheduled = last_scheduled(now, f"{hour:02}:{minute:02}")
    assert now - DAY_SECONDS <= scheduled <= now
    assert (scheduled - hour * 3600 - minute * 60) % DAY_SECONDS == pytest.approx(
        0, abs=0.01
    ) or scheduled % DAY_SECONDS == pytest.approx(hour * 3600 + minute * 60, abs=0.01)


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs")


def make_scheduler(env: StoreEnvironment) -> CleanupScheduler:
    return CleanupScheduler(env.cleaner, env.store, env.metrics, "03:00", env.clock)


def test_an_overdue_run_starts_immediately_and_stop_ends_the_thread(env: StoreEnvironment) -> None:
    env.add_folder("job-1")
    scheduler = make_scheduler(env)
    scheduler.start()
    deadline = time.monotonic() + 20
    while read_last_success(env.store) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    scheduler.stop()
    assert env.remaining_jobs() == []


def test_no_replica_runs_again_before_the_next_scheduled_time(env: StoreEnvironment) -> None:
    write_last_success(env.store, env.clock())
    env.add_folder("job-1")
    make_scheduler(env).check()
    assert env.remaining_jobs() == ["a/job-1"]
    last = env.metrics.registry.get_sample_value("phjob_artifact_cleanup_last_success_timestamp_seconds")
    assert last == pytest.approx(time.time(), abs=60)
    write_last_success(env.store, env.clock() - 2 * DAY_SECONDS)
    make_scheduler(env).check()
    assert env.remaining_jobs() == []


def test_an_unreadable_last_success_counts_as_no_success(env: StoreEnvironment) -> None:
    env.store.write("phjob-artifacts/cleanup/last-success", b"soon")
    env.add_folder("job-1")
    make_scheduler(env).check()
    assert env.remaining_jobs() == []


def record_runs(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the times of all runs from now on."""
    clean, runs = env.cleaner.clean, []

    def record(groups: None) -> object:
        runs.append(env.clock())
        return clean(groups)

    monkeypatch.setattr(env.cleaner, "clean", record)
    return runs


def test_a_held_lock_is_retried_soon(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, scheduler = record_runs(env, monkeypatch), make_scheduler(env)
    with env.lock.hold():
        scheduler.check()
        scheduler.check()
    env.clock_offset = LOCK_RETRY_SECONDS - 60
    scheduler.check()
    assert len(runs) == 1
    env.clock_offset = LOCK_RETRY_SECONDS + 60
    with env.lock.hold():
        scheduler.check()
    assert len(runs) == 2


def test_a_disabled_cleanup_still_refreshes_the_metrics(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, folder = record_runs(env, monkeypatch), env.add_folder("job-1")
    env.clock_offset = 999 * DAY_SECONDS
    scheduler = CleanupScheduler(env.cleaner, env.store, env.metrics, "", env.clock)
    scheduler.check()
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_store_size_bytes")
    assert value("phjob_artifact_kept_jobs") == 1
    env.add_folder("job-2")
    scheduler.check()
    assert value("phjob_artifact_kept_jobs") == 1  # measured once a day
    env.clock_offset += DAY_SECONDS + 60
    scheduler.check()
    assert value("phjob_artifact_kept_jobs") == 2
    assert (runs, env.remaining_jobs()) == ([], ["a/job-1", "a/job-2"]), folder


def test_the_cleanup_waits_until_the_phjobs_have_been_read(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ServiceUnavailable("the PhJobs have not been listed")

    runs, scheduler = record_runs(env, monkeypatch), make_scheduler(env)
    with monkeypatch.context() as away:
        away.setattr(env.jobs, "check", fail)
        scheduler.check()
    assert runs == []
    scheduler.check()
    assert len(runs) == 1


@pytest.mark.parametrize("how", ["refused", "failed", "a bug"])
def test_an_unsuccessful_run_is_retried_hourly(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise {
            "failed": StoreError("list", "groups/", OSError(5, "Input/output error")),
            "a bug": ZeroDivisionError(),
        }[how]

    if how == "refused":
        env.clock_offset = 10 * DAY_SECONDS  # differs from the store's clock
    else:
        monkeypatch.setattr(env.store, "list", fail)
    runs, scheduler = record_runs(env, monkeypatch), make_scheduler(env)
    for minutes in range(0, 2 * RETRY_SECONDS, 60):
        env.clock_offset += 60
        scheduler.check()
        assert len(runs) == 1 + minutes // RETRY_SECONDS
    assert "cleanup failed" in caplog.text or "cleanup refused" in caplog.text


def test_a_clock_that_is_set_back_does_not_postpone_the_retry(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, scheduler = record_runs(env, monkeypatch), make_scheduler(env)
    env.clock_offset = 999 * DAY_SECONDS
    scheduler.check()
    env.clock_offset = 0
    scheduler.check()
    assert len(runs) == 2
    assert read_last_success(env.store) is not None


def test_a_store_error_does_not_end_the_scheduler(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(key: str, max_bytes: int) -> bytes:
        raise StoreError("read", key, OSError(5, "Input/output error"))

    runs, scheduler = record_runs(env, monkeypatch), make_scheduler(env)
    with monkeypatch.context() as patch:
        patch.setattr(env.store, "read", fail)
        scheduler.check()
    assert runs == []
    scheduler.check()
    assert len(runs) == 1


def test_a_changed_file_does_not_end_the_scheduler(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_changed(key: str, max_bytes: int) -> bytes:
        raise FileChanged(f"{key!r} was written to while it was read")

    scheduler = make_scheduler(env)
    with monkeypatch.context() as patch:
        patch.setattr(env.store, "read", raise_changed)
        scheduler.check()
    scheduler.check()
    assert read_last_success(env.store) is not None


def test_stop_ends_a_run_between_two_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_WORKERS": "1"})
    for number in range(9):
        env.add_folder(f"job-{number}")
    remove, started, may_continue = env.store.remove, threading.Event(), threading.Event()

    def wait(prefix: str, last: tuple[str, ...] = ()) -> object:
        started.set()
        may_continue.wait(20)
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", wait)
    scheduler = make_scheduler(env)
    scheduler.start()
    assert started.wait(20)
    env.cleaner.stop()
    may_continue.set()
    scheduler.stop()
    assert len(env.remaining_jobs()) == 8
