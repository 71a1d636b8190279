"""Reading a job's results from a job folder that the job can write to."""

import os
from pathlib import Path

import pytest

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, REPORT
from artifacts.report import Count, Report, Skipped, format_report
from artifacts.summary import format_summary
from local.paths import JobPaths
from local.results import JobFileListing, list_files, read_result, read_summary

UID = "uid-1"


@pytest.fixture
def paths(tmp_path: Path) -> JobPaths:
    """The paths of a job whose folders exist."""
    job_paths = JobPaths(tmp_path, "group", "job-1")
    job_paths.run_folder.mkdir(parents=True)
    (job_paths.job_folder / REPORT).parent.mkdir(parents=True)
    return job_paths


def report(state: str, uid: str = UID) -> Report:
    """Return a report in that state."""
    sealed_at = 5.0 if state == "sealed" else 0.0
    return Report("job-1", state=state, pod_uid=uid, sealed_at=sealed_at, expired_at=5, collected=Count(1, 2))


def write(path: Path, content: bytes = b"xx") -> None:
    """Write a file and create its parents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_files_are_listed_in_order_without_the_collectors_own(paths: JobPaths) -> None:
    for path in ("b", "a/c", "a.txt", ".hidden", "sub/.primehub/x", REPORT, EXPIRED_AT, LEGACY_EXPIRED_AT):
        write(paths.job_folder / path)
    files = [(path, 2) for path in (".hidden", "a.txt", "a/c", "b", "sub/.primehub/x")]
    assert list_files(paths.job_folder, 10) == JobFileListing(Count(5, 10), files)
    assert list_files(paths.job_folder, 2) == JobFileListing(Count(5, 10), files[:2])


def test_links_and_fifos_in_the_job_folder_are_not_listed(paths: JobPaths, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/f")
    (paths.job_folder / "file").symlink_to(tmp_path / "elsewhere/f")
    (paths.job_folder / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(paths.job_folder / "fifo")
    assert list_files(paths.job_folder, 10) == JobFileListing(Count(), [])


def test_unreadable_file_does_not_hide_other_files(paths: JobPaths) -> None:
    write(paths.job_folder / "b")
    deep = paths.job_folder / "a"
    while len(str(deep)) < 3900:
        deep /= "d" * 100
    deep.mkdir(parents=True)
    write(deep / "f")
    folder = os.open(deep, os.O_RDONLY)
    os.close(os.open("x" * 250, os.O_CREAT, dir_fd=folder))  # its path is longer than PATH_MAX
    os.close(folder)
    assert list_files(paths.job_folder, 10).total == Count(2, 4)


def test_linked_or_missing_job_folder_lists_nothing(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/f")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert list_files(tmp_path / "link", 10) == JobFileListing(Count(), [])
    assert list_files(tmp_path / "absent", 10) == JobFileListing(Count(), [])


def test_report_of_this_run_is_the_result(paths: JobPaths) -> None:
    write(paths.job_folder / REPORT, format_report(report("sealed")))
    write(paths.termination_log, format_summary(report("rejected")))
    assert read_result(paths, UID) == report("sealed")


def test_summary_is_the_result_if_there_is_no_report(paths: JobPaths) -> None:
    expected = report("rejected")
    expected.message, expected.limit_exceeded, expected.found = "too much", True, Count(3, 4)
    expected.skipped = {"unreadable": Skipped(2, 9, ["p"])}
    write(paths.termination_log, format_summary(expected) + b" " * 100)
    expected.pod_uid, expected.skipped = "", {"unreadable": Skipped(2, 9)}
    assert read_result(paths, UID) == expected


@pytest.mark.parametrize("stale", ["syncing", "incomplete"])
def test_summary_is_the_result_if_the_report_could_not_be_updated(paths: JobPaths, stale: str) -> None:
    write(paths.job_folder / REPORT, format_report(report(stale)))
    last = report("incomplete")
    last.message = "No space left on device"
    write(paths.termination_log, format_summary(last))
    assert read_result(paths, UID).message == "No space left on device"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", format_report(report("sealed", uid="another"))])
def test_invalid_report_or_report_of_another_run_is_ignored(paths: JobPaths, content: bytes) -> None:
    write(paths.job_folder / REPORT, content)
    write(paths.termination_log, format_summary(report("rejected")))
    assert read_result(paths, UID).state == "rejected"


@pytest.mark.timeout(5)
def test_fifo_or_link_at_the_reports_path_is_not_opened(paths: JobPaths) -> None:
    write(paths.run_folder / "elsewhere", format_report(report("sealed")))
    os.mkfifo(paths.job_folder / REPORT)
    assert read_result(paths, UID).state == "incomplete"
    (paths.job_folder / REPORT).unlink()
    (paths.job_folder / REPORT).symlink_to(paths.run_folder / "elsewhere")
    assert read_result(paths, UID).state == "incomplete"


def test_missing_report_and_summary_mean_incomplete(paths: JobPaths) -> None:
    result = read_result(paths, UID)
    assert result.state == "incomplete"
    assert result.message == f"the collector ended before its last sync: see {paths.sidecar_log}"


def test_syncing_report_becomes_incomplete(paths: JobPaths) -> None:
    write(paths.job_folder / REPORT, format_report(report("syncing")))
    result = read_result(paths, UID)
    assert (result.state, result.collected) == ("incomplete", Count(1, 2))
    assert str(paths.sidecar_log) in result.message


@pytest.mark.parametrize("content", [b"", b"   ", b"null", b'{"version":1}', b"x" * 100_000])
def test_invalid_or_missing_summary_is_none(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "log", content)
    assert read_summary(tmp_path / "log") is None
    assert read_summary(tmp_path / "absent") is None
