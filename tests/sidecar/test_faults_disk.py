"""A store that is full, absent, late, or of a form that nothing can be written to."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.layout import LEGACY_METADATA, METADATA
from tests.machine import require
from tests.sidecar.sidecars import Job, running, tree, until
from tests.storefs import tmpfs

KIB = 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Job]:
    """A job whose store has 1 MiB."""
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    disk = tmp_path / "disk"
    disk.mkdir()
    with tmpfs.tmpfs(disk, 1024 * KIB):
        yield Job(tmp_path, disk)


def test_what_fits_on_a_full_disk_is_kept_and_the_rest_is_named(small: Job) -> None:
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        small.write(name, os.urandom(100 * KIB))
    with running(small, grace_seconds=2) as sidecar:
        until(lambda: len(small.kept()) >= 9, "what fits")
        assert sidecar.end(6) == 0
    kept = small.kept()
    assert 9 <= len(kept) < 20
    assert kept.items() <= tree(small.artifacts).items()
    report = small.report()
    assert (report.state, report.collected.files) == ("incomplete", len(kept))
    left_out = report.skipped["store_error"]
    assert (sorted(left_out.paths), left_out.detail) == (sorted(set(names) - set(kept)), "No space left on device")
    assert "No space left on device" in small.summary()["message"]
    assert small.temporaries() == []


def test_when_there_is_space_again_all_is_kept(small: Job) -> None:
    other = small.phfs / "other"
    other.write_bytes(b"x" * 800 * KIB)
    for number in range(6):
        small.write(f"{number}", os.urandom(100 * KIB))
    with running(small) as sidecar:
        sidecar.wait_reported(lambda report: "store_error" in report.skipped, "files left out")
        other.unlink()
        until(lambda: len(small.kept()) == 6, "all files")
        assert sidecar.end() == 0
    small.assert_whole()
    assert small.summary()["state"] == "sealed"


def test_an_older_copy_stays_where_a_newer_one_finds_no_space(small: Job) -> None:
    small.write("a", b"old")
    with running(small, grace_seconds=2) as sidecar:
        sidecar.wait_kept("a")
        small.write("a", b"x" * 2048 * KIB)
        sidecar.wait_reported(lambda report: "store_error" in report.skipped, "no space")
        assert sidecar.end(5) == 0
    assert small.kept() == {"a": b"old"}
    assert small.report().state == "incomplete"
    assert small.temporaries() == []


def test_a_disk_without_any_space_is_told_of_in_the_termination_message(small: Job) -> None:
    with open(small.phfs / "other", "wb", buffering=0) as other:
        assert other.write(b"x" * 2048 * KIB) == 1024 * KIB
    small.write("a", "x")
    with running(small, grace_seconds=2) as sidecar:
        time.sleep(0.3)
        assert sidecar.end(5) == 0
    summary = small.summary()
    assert (summary["state"], summary["files"]) == ("incomplete", 0)
    assert "No space left on device" in summary["message"]


def test_a_store_that_never_comes_is_told_of_in_the_termination_message(job: Job) -> None:
    job.write("a", "x")
    job.phfs.rmdir()
    with running(job, grace_seconds=2) as sidecar:
        time.sleep(0.3)
        assert sidecar.end(5) == 0
    summary = job.summary()
    assert (summary["state"], summary["sealed"], summary["files"]) == ("incomplete", False, 0)
    assert summary["foundFiles"] == 1
    assert "No such file or directory" in summary["message"]
    assert not job.phfs.exists()


def test_a_store_that_comes_late_gets_all(job: Job) -> None:
    job.write("a", "x")
    job.phfs.rmdir()
    with running(job) as sidecar:
        until(lambda: "sync failed, will be tried again" in sidecar.log(), "a first sync")
        job.phfs.mkdir()
        sidecar.wait_kept("a")
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.summary()["state"] == "sealed"


@pytest.mark.parametrize("folder", [METADATA, LEGACY_METADATA])
def test_a_job_folder_whose_metadata_cannot_be_written_is_no_empty_job(job: Job, folder: str) -> None:
    job.write("a", "x")
    place = job.folder / folder
    place.parent.mkdir(parents=True)
    place.write_text("a file of somebody's")
    with running(job, grace_seconds=2) as sidecar:
        time.sleep(0.3)
        assert sidecar.end(5) == 0
    summary = job.summary()
    assert summary["state"] == "incomplete"
    assert not summary["sealed"]
    assert place.read_text() == "a file of somebody's"


def test_a_folder_of_somebody_s_in_the_place_of_a_copy_is_left_alone_and_told_of(job: Job) -> None:
    job.write("a", "x")
    job.write("b", "y")
    theirs = job.folder / "a" / "theirs"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("keep")
    with running(job, grace_seconds=2) as sidecar:
        until(lambda: "b" in job.kept(), "the other file")
        assert sidecar.end(6) == 0
    assert job.kept() == {"a/theirs": b"keep", "b": b"y"}
    report = job.report()
    assert (report.state, report.skipped["store_conflict"].paths) == ("incomplete", ["a"])


def test_the_expiry_is_there_before_the_first_file_and_never_past(job: Job) -> None:
    """A short retention, so that it has to be written again and again while main runs."""
    seen = []
    for number in range(200):
        job.write(f"{number}", "x")
    with running(job, retention_seconds=3) as sidecar:
        until((job.folder / METADATA).exists, "the metadata folder")
        ending = time.monotonic() + 4
        while time.monotonic() < ending:
            any_kept = bool(job.kept())
            try:
                seen.append(min(job.expiries()) - time.time())
            except (FileNotFoundError, ValueError):  # being created
                assert not any_kept
            time.sleep(0.005)
        assert sidecar.end() == 0
    assert min(seen) > 0
    assert abs(job.expiries()[0] - time.time() - 3) < 1.5
