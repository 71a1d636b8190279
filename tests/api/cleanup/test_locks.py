"""The cleanup's locks: one cleanup at a time among threads and processes, also after one that died."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.cleanup.lease_lock import LEASE, LeaseLock
from api.cleanup.locks import FileLock
from api.errors import ConflictError, ServiceUnavailable
from tests.api.cleanup.environment import directory_environment
from tests.kube.apiserver import ApiServer

HOLDER = """
import sys
from pathlib import Path
from api.cleanup.locks import FileLock
with FileLock(Path(sys.argv[1])).hold():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_gets_a_conflict(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs")
    env.add_folder("job-1")
    path = tmp_path / "phfs/phjob-artifacts/cleanup/lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConflictError, match="another cleanup"):
            env.cleaner.clean(None)
        assert env.remaining_jobs() == ["a/job-1"]
        holder.kill()
    assert env.cleaner.clean(None).removed == 1


def test_two_locks_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with lock.hold() as is_held:
        assert is_held()
        with pytest.raises(ConflictError), other.hold():
            pass
    with other.hold() as is_held:
        assert is_held()


def test_a_run_stops_when_it_loses_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_WORKERS": "1"})
    for number in range(9):
        env.add_folder(f"job-{number}")
    remove, removed = env.store.remove, []

    def lose_the_lock(prefix: str, last: tuple[str, ...] = ()) -> object:
        removed.append(prefix)
        if len(removed) == 2:
            os.unlink(tmp_path / "phfs/phjob-artifacts/cleanup/lock")
        return remove(prefix, last)

    monkeypatch.setattr(env.store, "remove", lose_the_lock)
    with pytest.raises(ServiceUnavailable, match="lost its lock"):
        env.cleaner.clean(None)
    assert len(removed) == 2
    value = env.metrics.registry.get_sample_value
    assert value("phjob_artifact_cleanup_runs_total", {"result": "failure"}) == 1
    monkeypatch.undo()
    assert env.cleaner.clean(None).removed == 7


def test_an_unavailable_lock_counts_as_a_failed_run_and_a_held_lock_does_not(tmp_path: Path) -> None:
    env = directory_environment(tmp_path / "phfs")
    value = env.metrics.registry.get_sample_value
    with env.lock.hold(), pytest.raises(ConflictError):
        env.cleaner.clean(None)
    assert value("phjob_artifact_cleanup_runs_total", {"result": "failure"}) == 0
    shutil.rmtree(tmp_path / "phfs/phjob-artifacts")
    (tmp_path / "phfs/phjob-artifacts").write_text("in the way")
    with pytest.raises(ServiceUnavailable, match="lock"):
        env.cleaner.clean(None)
    assert value("phjob_artifact_cleanup_runs_total", {"result": "failure"}) == 1


def test_a_link_as_lock_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("x")
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(ServiceUnavailable), FileLock(tmp_path / "lock").hold():
        pass
    assert (tmp_path / "elsewhere").read_text() == "x"


def test_a_second_replica_gets_a_conflict() -> None:
    with ApiServer() as server:
        client = server.client()
        lock, other = LeaseLock(client, "hub"), LeaseLock(client, "hub")
        with lock.hold() as is_held:
            assert is_held()
            with pytest.raises(ConflictError), other.hold():
                pass
        with other.hold() as is_held:
            assert is_held()
        client.close()


def test_an_unreachable_api_server_raises_service_unavailable() -> None:
    with ApiServer() as server:
        client = server.client()
    with pytest.raises(ServiceUnavailable, match=LEASE), LeaseLock(client, "hub").hold():
        pass
    client.close()


def test_a_failed_run_releases_the_lease() -> None:
    with ApiServer() as server:
        client = server.client()
        lock = LeaseLock(client, "hub")
        with pytest.raises(ZeroDivisionError), lock.hold():
            raise ZeroDivisionError
        with lock.hold() as is_held:
            assert is_held()
        client.close()
