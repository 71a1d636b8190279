"""A job whose deadline has passed is ended, and its artifacts are collected."""

import pytest

from artifacts.errors import InvalidDocument
from local.queue import read_phjob
from tests.local.driver import GROUP, JobDriver


def test_job_past_its_deadline_is_ended_and_its_artifacts_are_collected(jobs: JobDriver) -> None:
    jobs.queue("mkdir artifacts; echo x > artifacts/f; sleep 60", activeDeadlineSeconds=1)
    result = jobs.run_queued()
    assert "its deadline of 1 seconds has passed" in result.stderr
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "OverActivateDeadline")
    assert jobs.artifacts() == {"f": "x\n"}


def test_job_that_ignores_its_deadline_is_killed_after_the_grace_period(jobs: JobDriver) -> None:
    jobs.queue("trap '' TERM; while :; do sleep 0.1; done", activeDeadlineSeconds=1)
    result = jobs.run_queued(PHJOB_ARTIFACT_GRACE_SECONDS="1")
    assert result.returncode == 137
    assert jobs.phjob()["status"]["reason"] == "OverActivateDeadline"


def test_job_that_ends_before_its_deadline_succeeds(jobs: JobDriver) -> None:
    jobs.queue("true", activeDeadlineSeconds=60)
    jobs.run_queued()
    assert jobs.phjob()["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("seconds", [0, -1, 1.5, "60", True, 2**31])
def test_invalid_deadline_is_rejected(seconds: object) -> None:
    spec = {"groupName": GROUP, "command": "true", "activeDeadlineSeconds": seconds}
    with pytest.raises(InvalidDocument, match="activeDeadlineSeconds"):
        read_phjob("a", {"metadata": {"name": "a"}, "spec": spec})
