"""Regressions of the sync that users have reported."""

import json
import math
import os
import shutil
import time
from pathlib import Path

import pytest

from artifacts.layout import TEMPORARY
from sidecar.process import create_syncer
from sidecar.sync import Syncer
from tests.sidecar.sidecars import Job, end_syncer


def test_a_job_folder_removed_while_main_runs_is_recreated_with_all_files(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("a", "1")
    syncer = create_syncer(job.settings())
    syncer.sync(eager=True)
    shutil.rmtree(job.folder)
    job.write("b", "2")
    syncer.sync(eager=True)
    assert len(job.expiries()) == 2
    end_syncer(syncer)
    assert job.copies() == {"a": b"1", "b": b"2"}
    job.assert_complete()


def test_a_job_folder_removed_just_before_the_end_is_recreated(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("a", "1")
    syncer = create_syncer(job.settings())
    syncer.sync(eager=True)
    shutil.rmtree(job.folder)
    end_syncer(syncer)
    assert job.copies() == {"a": b"1"}
    assert job.report().state == "sealed"
    assert len(job.expiries()) == 2


def test_the_placeholder_of_a_hidden_file_is_not_collected(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("cfg", "")
    job.write("a", "1")
    end_syncer(create_syncer(job.settings(hidden_paths=job.artifacts / "cfg")))
    assert job.copies() == {"a": b"1"}
    assert job.report().skipped["outside_volumes"].paths == ["cfg"]


def test_the_duration_includes_the_last_sync(tmp_path: Path) -> None:
    job = Job(tmp_path)
    for number in range(300):
        job.write(str(number), "x")
    syncer = create_syncer(job.settings())
    started = time.perf_counter()
    end_syncer(syncer)
    took = time.perf_counter() - started
    assert 0.2 * took < job.report().duration_seconds <= took + 0.001  # it is rounded to milliseconds


def test_files_skipped_by_rule_do_not_count_as_found(tmp_path: Path) -> None:
    job = Job(tmp_path)
    for name in ("a", "b.tmp", "c.tmp"):
        job.write(name, "x")
    (job.artifacts / "broken").symlink_to("nothing")
    (job.artifacts / "outside").symlink_to("/etc/passwd")
    end_syncer(create_syncer(job.settings(exclude="*.tmp")))
    assert job.report().found.files == 2
    assert job.report().message.startswith("1 of 2 files are in the store; outside_volumes: outside")


def test_copies_of_earlier_files_do_not_count_as_files_in_the_store(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write_all(["a", "b", "d/x", "d/y"])
    syncer = create_syncer(job.settings())
    syncer.sync(eager=True)
    shutil.rmtree(job.artifacts / "d")
    (job.artifacts / "d").symlink_to("/etc")  # its files may be those of the job, so the copies stay
    end_syncer(syncer)
    assert job.report().message == "2 of 3 files are in the store, and 2 earlier copies; outside_volumes: d (/etc)"


@pytest.mark.parametrize(("written", "state"), [({"exitCode": 0}, "sealed"), (None, "incomplete")])
def test_the_report_is_incomplete_if_mains_exit_status_is_missing(
    tmp_path: Path, written: dict[str, int] | None, state: str
) -> None:
    job = Job(tmp_path)
    job.write("a", "1")
    status = tmp_path / "main-status.json"
    if written is not None:
        status.write_text(json.dumps(written))
    end_syncer(create_syncer(job.settings(main_status=status)))
    assert (job.report().state, job.copies()) == (state, {"a": b"1"})


def test_a_dry_run_does_not_list_unreadable_files_as_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(tmp_path)
    job.write("a", "1")
    job.write("b", "1")
    syncer = create_syncer(job.settings())
    monkeypatch.setattr(syncer.source, "open_file", deny_reading_b(syncer))
    scan, plan = syncer.preview()
    syncer.close()
    assert plan.copy == ["a"]
    assert scan.skipped["unreadable"].paths == ["b"]


def deny_reading_b(syncer: Syncer):  # type: ignore[no-untyped-def]  # "b" is unreadable
    open_file = syncer.source.open_file

    def deny(path: str):  # type: ignore[no-untyped-def]
        if path == "b":
            raise PermissionError(13, "Permission denied")
        return open_file(path)

    return deny


def test_the_folders_for_temporary_files_are_removed_at_the_seal(tmp_path: Path) -> None:
    job = Job(tmp_path)
    syncer = create_syncer(job.settings())
    for content in ("old", "new"):  # the second copy is a temporary file first
        job.write("d/a", content)
        syncer.sync(eager=True)
        assert (job.folder / TEMPORARY).is_dir()
    end_syncer(syncer)
    assert job.copies() == {"d/a": b"new"}
    assert sorted(os.listdir(job.folder / ".primehub")) == ["metadata"]


def test_without_a_deadline_a_broken_store_holds_the_job_only_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.retries.MAX_WAIT_SECONDS", 0.5)
    job = Job(tmp_path)
    job.write("a", "x")
    (job.phfs / "jobArtifacts").write_text("not a folder")
    syncer = create_syncer(job.settings())
    try:
        syncer.end_main(time.time())
        syncer.finish(math.inf)
    finally:
        syncer.close()
    assert syncer.report.state == "incomplete"
    assert syncer.report.skipped["store_error"].paths == ["a"]
