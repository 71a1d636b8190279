"""The status of a PhJob's artifacts. Pure.

It is stored in `status.artifact`, or in an annotation if another controller owns the status.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.report import STATES, read_text
from controller.documents import integer_field, text_field

SYNCING = "syncing"
COLLECTING = "collecting"
UNKNOWN = "unknown"
NOT_INJECTED = "not-injected"
EXPIRED = "expired"  # after the outcome of a pod: its artifacts have been removed

# The states of a pod's artifacts: those of a report, and those that only the controller can determine.
ALL_STATES = {
    **STATES,
    COLLECTING: "main has ended, and the sidecar is still collecting",
    UNKNOWN: "the pod was gone before the outcome was known",
    NOT_INJECTED: "the pod has no sidecar",
}
PENDING = (SYNCING, COLLECTING)
# Reasons of NOT_INJECTED for which the reconciler may recreate the pod without the sidecar.
RECREATED_REASONS = ("start", "changed")
MAX_EXPIRY = 253402300799  # the end of the year 9999, the last that dates can express
_MAX_MESSAGE_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class ArtifactStatus:
    """The status of one pod's artifacts.

    `pod_uid` identifies the pod; in a status that is not pending it also marks the pod as counted. `reason` is one of
    outcome.NOT_INJECTED_REASONS if the state is NOT_INJECTED, and the previous state if it is EXPIRED.
    """

    state: str
    pod_uid: str
    message: str = ""
    files: int = 0
    bytes: int = 0
    expired_at: int = 0
    reason: str = ""

    @property
    def is_pending(self) -> bool:
        """Whether the outcome is not known yet."""
        return self.state in PENDING


def read_artifact_status(value: Any) -> ArtifactStatus | None:
    """Return the status in a document's field, or None if the field does not contain one."""
    if not isinstance(value, Mapping) or text_field(value, "state") not in (*ALL_STATES, EXPIRED):
        return None
    return ArtifactStatus(
        state=text_field(value, "state"),
        pod_uid=text_field(value, "podUid", 64),
        message=read_text(value.get("message"), _MAX_MESSAGE_CHARACTERS),
        files=integer_field(value, "files") or 0,
        bytes=integer_field(value, "bytes") or 0,
        expired_at=min(integer_field(value, "expiredAt") or 0, MAX_EXPIRY),
        reason=text_field(value, "reason", 64),
    )


def format_artifact_status(artifact: ArtifactStatus) -> dict[str, Any]:
    """Return the field for a merge patch. Unknown values are null, so that values of an earlier pod are removed."""
    has_numbers = artifact.state in (*STATES, EXPIRED) and not artifact.is_pending
    return {
        "state": artifact.state,
        "reason": artifact.reason or None,
        "message": artifact.message or None,
        "files": artifact.files if has_numbers else None,
        "bytes": artifact.bytes if has_numbers else None,
        "expiredAt": artifact.expired_at or None,
        "podUid": artifact.pod_uid,
    }


def read_result_annotation(annotation: str, phjob_uid: str) -> ArtifactStatus | None:
    """Return the status in the annotation, or None if another PhJob's annotation was copied with its metadata."""
    try:
        value = json.loads(annotation) if annotation else None
    except (ValueError, RecursionError):
        return None
    is_own = isinstance(value, dict) and value.get("phJobUid") == phjob_uid
    return read_artifact_status(value) if is_own else None


def format_result_annotation(artifact: ArtifactStatus, phjob_uid: str) -> str:
    """Return the annotation's text."""
    fields = {name: value for name, value in format_artifact_status(artifact).items() if value is not None}
    return json.dumps({**fields, "phJobUid": phjob_uid}, separators=(",", ":"))


def is_recreation(before: ArtifactStatus, state: str, reason: str) -> bool:
    """Whether a pod with this state and reason was recreated without the sidecar, for which `before` has the reason."""
    return before.state == state == NOT_INJECTED and before.reason == reason and reason in RECREATED_REASONS


def is_new_outcome(before: ArtifactStatus | None, after: ArtifactStatus | None) -> bool:
    """Whether `after` is the first status with the outcome of its pod. An outcome is reported and counted once."""
    if after is None or after.is_pending or after == before:
        return False
    if before is None or before.pod_uid != after.pod_uid:
        return not (before and is_recreation(before, after.state, after.reason))
    return before.is_pending or before.state == NOT_INJECTED
