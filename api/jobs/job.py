"""The API's model of a PhJob, parsed from the custom resource. Pure.

Users can write to the custom resource: a field of the wrong type counts as missing, and a malformed PhJob must not
hide the others.
"""

import json
import re
import secrets
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from artifacts.annotation import (
    EXPIRY_ANNOTATION,
    MISSING_ANNOTATION,
    RETENTION_ANNOTATION,
    effective_expiry,
    is_missing,
    is_removal,
    parse_expiry_annotation,
)
from artifacts.job_options import select_options
from artifacts.report import Count
from artifacts.settings import SETTINGS_TABLE

FINAL_PHASES = ("Succeeded", "Failed", "Cancelled")

# The fields of `status.artifact` as JSON, used if another controller owns the status.
RESULT_ANNOTATION = "primehub.io/artifact-result"

MAX_CACHED_COMMAND = 2048  # characters
_MAX_RESULT = 8 * 1024  # characters of the result annotation
_MAX_TEXT = 1024  # characters of any other text; the controller writes no longer messages

_MAX_SKEW_SECONDS = 300  # between the clocks of the API server and of the controller
_RETENTION = next(row for row in SETTINGS_TABLE if row.field == "retention_seconds")

_NAME_LETTERS = string.digits + string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class ArtifactStatus:
    """The `artifact` part of a PhJob's status.

    `state` is one of artifacts.report.STATES, or a state that only the controller sets (unknown, not-injected, ...);
    `reason` (a keyword) and `message` (a sentence) explain the latter. `expired_at` is in UNIX seconds. `pod_uid` is
    the UID of the artifacts' pod, "" if unknown.
    """

    state: str
    files: int
    bytes: int
    expired_at: int
    reason: str = ""
    message: str = ""
    pod_uid: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A PhJob. Times are RFC 3339 texts as in the resource, or "" if missing.

    `annotated_expiry` is the artifacts' expiry that people decided, in UNIX seconds: 0 without a decision, negative if
    the artifacts were removed at that time. `retention_seconds` is the retention that the PhJob requests, or None.
    `missing_since` is when the API noticed that the collected files are gone from the store (UNIX seconds), or 0.
    `options` are the annotations that set options of the collector: names and values. In a job from a cache, `command`
    may be shortened, which `is_shortened` records, and `options` are missing; `JobSource.read` returns both.
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
    artifact_status: ArtifactStatus | None = None
    annotated_expiry: int = 0
    retention_seconds: int | None = None
    missing_since: int = 0
    options: tuple[tuple[str, str], ...] = ()
    is_shortened: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether main has ended; the sidecar may still be collecting."""
        return self.phase in FINAL_PHASES

    @property
    def status_expiry(self) -> int:
        """The artifacts' expiry according to the PhJob's status and annotation (UNIX seconds; 0 if unknown)."""
        expired_at = self.artifact_status.expired_at if self.artifact_status else 0
        if self.has_ended:
            return effective_expiry(self.annotated_expiry, expired_at, self.finished_at)
        return max(self.annotated_expiry, expired_at)

    def has_status_expired(self, now: float) -> bool:
        """Whether the artifacts have expired according to the PhJob alone; the store may have a later expiry."""
        return 0 < self.status_expiry <= now

    @property
    def is_annotated_as_removed(self) -> bool:
        """Whether its artifacts were removed, or are being removed, according to the annotation."""
        return self.has_ended and is_removal(self.annotated_expiry, self.finished_at)

    @property
    def is_annotated_as_missing(self) -> bool:
        """Whether its artifacts are missing in the store according to the annotation."""
        return self.has_ended and is_missing(self.missing_since, self.finished_at)

    @property
    def finished_at(self) -> float | None:
        """Main's end in UNIX seconds; None if main has not ended or its end is unknown.

        An end before the PhJob's creation was written by a node whose clock is wrong.
        """
        finished_at = parse_time(self.finish_time) if self.has_ended else None
        created_at = parse_time(self.create_time) or 0.0
        return finished_at if finished_at is not None and finished_at >= created_at - _MAX_SKEW_SECONDS else None


@dataclass(frozen=True)
class Draft:
    """A job to be created. `user_id` and `user_name` identify the caller; `options` are annotations."""

    display_name: str
    group: str
    command: str
    user_id: str
    user_name: str
    image: str = ""
    instance_type: str = ""
    active_deadline_seconds: int | None = None
    options: tuple[tuple[str, str], ...] = ()


def parse_job(resource: Mapping[str, Any]) -> Job:
    """Parse a PhJob custom resource."""
    metadata, spec, status = (_part(resource, name) for name in ("metadata", "spec", "status"))
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
        command=_text(spec, "command", None),
        cancel=spec.get("cancel") is True,
        active_deadline_seconds=deadline if type(deadline) is int else None,
        phase=_text(status, "phase") or "Pending",
        reason=_text(status, "reason"),
        message=_text(status, "message"),
        create_time=_text(metadata, "creationTimestamp"),
        start_time=_text(status, "startTime"),
        finish_time=_text(status, "finishTime"),
        artifact_status=_artifact_status(status.get("artifact"))
        or _artifact_status(_annotated_status(annotations, _text(metadata, "uid"))),
        annotated_expiry=parse_expiry_annotation(_text(annotations, EXPIRY_ANNOTATION)),
        missing_since=parse_expiry_annotation(_text(annotations, MISSING_ANNOTATION)),
        options=tuple(select_options(annotations).items()),
        retention_seconds=_retention_seconds(_text(annotations, RETENTION_ANNOTATION)),
    )


def parse_cached_job(resource: Mapping[str, Any]) -> Job:
    """Parse a PhJob for a cache, without its options and with its command shortened: users choose the size of both."""
    job = parse_job(resource)
    is_shortened = len(job.command) > MAX_CACHED_COMMAND
    command = job.command[:MAX_CACHED_COMMAND] + " ..." if is_shortened else job.command
    return replace(job, command=command, is_shortened=is_shortened, options=())


def collected_files(job: Job | None) -> Count:
    """Return the files that were collected according to the PhJob's status; none if the status does not have them."""
    status = job.artifact_status if job else None
    return Count(status.files, status.bytes) if status else Count()


def parse_time(text: str) -> float | None:
    """Parse an RFC 3339 text into UNIX seconds; return None if it is invalid."""
    try:
        return datetime.fromisoformat(text).timestamp() if re.match(r"\d{4}-\d\d-\d\dT", text) else None
    except (ValueError, OverflowError):
        return None


def format_time(seconds: float) -> str:
    """Format UNIX seconds as RFC 3339 in UTC, without a fraction."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def new_job_name(now: float | None = None) -> str:
    """Generate a name as PrimeHub does, such as job-202009250153-34s0ti. `now` is in UNIX seconds; None: the clock."""
    random = "".join(secrets.choice(_NAME_LETTERS) for _ in range(6))
    return time.strftime(f"job-%Y%m%d%H%M-{random}", time.gmtime(now))


def _artifact_status(value: Any) -> ArtifactStatus | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("state"), str):
        return None
    files, size, expired_at = (_non_negative_int(value.get(name)) for name in ("files", "bytes", "expiredAt"))
    texts = (_text(value, name) for name in ("reason", "message", "podUid"))
    return ArtifactStatus(_text(value, "state"), files, size, expired_at, *texts)


def _annotated_status(annotations: Mapping[str, Any], uid: str) -> Any:
    """Read the result annotation of the PhJob `uid`; None if it was copied from another PhJob with the metadata."""
    text = _text(annotations, RESULT_ANNOTATION, _MAX_RESULT)
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("phJobUid") == uid else None


def _retention_seconds(text: str) -> int | None:
    """Parse the retention annotation as the webhook does; return None if it is missing or invalid."""
    if not text:
        return None
    try:
        return int(_RETENTION.parse(text.strip()))
    except ValueError:
        return None


def _part(resource: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = resource.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(part: Mapping[str, Any], name: str, limit: int | None = _MAX_TEXT) -> str:
    """Return the field's text, at most `limit` characters, or ""."""
    value = part.get(name)
    return value[:limit] if isinstance(value, str) else ""


def _non_negative_int(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0
