"""The limits while a job runs and at its end, and files that keep changing."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifacts.settings import MIB
from tests.machine import require
from tests.sidecar.sidecars import Job, running, until
from tests.storefs import build
from tests.storefs.mount import mounted


@contextlib.contextmanager
def concurrently(act: Callable[[int], None], pause: float = 0.0) -> Iterator[None]:
    """Call `act` with 0, 1, 2, ... in a thread, with pauses of `pause` seconds, until the block ends."""
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            act(number)
            number += 1
            stop.wait(pause)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_job_over_the_limit_is_not_synced_and_its_copies_are_removed_by_the_seal(job: Job) -> None:
    job.write("a", "1")
    job.write("b", "2")
    with running(job, limit_files=2) as sidecar:
        sidecar.wait_copied("a", "b")
        job.write("c", "3")
        job.write("a", "changed")
        sidecar.wait_reported(lambda report: report.limit_exceeded, "over the limit")
        assert job.copies() == {"a": b"1", "b": b"2"}
        assert "3 files (9 bytes) found, 2 files (100.0 MB) allowed" in job.report().message
        assert sidecar.end() == 0
    assert job.copies() == {}
    assert job.manifest() == {}
    report = job.report()
    assert (report.state, report.limit_exceeded, report.collected.files) == ("rejected", True, 0)
    assert report.skipped["over_limit"].files == 3
    assert job.summary()["state"] == "rejected"
    assert job.expiries() == [report.expired_at] * 2


def test_a_temporary_file_over_the_limit_has_no_effect(job: Job) -> None:
    job.write("a", "1")
    with running(job, limit_size_mb=1) as sidecar:
        sidecar.wait_copied("a")
        temporary = job.write("temporary", b"x" * MIB)
        sidecar.wait_reported(lambda report: report.limit_exceeded, "over the limit")
        temporary.unlink()
        job.write("b", "2")
        sidecar.wait_copied("a", "b")
        sidecar.wait_reported(lambda report: not report.limit_exceeded, "within the limit again")
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


def test_the_setting_keep_collects_the_files_that_fit(job: Job) -> None:
    for name in "abcd":
        job.write(name, name * 400_000)
    job.write("huge", b"x" * 2 * MIB)
    with running(job, over_limit="keep", limit_size_mb=1) as sidecar:
        sidecar.wait_copied("a", "b")
        assert sidecar.end() == 0
    assert sorted(job.copies()) == ["a", "b"]
    report = job.report()
    assert (report.state, report.limit_exceeded) == ("sealed", True)
    assert report.skipped["over_limit"].paths == ["c", "d", "huge"]
    assert "only the files that fit were collected" in job.summary()["message"]


def test_the_order_of_paths_decides_only_in_the_last_sync(job: Job) -> None:
    """While main runs, existing copies have precedence; in the last sync, a new file with a smaller path has."""
    job.write("b", "2")
    with running(job, over_limit="keep", limit_files=1) as sidecar:
        sidecar.wait_copied("b")
        job.write("a", "1")
        sidecar.wait_reported(lambda report: report.limit_exceeded, "over the limit")
        assert sorted(job.copies()) == ["b"]
        assert sidecar.end() == 0
    assert sorted(job.copies()) == ["a"]


def test_hard_links_are_collected_as_separate_files(job: Job) -> None:
    os.link(job.write("a", "x" * 600_000), job.artifacts / "b")
    with running(job, limit_size_mb=1) as sidecar:
        sidecar.wait_copied("a")
        os.truncate(job.artifacts / "b", 5)
        sidecar.wait_copied("a", "b")
        assert sidecar.end() == 0
    job.assert_complete()
    assert (job.folder / "a").stat().st_ino != (job.folder / "b").stat().st_ino


def test_a_log_that_keeps_growing_is_copied_sometimes_and_completely_at_the_end(job: Job) -> None:
    with open(job.artifacts / "log", "ab", buffering=0) as log:

        def append_line(number: int) -> None:
            log.write(b"line %d\n" % number)

        with running(job, sync_seconds=0.1, quiet_seconds=0.4) as sidecar:
            with concurrently(append_line, pause=0.03):
                until(lambda: "log" in job.copies(), "a first copy")
                first = job.copies()["log"]
                until(lambda: job.copies()["log"] != first, "a second copy")
            assert job.copies()["log"].startswith(first)
            assert sidecar.end() == 0
    job.assert_complete()
    assert job.report().unstable == []


def test_a_file_is_not_copied_before_the_quiet_time(job: Job) -> None:
    with running(job, quiet_seconds=1.0) as sidecar:
        written = job.write("a", "x").stat().st_ctime
        until(lambda: "a" in job.copies(), "a copy")
        assert (job.folder / "a").stat().st_ctime - written >= 0.99
        sidecar.wait_copied("a")
        assert sidecar.end() == 0


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Job]:
    """A job whose store takes 30 ms for each write."""
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint, write=30_000):
        yield Job(tmp_path, mountpoint, backing)


def test_a_file_that_changes_during_the_copy_is_unstable_and_complete_at_the_end(slow: Job) -> None:
    file = slow.write("busy", b"0" * 3 * MIB)

    def change(number: int) -> None:
        with open(file, "r+b") as out:
            out.write(b"%d" % number)

    with running(slow) as sidecar:
        with concurrently(change, pause=0.005):
            sidecar.wait_reported(lambda report: report.unstable == ["busy"], "busy flagged")
            assert slow.manifest()["busy"]["unstable"] is True
        assert sidecar.end() == 0
    slow.assert_complete()
    assert slow.report().unstable == []
    assert slow.report().state == "sealed"


@pytest.mark.parametrize("over_limit", ["reject", "keep"])
def test_a_file_that_grows_during_the_copy_never_exceeds_the_limit(slow: Job, over_limit: str) -> None:
    slow.write("a", "1")
    max_bytes = 4 * MIB
    sizes = []
    with running(slow, limit_size_mb=4, over_limit=over_limit, quiet_seconds=0) as sidecar:
        sidecar.wait_copied("a")
        file = slow.write("growing", b"0" * 3 * MIB)

        def grow(number: int) -> None:
            if number < 12:
                with open(file, "ab") as out:
                    out.write(b"1" * (MIB // 2))
            sizes.append(sum(len(content) for content in slow.copies().values()))

        with concurrently(grow, pause=0.02):
            sidecar.wait_reported(lambda report: report.limit_exceeded, "over the limit")
        assert sidecar.end() == 0
    assert max(sizes) <= max_bytes
    assert sorted(slow.copies()) == ([] if over_limit == "reject" else ["a"])
    assert slow.report().state == ("rejected" if over_limit == "reject" else "sealed")
    assert slow.temporaries() == []


def test_an_earlier_pods_files_are_removed_at_the_seal_of_a_pod_with_files(job: Job) -> None:
    job.write("both", "1")
    job.write("sub/earlier", "1")
    with running(job, pod_uid="first") as sidecar:
        sidecar.wait_copied("both", "sub/earlier")
        sidecar.kill()
    (job.artifacts / "sub/earlier").unlink()
    (job.artifacts / "sub").rmdir()
    job.write("both", "2")
    job.write("new", "2")
    with running(job, pod_uid="second") as sidecar:
        sidecar.wait_reported(lambda report: report.earlier.files == 1, "a report with the earlier pod")
        until(lambda: job.copies() == {"both": b"2", "new": b"2", "sub/earlier": b"1"}, "both pods' files")
        assert sidecar.end() == 0
    job.assert_complete()
    assert not (job.folder / "sub").exists()
    assert job.report().pod_uid == "second"


@pytest.mark.parametrize("is_rejected", [False, True])
def test_an_earlier_pods_files_stay_if_the_next_pod_collects_none(job: Job, is_rejected: bool) -> None:
    job.write("earlier", "1")
    with running(job, pod_uid="first") as sidecar:
        sidecar.wait_copied("earlier")
        sidecar.kill()
    (job.artifacts / "earlier").unlink()
    if is_rejected:
        job.write("x", "2")
        job.write("y", "2")
    with running(job, pod_uid="second", limit_files=1) as sidecar:
        time.sleep(0.3)
        assert sidecar.end() == 0
    assert job.copies() == {"earlier": b"1"}
    assert job.report().earlier.files == 1
    assert job.report().state == ("rejected" if is_rejected else "empty")
