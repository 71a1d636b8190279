"""What a PhJob tells of its artifacts: `status.artifact`, or an annotation where the status is another's. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.report import STATES, read_text
from controller.reconcile.documents import text, whole

SYNCING = "syncing"
COLLECTING = "collecting"
UNKNOWN = "unknown"
NOT_INJECTED = "not-injected"
EXPIRED = "expired"  # what a PhJob shows later, when the artifacts of its pod are kept no more

# What becomes of a pod's artifacts: the states of a report, and what only the controller can know.
ALL_STATES = {
    **STATES,
    COLLECTING: "main has ended, and the sidecar still collects",
    UNKNOWN: "the pod was gone before it could tell",
    NOT_INJECTED: "the pod has no sidecar",
}
PENDING = (SYNCING, COLLECTING)
MOST_EXPIRY = 253402300799  # the end of the year 9999: what dates can say
_MOST_MESSAGE = 512


@dataclass(frozen=True, slots=True)
class Artifact:
    """`pod_uid`: the pod that it tells of, and the mark that this pod has been counted once it is no more pending.
    `reason`: why not, a word; for NOT_INJECTED one of outcome.NOT_INJECTED_REASONS, for EXPIRED the state before."""

    state: str
    pod_uid: str
    message: str = ""
    files: int = 0
    bytes: int = 0
    expired_at: int = 0
    reason: str = ""

    @property
    def is_pending(self) -> bool:
        return self.state in PENDING


def read_artifact(value: Any) -> Artifact | None:
    """The artifact in a document's field; None for what is none."""
    if not isinstance(value, Mapping) or text(value, "state") not in (*ALL_STATES, EXPIRED):
        return None
    return Artifact(
        state=text(value, "state"),
        pod_uid=text(value, "podUid", 64),
        message=read_text(value.get("message"), _MOST_MESSAGE),
        files=whole(value, "files") or 0,
        bytes=whole(value, "bytes") or 0,
        expired_at=min(whole(value, "expiredAt") or 0, MOST_EXPIRY),
        reason=text(value, "reason", 64),
    )


def write_artifact(artifact: Artifact) -> dict[str, Any]:
    """The document's field, for a merge patch: what is not known is null, so that nothing of an earlier pod stays."""
    is_known = artifact.state in (*STATES, EXPIRED) and not artifact.is_pending
    return {
        "state": artifact.state,
        "reason": artifact.reason or None,
        "message": artifact.message or None,
        "files": artifact.files if is_known else None,
        "bytes": artifact.bytes if is_known else None,
        "expiredAt": artifact.expired_at or None,
        "podUid": artifact.pod_uid,
    }


def read_result(annotation: str, phjob_uid: str) -> Artifact | None:
    """The artifact in an annotation's text; None where it is another PhJob's: annotations are copied with the rest."""
    try:
        value = json.loads(annotation) if annotation else None
    except (ValueError, RecursionError):
        return None
    is_own = isinstance(value, dict) and value.get("phJobUid") == phjob_uid
    return read_artifact(value) if is_own else None


def write_result(artifact: Artifact, phjob_uid: str) -> str:
    """The annotation's text."""
    told = {name: value for name, value in write_artifact(artifact).items() if value is not None}
    return json.dumps({**told, "phJobUid": phjob_uid}, separators=(",", ":"))


def is_news(before: Artifact | None, after: Artifact | None) -> bool:
    """Whether `after` says for the first time what became of its pod's artifacts: that is told and counted, once."""
    if after is None or after.is_pending or after == before:
        return False
    if before is None or before.pod_uid != after.pod_uid:
        return not (before and (before.state, before.reason) == (after.state, after.reason) == (NOT_INJECTED, "start"))
    return before.is_pending or before.state == NOT_INJECTED
