"""The number of the cleanup's threads suits the store, and threads that do not wait leave the processor to requests."""

import threading
import time
from pathlib import Path

import pytest

from api.cleanup.parallel import Workers, map_ordered, workers_for
from api.errors import ServiceUnavailable
from api.store.posix import PosixStore
from tests.api.cleanup.environment import DAY, StoreEnvironment, directory_environment
from tests.machine import require
from tests.storefs import build, mount


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs")


def test_a_directory_gets_few_threads_and_a_store_that_waits_gets_all(
    env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        env.add_folder(f"job-{number}", expires_in=DAY, files={})
    threads: set[str] = set()
    read = env.store.read

    def slow_read(key: str, max_bytes: int) -> bytes:
        threads.add(threading.current_thread().name)
        time.sleep(0.01)
        return read(key, max_bytes)

    monkeypatch.setattr(env.store, "read", slow_read)
    env.cleaner.plan(None)
    assert 1 <= len(threads) <= 4
    monkeypatch.setattr(env.store, "has_latency", lambda: True)
    threads.clear()
    env.cleaner.plan(None)
    assert len(threads) > 4


def test_a_directory_on_a_fuse_mount_waits(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    backing, path = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    path.mkdir()
    with mount.mounted(backing, path):
        assert workers_for(PosixStore(str(path)), 96) == Workers(96)
    assert workers_for(PosixStore(str(path)), 96).threads == 4
    assert workers_for(PosixStore(str(path)), 1).threads == 1


def test_threads_pause_in_proportion_to_the_processor_time_that_they_use(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    pauses: list[float] = []

    def use(seconds: float) -> float:
        clock[0] += seconds
        return seconds

    monkeypatch.setattr("time.thread_time", lambda: clock[0])
    monkeypatch.setattr("time.sleep", pauses.append)
    assert list(map_ordered([0.001, 0.0, 0.002, 9.0], use, Workers(1, 0.25))) == [0.001, 0.0, 0.002, 9.0]
    assert pauses == pytest.approx([0.003, 0.0, 0.006, 0.1])
    pauses.clear()
    Workers(4, 0.25).run(use, 0.001)
    assert pauses == pytest.approx([0.015])
    pauses.clear()
    Workers(96).run(use, 0.001)
    assert pauses == []


def test_a_plan_without_time_is_incomplete_and_says_so(tmp_path: Path) -> None:
    settings = {"PHJOB_CLEANUP_FLOOR": "0", "PHJOB_CLEANUP_MAX_SHARE": "0"}
    env = directory_environment(tmp_path / "phfs", settings)
    for number in range(30):
        env.add_folder(f"job-{number:02}", files={})
    plan = env.cleaner.plan(None, max_seconds=0)
    assert not plan.complete
    assert [candidate.job for candidate in plan.due] == ["job-00"]
    assert (plan.examined_count, plan.refusal) == (1, "")
    whole = env.cleaner.plan(None)
    assert whole.complete
    assert (whole.examined_count, len(whole.due)) == (30, 30)
    assert "30 of 30" in whole.refusal


def test_a_second_plan_waits_no_longer_than_its_limit(env: StoreEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    env.add_folder("job-1", expires_in=DAY)
    refused = []

    def plan_inside() -> None:
        with pytest.raises(ServiceUnavailable, match="another cleanup plan"):
            env.cleaner.plan(None, max_seconds=0.01)
        refused.append(True)

    monkeypatch.setattr(env.jobs, "check", plan_inside)
    env.cleaner.plan(None)
    assert refused
    monkeypatch.undo()
    assert env.cleaner.plan(None, max_seconds=5).complete
