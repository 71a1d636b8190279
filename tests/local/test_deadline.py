"""A job that has run for as long as it may is ended, and keeps its artifacts."""

import pytest

from artifacts.errors import InvalidDocument
from local.queue import read_phjob
from tests.local.jobs import GROUP, Jobs


def test_a_job_past_its_deadline_is_ended_and_keeps_its_artifacts(jobs: Jobs) -> None:
    jobs.queue("mkdir artifacts; echo x > artifacts/f; sleep 60", activeDeadlineSeconds=1)
    ended = jobs.run_queued()
    assert "has run for its 1 seconds" in ended.stderr
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "OverActivateDeadline")
    assert jobs.kept() == {"f": "x\n"}


def test_a_job_past_its_deadline_that_does_not_end_is_killed_after_the_grace_period(jobs: Jobs) -> None:
    jobs.queue("trap '' TERM; while :; do sleep 0.1; done", activeDeadlineSeconds=1)
    ended = jobs.run_queued(PHJOB_ARTIFACT_GRACE_SECONDS="1")
    assert ended.returncode == 137
    assert jobs.phjob()["status"]["reason"] == "OverActivateDeadline"


def test_a_job_that_ends_in_time_ends_as_ever(jobs: Jobs) -> None:
    jobs.queue("true", activeDeadlineSeconds=60)
    jobs.run_queued()
    assert jobs.phjob()["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("seconds", [0, -1, 1.5, "60", True, 2**31])
def test_a_deadline_that_is_no_number_of_seconds_is_refused(seconds: object) -> None:
    spec = {"groupName": GROUP, "command": "true", "activeDeadlineSeconds": seconds}
    with pytest.raises(InvalidDocument, match="activeDeadlineSeconds"):
        read_phjob("a", {"metadata": {"name": "a"}, "spec": spec})
