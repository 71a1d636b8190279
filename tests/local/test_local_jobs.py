"""Local mode's source of PhJobs for the API."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import ApiError, BadInput, NotFoundError
from api.jobs.job import Draft, Job
from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION
from artifacts.job_options import option_annotation
from local.documents import write_document
from local.jobs import LocalJobs
from tests.local.driver import GROUP, JobDriver

DRAFT = Draft("My job", GROUP, "echo hello", "u-1", "ann", active_deadline_seconds=60)


@pytest.fixture
def local(tmp_path: Path) -> LocalJobs:
    """The jobs of an empty data directory."""
    return LocalJobs(tmp_path)


def test_created_job_is_pending(local: LocalJobs) -> None:
    created = local.create(DRAFT)
    assert local.get(created.id) == created
    assert (created.display_name, created.group, created.phase) == ("My job", GROUP, "Pending")
    assert (created.user_id, created.user_name, created.active_deadline_seconds) == ("u-1", "ann", 60)
    assert created.create_time


def test_options_of_a_created_job_apply_to_its_collector(jobs: JobDriver) -> None:
    options = {option_annotation("over-limit"): "keep", option_annotation("exclude"): "*.tmp,b"}
    command = "mkdir -p artifacts; cd artifacts; touch a b c d x.tmp"
    created = LocalJobs(jobs.data).create(replace(DRAFT, command=command, options=tuple(options.items())))
    assert dict(created.options) == options
    document = jobs.phjob(created.id)
    document["metadata"]["annotations"] |= {option_annotation("limit-files"): "2", option_annotation("digest"): "md5"}
    write_document(jobs.paths(created.id).phjob, document)
    done = jobs.run_queued(created.id, PHJOB_ARTIFACT_EXCLUDE="a", PHJOB_ARTIFACT_LIMIT_FILES="9")
    assert done.returncode == 0, done.stderr
    status = jobs.phjob(created.id)["status"]["artifact"]
    assert (status["state"], status["files"]) == ("sealed", 2)
    assert jobs.artifacts(created.id) == {"a": "", "c": ""}


def test_missing_job_is_none(local: LocalJobs) -> None:
    assert local.get("job-1") is None
    assert local.all() == []


@pytest.mark.parametrize(
    "draft",
    [
        replace(DRAFT, command=" "),
        replace(DRAFT, command="a\0b"),
        replace(DRAFT, group="../x"),
        replace(DRAFT, active_deadline_seconds=0),
    ],
    ids=["no command", "NUL", "group", "deadline"],
)
def test_invalid_draft_is_rejected_and_creates_no_job(local: LocalJobs, draft: Draft) -> None:
    with pytest.raises(BadInput):
        local.create(draft)
    assert local.all() == []


def test_created_job_is_run_as_requested(jobs: JobDriver) -> None:
    local = LocalJobs(jobs.data)
    created = local.create(DRAFT)
    assert local.is_collecting(created)
    assert jobs.run_queued(created.id).returncode == 0
    ended = local.get(created.id)
    assert ended
    assert ended.phase == "Succeeded"
    assert ended.finished_at
    assert jobs.paths(created.id).main_log.read_text() == "hello\n"
    assert not local.is_collecting(created), "the current state counts, not that of the argument"


def test_cancelled_job_does_not_run(jobs: JobDriver) -> None:
    local = LocalJobs(jobs.data)
    created = local.create(DRAFT)
    local.cancel(created)
    assert jobs.run_queued(created.id).returncode == 2
    cancelled = local.get(created.id)
    assert cancelled
    assert (cancelled.phase, cancelled.cancel) == ("Cancelled", True)


def test_expiry_is_annotated_on_the_phjob(jobs: JobDriver) -> None:
    local = LocalJobs(jobs.data)
    created = local.create(DRAFT)
    local.annotate_expiry(created, 12345)
    assert jobs.phjob(created.id)["metadata"]["annotations"] == {EXPIRY_ANNOTATION: "12345"}


def test_missing_artifacts_are_annotated_until_they_are_back(jobs: JobDriver) -> None:
    local = LocalJobs(jobs.data)
    name = local.create(DRAFT).id
    for since, annotations in ((5, {MISSING_ANNOTATION: "5"}), (6, {MISSING_ANNOTATION: "5"}), (0, {})):
        current = local.get(name)
        assert current
        local.annotate_missing(current, since)
        assert jobs.phjob(name)["metadata"]["annotations"] == annotations


def test_change_of_a_missing_phjob_raises_not_found(local: LocalJobs) -> None:
    for change in (local.cancel, lambda job: local.annotate_expiry(job, 1)):
        with pytest.raises(NotFoundError):
            change(Job(id="job-1", uid="", group=GROUP))


def test_invalid_files_do_not_hide_valid_phjobs(local: LocalJobs, tmp_path: Path) -> None:
    created = local.create(DRAFT)
    folder = tmp_path / "phjobs"
    (folder / "broken.json").write_text("{")
    (folder / "other-name.json").write_text('{"metadata": {"name": "x"}}')
    (folder / "linked.json").symlink_to(folder / f"{created.id}.json")
    os.mkfifo(folder / "fifo.json")
    assert local.all() == [created]


def test_check_fails_if_the_folder_is_missing(local: LocalJobs, tmp_path: Path) -> None:
    (tmp_path / "phjobs").rmdir()
    with pytest.raises(ApiError, match="cannot be read"):
        local.check()
