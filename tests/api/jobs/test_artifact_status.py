"""The status of a job's artifacts if another controller owns the PhJob's status: it is read from an annotation."""

import json
from typing import Any

import pytest

from api.jobs.job import RESULT_ANNOTATION, ArtifactStatus, parse_job
from controller.inject.pod import RESULT_ANNOTATION as CONTROLLER_ANNOTATION
from controller.reconcile.artifact_status import ArtifactStatus as WrittenStatus
from controller.reconcile.artifact_status import format_result_annotation


def artifact_status(annotation: str, **status: Any) -> ArtifactStatus | None:
    """The artifact status of a PhJob with this result annotation."""
    metadata = {"uid": "own", "annotations": {RESULT_ANNOTATION: annotation}}
    return parse_job({"metadata": metadata, "status": status}).artifact_status


def test_status_is_read_from_the_controllers_annotation() -> None:
    assert RESULT_ANNOTATION == CONTROLLER_ANNOTATION
    annotation = format_result_annotation(WrittenStatus("sealed", "uid", "", 2, 300, 5), "own")
    assert artifact_status(annotation) == ArtifactStatus("sealed", 2, 300, 5, pod_uid="uid")


def test_reason_for_a_missing_sidecar_is_read() -> None:
    written = WrittenStatus("not-injected", "uid", "the API server did not call it", reason="webhook")
    expected = ArtifactStatus("not-injected", 0, 0, 0, "webhook", "the API server did not call it", "uid")
    assert artifact_status(format_result_annotation(written, "own")) == expected


def test_annotation_copied_from_another_phjob_is_ignored() -> None:
    annotation = format_result_annotation(WrittenStatus("sealed", "uid", "", 2, 300, 5), "another")
    assert artifact_status(annotation) is None


def test_status_takes_precedence_over_the_annotation() -> None:
    annotation = json.dumps({"state": "sealed", "files": 1, "phJobUid": "own"})
    assert artifact_status(annotation, artifact={"state": "rejected"}) == ArtifactStatus("rejected", 0, 0, 0)


@pytest.mark.parametrize("annotation", ["", "[", "[" * 100_000, "7", "{}", '{"state": 7, "phJobUid": "own"}'])
def test_invalid_annotation_is_ignored(annotation: str) -> None:
    assert artifact_status(annotation) is None
