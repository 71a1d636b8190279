"""When the cleanup runs by itself: by a table, by any clock, and as a thread."""

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cleanup.scheduler import (
    DAY_SECONDS,
    LEASE_RETRY_SECONDS,
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
    "to come, by a wrong clock": (AT_3, AT_3 + 99 * DAY_SECONDS, True),
    "to come, by a replica whose clock is a little ahead": (AT_3 + 60, AT_3 + 80, False),
}


@pytest.mark.parametrize(("now", "last", "overdue"), CASES.values(), ids=CASES.keys())
def test_a_run_is_overdue_when_none_succeeded_since_its_time(now: float, last: float | None, overdue: bool) -> None:
    assert is_overdue(now, "03:00", last) is overdue


@given(st.floats(0, 2**40), st.integers(0, 23), st.integers(0, 59))
def test_the_last_planned_moment_is_that_time_of_day_within_the_last_day(now: float, hour: int, minute: int) -> None:
    planned = last_scheduled(now, f"{hour:02}:{minute:02}")
    assert now - DAY_SECONDS <= planned <= now
    assert (planned - hour * 3600 - minute * 60) % DAY_SECONDS == pytest.approx(
        0, abs=0.01
    ) or planned % DAY_SECONDS == pytest.approx(hour * 3600 + minute * 60, abs=0.01)


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs")


def timetable(env: StoreEnvironment) -> CleanupScheduler:
    return CleanupScheduler(env.cleaner, env.store, env.metrics, "03:00", env.clock)


def test_an_overdue_run_runs_at_the_start_and_the_thread_ends_when_told(env: StoreEnvironment) -> None:
    env.fill("job-1")
    table = timetable(env)
    table.start()
    deadline = time.monotonic() + 20
    while read_last_success(env.store) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    table.stop()
    assert env.left() == []


def test_after_a_success_nothing_runs_until_the_next_time_whoever_had_it(env: StoreEnvironment) -> None:
    write_last_success(env.store, env.clock())
    env.fill("job-1")
    timetable(env).look()
    assert env.left() == ["a/job-1"]
    last = env.metrics.registry.get_sample_value("phjob_artifact_cleanup_last_success_timestamp_seconds")
    assert last == pytest.approx(time.time(), abs=60)
    write_last_success(env.store, env.clock() - 2 * DAY_SECONDS)
    timetable(env).look()
    assert env.left() == []


def test_what_nobody_can_read_counts_as_never(env: StoreEnvironment) -> None:
    env.store.write("phjob-artifacts/cleanup/last-success", b"soon")
    env.fill("job-1")
    timetable(env).look()
    assert env.left() == []


def tries(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a run was tried, from here on."""
    clean, tried = env.cleaner.clean, []

    def note(groups: None) -> object:
        tried.append(env.clock())
        return clean(groups)

    monkeypatch.setattr(env.cleaner, "clean", note)
    return tried


def test_while_another_cleans_it_looks_again_soon(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, table = tries(env, monkeypatch), timetable(env)
    with env.lock.hold():
        table.look()
        table.look()
    env.ahead = LEASE_RETRY_SECONDS - 60
    table.look()
    assert len(tried) == 1
    env.ahead = LEASE_RETRY_SECONDS + 60
    with env.lock.hold():
        table.look()
    assert len(tried) == 2


def test_where_nothing_is_to_be_cleaned_the_store_is_still_looked_at(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, folder = tries(env, monkeypatch), env.fill("job-1")
    env.ahead = 999 * DAY_SECONDS
    table = CleanupScheduler(env.cleaner, env.store, env.metrics, "", env.clock)
    table.look()
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_store_size_bytes")
    assert value("phjob_artifact_kept_jobs") == 1
    env.fill("job-2")
    table.look()
    assert value("phjob_artifact_kept_jobs") == 1  # measured once a day
    env.ahead += DAY_SECONDS + 60
    table.look()
    assert value("phjob_artifact_kept_jobs") == 2
    assert (tried, env.left()) == ([], ["a/job-1", "a/job-2"]), folder


def test_while_the_jobs_are_yet_to_be_read_it_waits_and_then_cleans_at_once(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ServiceUnavailable("the jobs are being listed")

    tried, table = tries(env, monkeypatch), timetable(env)
    with monkeypatch.context() as away:
        away.setattr(env.jobs, "check", fail)
        table.look()
    assert tried == []
    table.look()
    assert len(tried) == 1


@pytest.mark.parametrize("how", ["refused", "failed", "a bug"])
def test_a_run_without_success_is_tried_again_within_hours(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise {
            "failed": StoreError("list", "groups/", OSError(5, "Input/output error")),
            "a bug": ZeroDivisionError(),
        }[how]

    if how == "refused":
        env.ahead = 10 * DAY_SECONDS  # a clock that disagrees with the store's
    else:
        monkeypatch.setattr(env.store, "list", fail)
    tried, table = tries(env, monkeypatch), timetable(env)
    for minutes in range(0, 2 * RETRY_SECONDS, 60):
        env.ahead += 60
        table.look()
        assert len(tried) == 1 + minutes // RETRY_SECONDS
    assert "cleanup failed" in caplog.text or "refused to clean" in caplog.text


def test_a_clock_set_back_does_not_put_off_the_next_try(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, table = tries(env, monkeypatch), timetable(env)
    env.ahead = 999 * DAY_SECONDS
    table.look()
    env.ahead = 0
    table.look()
    assert len(tried) == 2
    assert read_last_success(env.store) is not None


def test_a_store_that_fails_is_asked_again_and_ends_nothing(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(key: str, most: int) -> bytes:
        raise StoreError("read", key, OSError(5, "Input/output error"))

    tried, table = tries(env, monkeypatch), timetable(env)
    with monkeypatch.context() as patch:
        patch.setattr(env.store, "read", fail)
        table.look()
    assert tried == []
    table.look()
    assert len(tried) == 1


def test_what_is_written_while_it_is_read_ends_nothing(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(key: str, most: int) -> bytes:
        raise FileChanged(f"{key!r} was written to while it was read")

    table = timetable(env)
    with monkeypatch.context() as patch:
        patch.setattr(env.store, "read", change)
        table.look()
    table.look()
    assert read_last_success(env.store) is not None


def test_stopping_ends_a_run_under_way_between_two_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_WORKERS": "1"})
    for number in range(9):
        env.fill(f"job-{number}")
    remove, begun, go_on = env.store.remove, threading.Event(), threading.Event()

    def wait(prefix: str, last: tuple[str, ...] = ()) -> object:
        begun.set()
        go_on.wait(20)
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", wait)
    table = timetable(env)
    table.start()
    assert begun.wait(20)
    env.cleaner.stop()
    go_on.set()
    table.stop()
    assert len(env.left()) == 8
