"""A mount that fails, is slow, hangs or dies, as the store and as the job's own volume."""

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
from tests.storefs.mount import Store, mounted

NAMES = [f"{folder}/{name}" for folder in "ab" for name in ("1", "2", "3")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint) as store:
        yield store


@pytest.fixture
def job(tmp_path: Path, store: Store) -> Job:
    """A job whose store is the mount, looked at behind it."""
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
def test_an_operation_that_fails_is_done_again_until_all_is_kept(
    job: Job, store: Store, operation: str, error: int
) -> None:
    job.write_all(NAMES)
    store.fault(operation, error, count=9)
    with running(job) as sidecar:
        sidecar.wait_kept(*NAMES, hastened=True)
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.summary()["state"] == "sealed"


@pytest.mark.parametrize("operation", ["lookup", "mkdir", "rename", "unlink", "open", "readdir"])
def test_a_fault_of_any_kind_during_changes_is_mended(job: Job, store: Store, operation: str) -> None:
    job.write_all(NAMES)
    with running(job) as sidecar:
        sidecar.wait_kept(*NAMES)
        store.fault(operation, errno.EIO, count=12)
        for name in NAMES[:3]:
            (job.artifacts / name).unlink()
        (job.artifacts / "a").rmdir()
        job.write("a", "a file now")
        job.write_all(["b/1", "c/d/e"])
        sidecar.wait_kept("a", "b/1", "b/2", "b/3", "c/d/e", hastened=True)
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.summary()["state"] == "sealed"


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_a_store_that_cannot_rename_keeps_changes_too(job: Job, store: Store, error: int) -> None:
    store.fault("rename", error)
    job.write_all(NAMES)
    with running(job) as sidecar:
        sidecar.wait_kept(*NAMES)
        job.write("a/1", "changed")
        until(lambda: job.kept().get("a/1") == b"changed", "the change")
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.report().state == "sealed"


def test_a_file_that_the_store_never_takes_is_named_and_the_others_are_kept(job: Job, store: Store) -> None:
    job.write_all(NAMES)
    store.fault("write", errno.EIO, match="/a/2")
    with running(job, grace_seconds=3) as sidecar:
        until(lambda: len(job.kept()) == 5, "the others")
        assert sidecar.end(6) == 0
    report = job.report()
    assert report.state == "incomplete"
    assert (report.skipped["store_error"].paths, report.skipped["store_error"].detail) == (["a/2"], os.strerror(5))
    assert sorted(job.kept()) == sorted(set(NAMES) - {"a/2"})


def test_writes_that_take_less_than_they_are_given_lose_nothing(job: Job, store: Store) -> None:
    store.shorten_writes()
    job.write("a", os.urandom(1_500_000))
    job.write("b", "small")
    with running(job) as sidecar:
        sidecar.wait_kept("a", "b")
        assert sidecar.end() == 0
    job.assert_whole()


def test_a_mount_that_dies_and_comes_back_gets_the_rest(job: Job, store: Store) -> None:
    job.write_all(NAMES[:2])
    with running(job) as sidecar:
        sidecar.wait_kept(*NAMES[:2])
        store.kill()
        job.write_all(NAMES)
        until(lambda: "Transport endpoint is not connected" in sidecar.log(), "ENOTCONN")
        store.remount()
        sidecar.wait_kept(*NAMES, hastened=True)
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.summary()["state"] == "sealed"


def test_a_mount_that_loses_what_it_took_gets_it_again(job: Job, store: Store) -> None:
    """As csi-rclone does that is restarted before it has uploaded."""
    job.write_all(NAMES)
    with running(job) as sidecar:
        sidecar.wait_kept(*NAMES)
        store.kill()
        (job.folder / NAMES[0]).unlink()
        (job.folder / NAMES[1]).write_bytes(b"")
        job.write("new", "x")
        until(lambda: "Transport endpoint is not connected" in sidecar.log(), "ENOTCONN")
        store.remount()
        until(lambda: job.kept().get(NAMES[0]) == job.kept().get(NAMES[1], b"").replace(b"2", b"1") != b"", "both")
        assert sidecar.end() == 0
    job.assert_whole()


def test_a_mount_that_stays_dead_is_told_of_in_the_termination_message(job: Job, store: Store) -> None:
    def is_reported() -> bool:
        with suppress(InvalidDocument):  # half-written, as the first report is created in its place
            return job.report().state == "syncing"
        return False

    job.write_all(NAMES)
    with running(job, grace_seconds=3) as sidecar:
        sidecar.wait_kept(*NAMES)
        until(is_reported, "a first report, which is not what this test kills")
        store.kill()
        job.write("new", "x")
        assert sidecar.end(6) == 0
    summary = job.summary()
    assert (summary["state"], summary["sealed"]) == ("incomplete", False)
    assert "Transport endpoint is not connected" in summary["message"]
    assert not job.report().sealed_at


@pytest.mark.parametrize("operation", ["write", "create", "flush", "lookup"])
def test_a_store_that_hangs_for_ever_does_not_keep_the_pod(job: Job, store: Store, operation: str) -> None:
    job.write_all(NAMES)
    with running(job, grace_seconds=2) as sidecar:
        sidecar.wait_kept(*NAMES)
        store.hang(operation)
        (job.artifacts / NAMES[0]).unlink()
        job.write_all(["new/x", "new/y", *NAMES[3:]])
        store.wait_hanging()
        began = time.monotonic()
        sidecar.send(signal.SIGTERM)
        sidecar.wait_gone(4)
        assert time.monotonic() - began < 2.2
        summary = job.summary()
        assert (summary["state"], summary["sealed"]) == ("incomplete", False)
        assert "time ran out" in summary["message"]
        store.clear()
        assert sidecar.process.wait(5) == 0


def test_a_store_that_hangs_from_the_start_does_not_keep_the_pod(job: Job, store: Store) -> None:
    job.write_all(NAMES)
    store.hang("lookup")
    with running(job, grace_seconds=2) as sidecar:
        store.wait_hanging()
        sidecar.send(signal.SIGTERM)
        try:
            sidecar.wait_gone(4)
            assert job.summary()["state"] == "incomplete"
        finally:
            store.clear()
        assert sidecar.process.wait(5) == 0


def test_a_store_that_hangs_for_a_while_is_waited_for(job: Job, store: Store) -> None:
    job.write_all(NAMES)
    with running(job, grace_seconds=10) as sidecar:
        sidecar.wait_kept(*NAMES)
        store.hang("write")
        job.write_all(["new/x", "new/y"])
        store.wait_hanging()
        sidecar.send(signal.SIGTERM)
        until(lambda: job.summary()["state"] == "incomplete", "the end announced")
        time.sleep(1)
        store.clear()
        assert sidecar.process.wait(5) == 0
    job.assert_whole()
    assert job.summary()["state"] == "sealed"


def test_what_a_slow_store_does_not_take_in_time_is_counted(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint, create=200_000) as store:
        job = Job(tmp_path, store.path, store.backing)
        with running(job, grace_seconds=4, sync_seconds=3600, quiet_seconds=3600) as sidecar:
            until(job.termination.exists, "a start")
            job.write_all([f"{number}" for number in range(400)])
            assert sidecar.end(6) == 0
        summary, kept = job.summary(), job.kept()
    assert 0 < len(kept) < 400
    assert (summary["state"], summary["sealed"], summary["foundFiles"]) == ("incomplete", False, 400)
    assert 0 < summary["files"] <= len(kept)
