"""What the reconciler stores in memory about a PhJob, read from the custom resource. Pure."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION, parse_expiry_annotation
from controller.documents import integer_field, mapping_field, text_field, time_field
from controller.inject.pod import RESULT_ANNOTATION
from controller.reconcile.artifact_status import ArtifactStatus, read_artifact_status, read_result_annotation
from controller.reconcile.names import pod_annotations

FINAL_PHASES = ("Succeeded", "Failed", "Cancelled", "Unknown")
CANCELLED, OVER_DEADLINE = "Cancelled", "OverActivateDeadline"  # reasons, in PrimeHub's spelling
_MAX_COMMAND_CHARACTERS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PhJobSpec:
    """The part of a spec that a pod is built from. For a job that has ended only the group is stored."""

    group: str = ""
    group_id: str = ""
    user: str = ""
    instance_type: str = ""
    image: str = ""
    command: str = ""
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PhJob:
    """A PhJob. Times are UNIX seconds.

    `status` is the resource's status without `artifact`, which is `status_artifact`. `annotated_artifact` is the
    artifact status in the annotation, used if another controller owns the status.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str
    is_deleting: bool
    is_cancelled: bool
    requeue_limit: int | None
    active_deadline_seconds: int | None
    ttl_seconds: int | None
    annotated_expiry: int
    missing_since: int
    spec: PhJobSpec
    status: Mapping[str, Any]
    status_artifact: ArtifactStatus | None
    annotated_artifact: ArtifactStatus | None

    @property
    def phase(self) -> str:
        """The phase, or "" if it has none yet."""
        return text_field(self.status, "phase")

    @property
    def has_ended(self) -> bool:
        """Whether the phase is final."""
        return self.phase in FINAL_PHASES

    @property
    def started_at(self) -> float | None:
        """When main started."""
        return time_field(self.status, "startTime")

    @property
    def finished_at(self) -> float | None:
        """When the job ended."""
        return time_field(self.status, "finishTime")

    @property
    def requeue_count(self) -> int:
        """How often the job was requeued."""
        return integer_field(self.status, "requeued") or 0

    def reported_artifact(self, reconcile: bool) -> ArtifactStatus | None:
        """Return the artifact status that was last written. `reconcile`: whether we own the PhJob's status."""
        return self.status_artifact if reconcile else self.annotated_artifact


def read_phjob(document: Mapping[str, Any]) -> PhJob:
    """Return the PhJob in a document."""
    metadata, spec, status = (mapping_field(document, name) for name in ("metadata", "spec", "status"))
    annotations = mapping_field(metadata, "annotations")
    has_ended = text_field(status, "phase") in FINAL_PHASES
    return PhJob(
        name=text_field(metadata, "name"),
        namespace=text_field(metadata, "namespace"),
        uid=text_field(metadata, "uid"),
        resource_version=text_field(metadata, "resourceVersion"),
        is_deleting="deletionTimestamp" in metadata,
        is_cancelled=spec.get("cancel") is True,
        requeue_limit=integer_field(spec, "requeueLimit"),
        active_deadline_seconds=integer_field(spec, "activeDeadlineSeconds"),
        ttl_seconds=integer_field(spec, "ttlSecondsAfterFinished"),
        annotated_expiry=parse_expiry_annotation(text_field(annotations, EXPIRY_ANNOTATION)),
        missing_since=parse_expiry_annotation(text_field(annotations, MISSING_ANNOTATION)),
        spec=PhJobSpec(_group(spec)) if has_ended else _read_spec(spec, annotations),
        status={name: value for name, value in status.items() if name != "artifact"},
        status_artifact=read_artifact_status(status.get("artifact")),
        annotated_artifact=read_result_annotation(
            text_field(annotations, RESULT_ANNOTATION, 4096), text_field(metadata, "uid")
        ),
    )


def _read_spec(spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> PhJobSpec:
    return PhJobSpec(
        group=_group(spec),
        group_id=text_field(spec, "groupId"),
        user=text_field(spec, "userName"),
        instance_type=text_field(spec, "instanceType"),
        image=text_field(spec, "image"),
        command=text_field(spec, "command", _MAX_COMMAND_CHARACTERS),
        annotations=pod_annotations({name: value for name, value in annotations.items() if isinstance(value, str)}),
    )


def _group(spec: Mapping[str, Any]) -> str:
    return sys.intern(text_field(spec, "groupName"))  # many jobs share few groups
