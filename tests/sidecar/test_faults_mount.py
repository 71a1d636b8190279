"""A store on a mount that fails, is slow, hangs or dies."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from artifacts.errors import InvalidDocument
from tests.machine import require
from tests.sidecar.sidecars import Job, running, until
from tests.storefs import build
from tests.storefs.mount import FaultyMount, mounted

NAMES = [f"{folder}/{name}" for folder in "ab" for name in ("1", "2", "3")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FaultyMount]:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint) as store:
        yield store


@pytest.fixture
def job(tmp_path: Path, store: FaultyMount) -> Job:
    """A job whose store is the mount. Tests read the result from the backing folder."""
    return Job(tmp_path, store.path, store.backing)


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("write", errno.EIO),
        ("write", errno.ENOSPC),
        ("flush", errno.EDQUOT),
        ("create", errno.ESTALE),
    ],
)
def test_failed_operations_are_retried_until_all_files_are_collected(
    job: Job, store: FaultyMount, operation: str, error: int
) -> None:
    job.write_all(NAMES)
    store.fault(operation, error, count=9)
    with running(job) as sidecar:
        sidecar.wait_copied(*NAMES, repeat_request=True)
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


@pytest.mark.parametrize("operation", ["lookup", "mkdir", "rename", "unlink", "open", "readdir"])
def test_the_store_is_correct_after_faults_during_changes(job: Job, store: FaultyMount, operation: str) -> None:
    job.write_all(NAMES)
    with running(job) as sidecar:
        sidecar.wait_copied(*NAMES)
        store.fault(operation, errno.EIO, count=12)
        for name in NAMES[:3]:
            (job.artifacts / name).unlink()
        (job.artifacts / "a").rmdir()
        job.write("a", "a file now")
        job.write_all(["b/1", "c/d/e"])
        sidecar.wait_copied("a", "b/1", "b/2", "b/3", "c/d/e", repeat_request=True)
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_changes_are_collected_by_a_store_without_rename(job: Job, store: FaultyMount, error: int) -> None:
    store.fault("rename", error)
    job.write_all(NAMES)
    with running(job) as sidecar:
        sidecar.wait_copied(*NAMES)
        job.write("a/1", "changed")
        until(lambda: job.copies().get("a/1") == b"changed", "the change")
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.report().state == "sealed"


def test_a_file_that_cannot_be_written_is_reported_and_the_others_are_collected(job: Job, store: FaultyMount) -> None:
    job.write_all(NAMES)
    store.fault("write", errno.EIO, match="/a/2")
    with running(job, grace_seconds=3) as sidecar:
        until(lambda: len(job.copies()) == 5, "the others")
        assert sidecar.end(6) == 0
    report = job.report()
    assert report.state == "incomplete"
    assert (report.skipped["store_error"].paths, report.skipped["store_error"].detail) == (["a/2"], os.strerror(5))
    assert sorted(job.copies()) == sorted(set(NAMES) - {"a/2"})


def test_short_writes_lose_no_data(job: Job, store: FaultyMount) -> None:
    store.shorten_writes()
    job.write("a", os.urandom(1_500_000))
    job.write("b", "small")
    with running(job) as sidecar:
        sidecar.wait_copied("a", "b")
        assert sidecar.end() == 0
    job.assert_complete()


def test_collection_continues_after_a_mount_died_and_came_back(job: Job, store: FaultyMount) -> None:
    job.write_all(NAMES[:2])
    with running(job) as sidecar:
        sidecar.wait_copied(*NAMES[:2])
        store.kill()
        job.write_all(NAMES)
        until(lambda: "Transport endpoint is not connected" in sidecar.log(), "ENOTCONN")
        store.remount()
        sidecar.wait_copied(*NAMES, repeat_request=True)
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


def test_copies_lost_by_the_mount_are_copied_again(job: Job, store: FaultyMount) -> None:
    """This happens if csi-rclone is restarted before it has uploaded them."""
    job.write_all(NAMES)
    with running(job) as sidecar:
        sidecar.wait_copied(*NAMES)
        store.kill()
        (job.folder / NAMES[0]).unlink()
        (job.folder / NAMES[1]).write_bytes(b"")
        job.write("new", "x")
        until(lambda: "Transport endpoint is not connected" in sidecar.log(), "ENOTCONN")
        store.remount()
        lost = {name: (job.artifacts / name).read_bytes() for name in NAMES[:2]}
        until(lambda: lost.items() <= job.copies().items(), "the lost copies")
        assert sidecar.end() == 0
    job.assert_complete()


def test_a_dead_mount_is_reported_in_the_termination_message(job: Job, store: FaultyMount) -> None:
    def is_reported() -> bool:
        with suppress(InvalidDocument):  # half-written: the first report is created in place
            return job.report().state == "syncing"
        return False

    job.write_all(NAMES)
    with running(job, grace_seconds=3) as sidecar:
        sidecar.wait_copied(*NAMES)
        until(is_reported, "a first report")
        store.kill()
        job.write("new", "x")
        assert sidecar.end(6) == 0
    summary = job.summary()
    assert (summary["state"], summary["sealed"]) == ("incomplete", False)
    assert "Transport endpoint is not connected" in summary["message"]
    assert not job.report().sealed_at


@pytest.mark.parametrize("operation", ["write", "create", "flush", "lookup"])
def test_a_store_that_hangs_forever_does_not_block_the_pod(job: Job, store: FaultyMount, operation: str) -> None:
    job.write_all(NAMES)
    with running(job, grace_seconds=2) as sidecar:
        sidecar.wait_copied(*NAMES)
        store.hang(operation)
        (job.artifacts / NAMES[0]).unlink()
        job.write_all(["new/x", "new/y", *NAMES[3:]])
        store.wait_for_hanging()
        signalled_at = time.monotonic()
        sidecar.send(signal.SIGTERM)
        sidecar.wait_ended(4)
        assert time.monotonic() - signalled_at < 2.2
        summary = job.summary()
        assert (summary["state"], summary["sealed"]) == ("incomplete", False)
        assert "time ran out" in summary["message"]
        store.clear()
        assert sidecar.process.wait(5) == 0


def test_a_store_that_hangs_from_the_start_does_not_block_the_pod(job: Job, store: FaultyMount) -> None:
    job.write_all(NAMES)
    store.hang("lookup")
    with running(job, grace_seconds=2) as sidecar:
        store.wait_for_hanging()
        sidecar.send(signal.SIGTERM)
        try:
            sidecar.wait_ended(4)
            assert job.summary()["state"] == "incomplete"
        finally:
            store.clear()
        assert sidecar.process.wait(5) == 0


def test_the_last_sync_waits_for_a_store_that_hangs_temporarily(job: Job, store: FaultyMount) -> None:
    job.write_all(NAMES)
    with running(job, grace_seconds=10) as sidecar:
        sidecar.wait_copied(*NAMES)
        store.hang("write")
        job.write_all(["new/x", "new/y"])
        store.wait_for_hanging()
        sidecar.send(signal.SIGTERM)
        until(lambda: job.summary()["state"] == "incomplete", "the interim summary")
        time.sleep(1)
        store.clear()
        assert sidecar.process.wait(5) == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


def test_files_that_a_slow_store_did_not_accept_in_time_are_counted(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint, create=200_000) as store:
        job = Job(tmp_path, store.path, store.backing)
        with running(job, grace_seconds=4, sync_seconds=3600, quiet_seconds=3600) as sidecar:
            until(job.termination.exists, "the start")
            job.write_all([f"{number}" for number in range(400)])
            assert sidecar.end(6) == 0
        summary, copies = job.summary(), job.copies()
    assert 0 < len(copies) < 400
    assert (summary["state"], summary["sealed"], summary["foundFiles"]) == ("incomplete", False, 400)
    assert 0 < summary["files"] <= len(copies)
