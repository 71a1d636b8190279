"""The mount has the configured latencies and faults, and counts operations."""

import errno
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.storefs.mount import OPERATIONS, FaultyMount, mounted


def _close_a_written_file(path: Path) -> None:
    with (path / "f").open("r+b") as file:
        file.write(b"x")


def _sync_a_file(path: Path) -> None:
    with (path / "f").open("rb") as file:
        os.fsync(file.fileno())


ACTIONS: dict[str, Callable[[Path], object]] = {
    "lookup": lambda path: (path / "f").stat(),
    "open": lambda path: (path / "f").open(),
    "create": lambda path: (path / "new").open("w"),
    "read": lambda path: (path / "f").read_bytes(),
    "write": lambda path: (path / "f").write_bytes(b"x"),
    "flush": _close_a_written_file,
    "fsync": _sync_a_file,
    "readdir": os.listdir,
    "mkdir": lambda path: (path / "new").mkdir(),
    "rmdir": lambda path: (path / "d").rmdir(),
    "rename": lambda path: (path / "f").rename(path / "new"),
    "unlink": lambda path: (path / "f").unlink(),
    "setattr": lambda path: (path / "f").chmod(0o600),
    "symlink": lambda path: (path / "new").symlink_to("f"),
    "readlink": lambda path: (path / "l").readlink(),
    "statfs": os.statvfs,
}


@pytest.fixture
def filled(store: FaultyMount) -> FaultyMount:
    (store.path / "f").write_text("content")
    (store.path / "d").mkdir()
    (store.path / "l").symlink_to("f")
    return store


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_fails_with_a_fault_and_works_after_clear(filled: FaultyMount, operation: str) -> None:
    for error in (errno.EIO, errno.ESTALE, errno.EDQUOT):
        filled.fault(operation, error)
        with pytest.raises(OSError, match=re.escape(f"[Errno {error}]")):
            ACTIONS[operation](filled.path)
        filled.clear()
    done = ACTIONS[operation](filled.path)
    if hasattr(done, "close"):
        done.close()


def test_a_fault_fires_count_times(store: FaultyMount) -> None:
    store.fault("mkdir", errno.ENOSPC, count=3)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            (store.path / "d").mkdir()
    (store.path / "d").mkdir()


def test_used_up_faults_make_room_for_others(store: FaultyMount) -> None:
    for _ in range(100):
        store.fault("mkdir", errno.EIO, count=1)
        with pytest.raises(OSError, match="Input/output"):
            (store.path / "d").mkdir()


def test_the_first_of_several_matching_faults_fires(store: FaultyMount) -> None:
    store.fault("mkdir", errno.EIO, count=1)
    store.fault("mkdir", errno.EPERM)
    with pytest.raises(OSError, match="Input/output"):
        (store.path / "d").mkdir()
    store.fault("mkdir", errno.EIO, count=1)
    with pytest.raises(PermissionError):
        (store.path / "d").mkdir()


def test_a_fault_with_match_fires_only_for_matching_paths(store: FaultyMount) -> None:
    store.fault("create", errno.EACCES, match="/d/a ")
    (store.path / "d").mkdir()
    (store.path / "d/a").touch()
    (store.path / "a b").touch()
    with pytest.raises(PermissionError):
        (store.path / "d/a b").touch()


def test_a_fault_matches_either_path_of_a_rename(store: FaultyMount) -> None:
    (store.path / "a").touch()
    store.fault("rename", errno.EPERM, match="b")
    with pytest.raises(PermissionError):
        (store.path / "a").rename(store.path / "b")
    (store.path / "a").rename(store.path / "c")


def test_a_short_write_returns_the_bytes_written(store: FaultyMount) -> None:
    store.shorten_writes(count=1)
    with (store.path / "f").open("wb", buffering=0) as out:
        assert out.write(b"0123456789") == 5
        assert out.write(b"56789") == 5
    assert (store.backing / "f").read_bytes() == b"0123456789"


def test_writes_fail_once_the_space_limit_is_reached(store: FaultyMount) -> None:
    store.limit_space(10)
    (store.path / "a").write_bytes(b"x" * 6)
    with (store.path / "b").open("wb", buffering=0) as out:
        assert out.write(b"x" * 6) == 4
        with pytest.raises(OSError, match="No space left"):
            out.write(b"x")
        store.clear()
        assert out.write(b"x") == 1


def test_a_hanging_operation_completes_after_clear(store: FaultyMount) -> None:
    store.hang("create")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit((store.path / "f").write_text, "x")
        store.wait_for_hanging()
        assert not (store.backing / "f").exists()
        store.clear()
        assert writing.result(timeout=10) == 1
    assert (store.backing / "f").read_text() == "x"
    assert store.counts()["hanging"] == 0


def test_a_hang_can_be_limited_to_paths_and_a_count(store: FaultyMount) -> None:
    store.hang("create", count=1, match="/slow")
    with ThreadPoolExecutor(1) as pool:
        (store.path / "d").mkdir()
        hanging = pool.submit((store.path / "d/slow").touch)
        store.wait_for_hanging()
        (store.path / "slow").touch()
        (store.path / "fast").touch()
        store.clear()
        hanging.result(timeout=10)


def test_a_file_whose_close_hangs_can_be_removed(store: FaultyMount) -> None:
    store.hang("flush")
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit((store.path / "f").write_text, "x")
        store.wait_for_hanging()
        (store.path / "f").unlink()
        store.clear()
        assert writing.result(timeout=10) == 1


def test_a_hang_times_out(store: FaultyMount) -> None:
    store.hang("mkdir", count=1, seconds=1)
    with pytest.raises(TimeoutError):
        (store.path / "d").mkdir()
    (store.path / "d").mkdir()


def test_a_hanging_process_cannot_be_killed(store: FaultyMount) -> None:
    store.hang("create")
    with subprocess.Popen(["touch", store.path / "f"]) as touch:
        store.wait_for_hanging()
        touch.kill()
        with pytest.raises(subprocess.TimeoutExpired):
            touch.wait(0.3)
        store.clear()
        assert touch.wait(10) == -signal.SIGKILL


def test_more_operations_than_the_default_fuse_threads_can_run(store: FaultyMount) -> None:
    store.hang("flush")
    with ThreadPoolExecutor(40) as pool:
        writing = [pool.submit((store.path / str(number)).write_text, "x") for number in range(40)]
        store.wait_for_hanging(40)
        store.clear()
        assert [write.result(timeout=10) for write in writing] == [1] * 40


def test_latencies_add_up_by_operation(folders: tuple[Path, Path]) -> None:
    def seconds_to_write(name: str) -> float:
        start = time.monotonic()
        (store.path / name).write_text("x")
        return time.monotonic() - start

    with mounted(*folders, create=200_000, write=30_000, flush=40_000) as store:
        assert seconds_to_write("new") >= 0.27
        assert 0.07 <= min(seconds_to_write("new") for _ in range(3)) < 0.2


def test_operations_are_counted(store: FaultyMount) -> None:
    (store.path / "a").write_bytes(b"123")
    (store.path / "a").rename(store.path / "b")
    counts = store.counts()
    assert set(counts) == {*OPERATIONS, "bytes", "hanging"}
    expected = {"create": 1, "open": 0, "write": 1, "bytes": 3, "flush": 1, "rename": 1, "unlink": 0}
    assert {name: counts[name] for name in expected} == expected


@pytest.mark.parametrize(("error", "count"), [(0, 1), (errno.EIO, 0), (errno.EIO, -2)])
def test_an_invalid_fault_raises(store: FaultyMount, error: int, count: int) -> None:
    with pytest.raises(ValueError, match="fault"):
        store.fault("write", error, count=count)
