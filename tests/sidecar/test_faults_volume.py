"""A job's own volume that fails, hangs or dies: what was copied from it stays, and the report says what is missing."""

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
from tests.storefs.mount import Store, mounted

NAMES = [f"{folder}/{name}" for folder in "ab" for name in ("1", "2", "3")]


@contextmanager
def source_on(folder: Path) -> Iterator[tuple[Store, Job]]:
    """A job whose home is a mount."""
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
def test_a_file_that_cannot_be_read_keeps_its_copy_and_marks_the_report(
    tmp_path: Path, operation: str, error: int, reason: str
) -> None:
    require(build.missing() is None, str(build.missing()))
    with source_on(tmp_path) as (source, job):
        job.write("good", "1")
        job.write("sub/bad", "before")
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_kept("good", "sub/bad")
            job.write("sub/bad", "after, and longer")
            source.fault(operation, error, match="/artifacts/sub/bad")
            job.write("good", "2")
            sidecar.hasten()
            until(lambda: job.kept().get("good") == b"2", "the other file")
            assert sidecar.end(6) == 0
        assert job.kept()["good"] == b"2"
        assert job.kept()["sub/bad"] in (b"before", b"after, and longer")
        report = job.report()
        assert report.state == "incomplete"
        assert (report.skipped[reason].paths, report.skipped[reason].detail) == (["sub/bad"], os.strerror(error))


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES])
@pytest.mark.parametrize("folder", ["/artifacts/sub", "/artifacts"])
def test_a_folder_that_cannot_be_listed_keeps_its_copies(tmp_path: Path, folder: str, error: int) -> None:
    require(build.missing() is None, str(build.missing()))
    with source_on(tmp_path) as (source, job):
        job.write_all(["sub/a", "sub/deep/b", "c"])
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_kept("sub/a", "sub/deep/b", "c")
            source.fault("readdir", error, match=folder)
            sidecar.hasten()
            sidecar.wait_reported(lambda report: report.skipped, "the folder told of")
            assert sidecar.end(6) == 0
        assert sorted(job.kept()) == ["c", "sub/a", "sub/deep/b"]
        assert job.report().state == "incomplete"


def test_a_volume_that_dies_keeps_what_was_copied_from_it(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    with source_on(tmp_path) as (source, job):
        job.write_all(NAMES)
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_kept(*NAMES)
            source.kill()
            sidecar.hasten()
            sidecar.wait_reported(lambda report: report.skipped, "the volume told of")
            assert sidecar.end(6) == 0
        assert sorted(job.kept()) == NAMES
        assert job.report().state == "incomplete"
        assert job.summary()["files"] == len(NAMES)


def test_a_read_that_hangs_does_not_keep_the_pod(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    with source_on(tmp_path) as (source, job):
        job.write_all(["a", "b"])
        with running(job, grace_seconds=2) as sidecar:
            sidecar.wait_kept("a", "b")
            source.hang("read", match="/c")
            threading.Thread(target=job.write, args=("c", "x")).start()
            until((tmp_path / "backing/artifacts/c").exists, "the file")
            sidecar.hasten()
            source.wait_hanging()
            sidecar.send(signal.SIGTERM)
            sidecar.wait_gone(4)
            assert job.summary()["state"] == "incomplete"
            source.clear()
            assert sidecar.process.wait(5) == 0
        assert {"a", "b"} <= job.kept().keys()
