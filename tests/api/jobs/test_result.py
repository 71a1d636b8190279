"""What became of a job's artifacts, where only an annotation may tell it."""

import json
from typing import Any

import pytest

from api.jobs.job import RESULT_ANNOTATION, Outcome, read_job
from controller.inject.pod import RESULT_ANNOTATION as CONTROLLER_ANNOTATION
from controller.reconcile.artifact_status import ArtifactStatus, format_result_annotation


def outcome(annotation: str, **status: Any) -> Outcome | None:
    metadata = {"uid": "own", "annotations": {RESULT_ANNOTATION: annotation}}
    return read_job({"metadata": metadata, "status": status}).outcome


def test_the_annotation_that_the_controller_writes_is_read() -> None:
    assert RESULT_ANNOTATION == CONTROLLER_ANNOTATION
    assert outcome(format_result_annotation(ArtifactStatus("sealed", "uid", "", 2, 300, 5), "own")) == Outcome(
        "sealed", 2, 300, 5
    )


def test_why_a_pod_has_no_sidecar_is_read() -> None:
    told = outcome(
        format_result_annotation(ArtifactStatus("not-injected", "uid", "it was not asked", reason="webhook"), "own")
    )
    assert told == Outcome("not-injected", 0, 0, 0, "webhook", "it was not asked")


def test_what_was_copied_from_another_phjob_is_not_this_ones() -> None:
    assert outcome(format_result_annotation(ArtifactStatus("sealed", "uid", "", 2, 300, 5), "another")) is None


def test_the_status_goes_first() -> None:
    told = json.dumps({"state": "sealed", "files": 1, "phJobUid": "own"})
    assert outcome(told, artifact={"state": "rejected"}) == Outcome("rejected", 0, 0, 0)


@pytest.mark.parametrize("annotation", ["", "[", "[" * 100_000, "7", "{}", '{"state": 7, "phJobUid": "own"}'])
def test_nonsense_is_no_outcome(annotation: str) -> None:
    assert outcome(annotation) is None
