"""A store that is full, missing, late, or obstructed by foreign files."""

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
def small_store_job(tmp_path: Path) -> Iterator[Job]:
    """A job whose store has a capacity of 1 MiB."""
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    disk = tmp_path / "disk"
    disk.mkdir()
    with tmpfs.tmpfs(disk, 1024 * KIB):
        yield Job(tmp_path, disk)


def test_files_that_fit_on_a_full_disk_are_collected_and_the_others_reported(small_store_job: Job) -> None:
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        small_store_job.write(name, os.urandom(100 * KIB))
    with running(small_store_job, grace_seconds=2) as sidecar:
        until(lambda: len(small_store_job.copies()) >= 9, "the files that fit")
        assert sidecar.end(6) == 0
    copies = small_store_job.copies()
    assert 9 <= len(copies) < 20
    assert copies.items() <= tree(small_store_job.artifacts).items()
    report = small_store_job.report()
    assert (report.state, report.collected.files) == ("incomplete", len(copies))
    skipped = report.skipped["store_error"]
    assert (sorted(skipped.paths), skipped.detail) == (sorted(set(names) - set(copies)), "No space left on device")
    assert "No space left on device" in small_store_job.summary()["message"]
    assert small_store_job.temporaries() == []


def test_all_files_are_collected_once_there_is_space_again(small_store_job: Job) -> None:
    other = small_store_job.phfs / "other"
    other.write_bytes(b"x" * 800 * KIB)
    for number in range(6):
        small_store_job.write(f"{number}", os.urandom(100 * KIB))
    with running(small_store_job) as sidecar:
        sidecar.wait_reported(lambda report: "store_error" in report.skipped, "skipped files")
        other.unlink()
        until(lambda: len(small_store_job.copies()) == 6, "all files")
        assert sidecar.end() == 0
    small_store_job.assert_complete()
    assert small_store_job.summary()["state"] == "sealed"


def test_an_older_copy_stays_if_there_is_no_space_for_a_newer_one(small_store_job: Job) -> None:
    small_store_job.write("a", b"old")
    with running(small_store_job, grace_seconds=2) as sidecar:
        sidecar.wait_copied("a")
        small_store_job.write("a", b"x" * 2048 * KIB)
        sidecar.wait_reported(lambda report: "store_error" in report.skipped, "no space")
        assert sidecar.end(5) == 0
    assert small_store_job.copies() == {"a": b"old"}
    assert small_store_job.report().state == "incomplete"
    assert small_store_job.temporaries() == []


def test_a_full_disk_is_reported_in_the_termination_message(small_store_job: Job) -> None:
    with open(small_store_job.phfs / "other", "wb", buffering=0) as other:
        assert other.write(b"x" * 2048 * KIB) == 1024 * KIB
    small_store_job.write("a", "x")
    with running(small_store_job, grace_seconds=2) as sidecar:
        time.sleep(0.3)
        assert sidecar.end(5) == 0
    summary = small_store_job.summary()
    assert (summary["state"], summary["files"]) == ("incomplete", 0)
    assert "No space left on device" in summary["message"]


def test_a_missing_store_is_reported_in_the_termination_message(job: Job) -> None:
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


def test_a_store_that_appears_late_gets_all_files(job: Job) -> None:
    job.write("a", "x")
    job.phfs.rmdir()
    with running(job) as sidecar:
        until(lambda: "sync failed, will be retried" in sidecar.log(), "a first sync")
        job.phfs.mkdir()
        sidecar.wait_copied("a")
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


@pytest.mark.parametrize("folder", [METADATA, LEGACY_METADATA])
def test_a_job_whose_metadata_cannot_be_written_is_incomplete(job: Job, folder: str) -> None:
    job.write("a", "x")
    place = job.folder / folder
    place.parent.mkdir(parents=True)
    place.write_text("a foreign file")
    with running(job, grace_seconds=2) as sidecar:
        time.sleep(0.3)
        assert sidecar.end(5) == 0
    summary = job.summary()
    assert summary["state"] == "incomplete"
    assert not summary["sealed"]
    assert place.read_text() == "a foreign file"


def test_a_foreign_folder_in_place_of_a_copy_is_preserved_and_reported(job: Job) -> None:
    job.write("a", "x")
    job.write("b", "y")
    foreign = job.folder / "a" / "foreign"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("keep")
    with running(job, grace_seconds=2) as sidecar:
        until(lambda: "b" in job.copies(), "the other file")
        assert sidecar.end(6) == 0
    assert job.copies() == {"a/foreign": b"keep", "b": b"y"}
    report = job.report()
    assert (report.state, report.skipped["store_conflict"].paths) == ("incomplete", ["a"])


def test_the_expiry_exists_before_the_first_file_and_stays_in_the_future(job: Job) -> None:
    """With a short retention, so that the sidecar must renew the expiry often while main runs."""
    margins = []
    for number in range(200):
        job.write(f"{number}", "x")
    with running(job, retention_seconds=3) as sidecar:
        until((job.folder / METADATA).exists, "the metadata folder")
        ending = time.monotonic() + 4
        while time.monotonic() < ending:
            has_copies = bool(job.copies())
            try:
                margins.append(min(job.expiries()) - time.time())
            except (FileNotFoundError, ValueError):  # being created
                assert not has_copies
            time.sleep(0.005)
        assert sidecar.end() == 0
    assert min(margins) > 0
    assert abs(job.expiries()[0] - time.time() - 3) < 1.5
