"""What is read back of a job, from a job folder that the job could write to."""

import os
from pathlib import Path

import pytest

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, REPORT
from artifacts.report import Count, Report, Skipped, format_report
from artifacts.summary import format_summary
from local.collected import Listing, list_files, read_outcome, read_termination
from local.places import Places

UID = "uid-1"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path, "group", "job-1")
    found.folder.mkdir(parents=True)
    (found.store / REPORT).parent.mkdir(parents=True)
    return found


def report(state: str, uid: str = UID) -> Report:
    return Report("job-1", state=state, pod_uid=uid, expired_at=5, collected=Count(1, 2))


def write(path: Path, content: bytes = b"xx") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_files_are_listed_in_order_without_the_collector_s_own(places: Places) -> None:
    for path in ("b", "a/c", "a.txt", ".hidden", "sub/.primehub/x", REPORT, EXPIRED_AT, LEGACY_EXPIRED_AT):
        write(places.store / path)
    every = [(path, 2) for path in (".hidden", "a.txt", "a/c", "b", "sub/.primehub/x")]
    assert list_files(places.store, 10) == Listing(Count(5, 10), every)
    assert list_files(places.store, 2) == Listing(Count(5, 10), every[:2])


def test_links_and_other_things_in_the_job_folder_are_not_listed(places: Places, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/f")
    (places.store / "file").symlink_to(tmp_path / "elsewhere/f")
    (places.store / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(places.store / "fifo")
    assert list_files(places.store, 10) == Listing(Count(), [])


def test_a_file_that_cannot_be_looked_at_hides_nothing_else(places: Places) -> None:
    write(places.store / "b")
    deep = places.store / "a"
    while len(str(deep)) < 3900:
        deep /= "d" * 100
    deep.mkdir(parents=True)
    write(deep / "f")
    folder = os.open(deep, os.O_RDONLY)
    os.close(os.open("x" * 250, os.O_CREAT, dir_fd=folder))  # its path is longer than the system takes
    os.close(folder)
    assert list_files(places.store, 10).total == Count(2, 4)


def test_a_job_folder_that_is_a_link_or_absent_lists_nothing(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/f")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert list_files(tmp_path / "link", 10) == Listing(Count(), [])
    assert list_files(tmp_path / "absent", 10) == Listing(Count(), [])


def test_the_report_of_this_run_tells_the_outcome(places: Places) -> None:
    write(places.store / REPORT, format_report(report("sealed")))
    write(places.termination_log, format_summary(report("rejected")))
    assert read_outcome(places, UID) == report("sealed")


def test_without_a_report_the_last_words_tell_the_outcome(places: Places) -> None:
    said = report("rejected")
    said.message, said.limit_exceeded, said.found = "too much", True, Count(3, 4)
    said.skipped = {"unreadable": Skipped(2, 9, ["p"])}
    write(places.termination_log, format_summary(said) + b" " * 100)
    outcome = read_outcome(places, UID)
    said.pod_uid, said.skipped = "", {"unreadable": Skipped(2)}
    assert outcome == said


@pytest.mark.parametrize("content", [b"", b"{", b"[]", format_report(report("sealed", uid="another"))])
def test_a_report_that_is_none_of_this_run_s_is_not_believed(places: Places, content: bytes) -> None:
    write(places.store / REPORT, content)
    write(places.termination_log, format_summary(report("rejected")))
    assert read_outcome(places, UID).state == "rejected"


@pytest.mark.timeout(5)
def test_a_fifo_or_link_in_the_report_s_place_is_not_waited_for_or_followed(places: Places) -> None:
    write(places.folder / "elsewhere", format_report(report("sealed")))
    os.mkfifo(places.store / REPORT)
    assert read_outcome(places, UID).state == "incomplete"
    (places.store / REPORT).unlink()
    (places.store / REPORT).symlink_to(places.folder / "elsewhere")
    assert read_outcome(places, UID).state == "incomplete"


def test_a_sidecar_that_never_said_a_last_word_leaves_it_incomplete(places: Places) -> None:
    outcome = read_outcome(places, UID)
    assert outcome.state == "incomplete"
    assert outcome.message == f"the collector ended before its last sync: see {places.sidecar_log}"


def test_a_report_still_syncing_at_the_end_is_incomplete(places: Places) -> None:
    write(places.store / REPORT, format_report(report("syncing")))
    outcome = read_outcome(places, UID)
    assert (outcome.state, outcome.collected) == ("incomplete", Count(1, 2))
    assert str(places.sidecar_log) in outcome.message


@pytest.mark.parametrize("content", [b"", b"   ", b"null", b'{"version":1}', b"x" * 100_000])
def test_last_words_that_are_none_are_none(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "log", content)
    assert read_termination(tmp_path / "log") is None
    assert read_termination(tmp_path / "absent") is None
