"""A job's own volume that fails, hangs or dies: existing copies stay, and the report names the missing files."""

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine import require
from tests.sidecar.sidecars import Job, running, until
from tests.storefs import build
from tests.storefs.mount import FaultyMount, mounted

NAMES = [f"{folder}/{name}" for folder in "ab" for name in ("1", "2", "3")]


@contextmanager
def job_on_mount(folder: Path) -> Iterator[tuple[FaultyMount, Job]]:
    """Yield a mount and a job whose home is on it."""
    backing, home = folder / "backing", folder / "home"
    (backing / "artifacts").mkdir(parents=True)
    home.mkdir()
    with mounted(backing, home) as source:
        yield source, Job(folder)


@pytest.mark.parametrize(
    ("operation", "error", "reason"),
    [
        ("read", errno.EIO, "source_error"),
        ("read", errno.ESTALE, "source_error"),
        ("open", errno.EACCES, "unreadable"),
        ("open", errno.ETIMEDOUT, "source_error"),
        ("lookup", errno.EACCES, "unreadable"),
        ("lookup", errno.ENOTCONN, "source_error"),
    ],
)
def test_an_unreadable_file_retains_its_copy_and_makes_the_report_incomplete(
    tmp_path: Path, operation: str, error: int, reason: str
) -> None:
    require(build.missing() is None, str(build.missing()))
    with job_on_mount(tmp_path) as (source, job):
        job.write("good", "1")
        job.write("sub/bad", "before")
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_copied("good", "sub/bad")
            job.write("sub/bad", "after, and longer")
            source.fault(operation, error, match="/artifacts/sub/bad")
            job.write("good", "2")
            sidecar.sync_now()
            until(lambda: job.copies().get("good") == b"2", "the other file")
            assert sidecar.end(6) == 0
        assert job.copies()["good"] == b"2"
        assert job.copies()["sub/bad"] in (b"before", b"after, and longer")
        report = job.report()
        assert report.state == "incomplete"
        assert (report.skipped[reason].paths, report.skipped[reason].detail) == (["sub/bad"], os.strerror(error))


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize("folder", ["/artifacts/sub", "/artifacts"])
def test_a_folder_that_cannot_be_listed_retains_its_copies(tmp_path: Path, folder: str, error: int) -> None:
    require(build.missing() is None, str(build.missing()))
    with job_on_mount(tmp_path) as (source, job):
        job.write_all(["sub/a", "sub/deep/b", "c"])
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_copied("sub/a", "sub/deep/b", "c")
            source.fault("readdir", error, match=folder)
            sidecar.sync_now()
            sidecar.wait_reported(lambda report: report.skipped, "a report with skipped files")
            assert sidecar.end(6) == 0
        assert sorted(job.copies()) == ["c", "sub/a", "sub/deep/b"]
        assert job.report().state == "incomplete"


def test_copies_are_retained_if_the_volume_dies(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    with job_on_mount(tmp_path) as (source, job):
        job.write_all(NAMES)
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_copied(*NAMES)
            source.kill()
            sidecar.sync_now()
            sidecar.wait_reported(lambda report: report.skipped, "a report with skipped files")
            assert sidecar.end(6) == 0
        assert sorted(job.copies()) == NAMES
        assert job.report().state == "incomplete"
        assert job.summary()["files"] == len(NAMES)


def test_a_read_that_hangs_does_not_block_the_pod(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    with job_on_mount(tmp_path) as (source, job):
        job.write_all(["a", "b"])
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_copied("a", "b")
            source.hang("read", match="/c")
            threading.Thread(target=job.write, args=("c", "x")).start()
            until((tmp_path / "backing/artifacts/c").exists, "the file")
            sidecar.sync_now()
            source.wait_for_hanging()
            sidecar.send(signal.SIGTERM)
            sidecar.wait_ended(4)
            assert job.summary()["state"] == "incomplete"
            source.clear()
            assert sidecar.process.wait(5) == 0
        assert {"a", "b"} <= job.copies().keys()
