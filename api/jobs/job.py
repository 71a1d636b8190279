"""What the API knows of a PhJob, read from the custom resource's document. Pure.

Documents come from users too: a field of the wrong type counts as missing, and one bad object hides no other.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION, effective_expiry, is_removal, parse_expiry_annotation

FINAL_PHASES = ("Succeeded", "Failed", "Cancelled")

# What became of the artifacts, as JSON with the fields of `status.artifact`, where the status is another controller's.
RESULT_ANNOTATION = "primehub.io/artifact-result"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the PhJob's status tells of its artifacts: `state` is one of artifacts.report.STATES, or the controller's
    own (unknown, not-injected, ...), of which `reason` (a word) and `message` (a sentence) say why."""

    state: str
    files: int
    bytes: int
    expired_at: int
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A PhJob. Times are RFC 3339 texts as in the document, "" where there is none.

    `annotated_expiry`: until when its artifacts are kept as people decided (UNIX seconds), 0 where nobody has; with a
    minus, when they were removed.
    """

    id: str
    uid: str
    group: str
    display_name: str = ""
    user_id: str = ""
    user_name: str = ""
    image: str = ""
    instance_type: str = ""
    command: str = ""
    cancel: bool = False
    active_deadline_seconds: int | None = None
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    create_time: str = ""
    start_time: str = ""
    finish_time: str = ""
    outcome: Outcome | None = None
    annotated_expiry: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether main has; the sidecar may still be collecting."""
        return self.phase in FINAL_PHASES

    @property
    def status_expiry(self) -> int:
        """Until when its artifacts are kept as the PhJob tells, with people's decisions (UNIX seconds; 0: nothing)."""
        told = self.outcome.expired_at if self.outcome else 0
        return (
            effective_expiry(self.annotated_expiry, told, self.finished_at)
            if self.has_ended
            else max(self.annotated_expiry, told)
        )

    @property
    def is_noted_as_removed(self) -> bool:
        """Whether its artifacts were removed, or are being."""
        return self.has_ended and is_removal(self.annotated_expiry, self.finished_at)

    @property
    def finished_at(self) -> float | None:
        """When main ended, UNIX seconds; None while it has not, or where nobody knows."""
        return read_time(self.finish_time) if self.has_ended else None


@dataclass(frozen=True)
class Draft:
    """A job to be created. `user_id` and `user_name` are the caller's."""

    display_name: str
    group: str
    command: str
    user_id: str
    user_name: str
    image: str = ""
    instance_type: str = ""
    active_deadline_seconds: int | None = None


def read_job(document: Mapping[str, Any]) -> Job:
    """The PhJob in a custom resource's document."""
    metadata, spec, status = (_part(document, name) for name in ("metadata", "spec", "status"))
    annotations = _part(metadata, "annotations")
    deadline = spec.get("activeDeadlineSeconds")
    return Job(
        id=_text(metadata, "name"),
        uid=_text(metadata, "uid"),
        group=_text(spec, "groupName"),
        display_name=_text(spec, "displayName"),
        user_id=_text(spec, "userId"),
        user_name=_text(spec, "userName"),
        image=_text(spec, "image"),
        instance_type=_text(spec, "instanceType"),
        command=_text(spec, "command"),
        cancel=spec.get("cancel") is True,
        active_deadline_seconds=deadline if type(deadline) is int else None,
        phase=_text(status, "phase") or "Pending",
        reason=_text(status, "reason"),
        message=_text(status, "message"),
        create_time=_text(metadata, "creationTimestamp"),
        start_time=_text(status, "startTime"),
        finish_time=_text(status, "finishTime"),
        outcome=_outcome(status.get("artifact")) or _outcome(_result(annotations, _text(metadata, "uid"))),
        annotated_expiry=parse_expiry_annotation(_text(annotations, EXPIRY_ANNOTATION)),
    )


def read_time(text: str) -> float | None:
    """UNIX seconds of an RFC 3339 text, or None."""
    try:
        return datetime.fromisoformat(text).timestamp() if re.match(r"\d{4}-\d\d-\d\dT", text) else None
    except (ValueError, OverflowError):
        return None


def format_time(seconds: float) -> str:
    """RFC 3339, UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _outcome(value: Any) -> Outcome | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("state"), str):
        return None
    files, size, expired_at = (_whole(value.get(name)) for name in ("files", "bytes", "expiredAt"))
    return Outcome(value["state"], files, size, expired_at, _text(value, "reason"), _text(value, "message"))


def _result(annotations: Mapping[str, Any], uid: str) -> Any:
    """What is noted there of this PhJob: annotations are copied with the rest of another."""
    text = _text(annotations, RESULT_ANNOTATION)
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("phJobUid") == uid else None


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0
