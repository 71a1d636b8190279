"""What the reconciler reads from a PhJob's custom resource. Pure.

`PhJob` is stored in memory, so its size is bounded: users choose the size of the resource. `PhJobSpec` is read when the
pod is built.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION, MISSING_ANNOTATION, parse_expiry_annotation
from controller.documents import integer_field, mapping_field, text_field, time_field
from controller.inject.pod import RESULT_ANNOTATION
from controller.reconcile.artifact_status import ArtifactStatus, read_artifact_status, read_result_annotation
from controller.reconcile.names import select_pod_annotations

FINAL_PHASES = ("Succeeded", "Failed", "Cancelled", "Unknown")
CANCELLED, OVER_DEADLINE = "Cancelled", "OverActivateDeadline"  # reasons, in PrimeHub's spelling
_STATUS_FIELDS = ("phase", "reason", "message", "podName", "startTime", "finishTime", "requeued", "exitCode")
_MAX_STATUS_CHARACTERS = 2048  # more than any message that the controller writes
_MAX_COMMAND_CHARACTERS = 4 * 1024 * 1024
_MAX_SKEW_SECONDS = 300.0  # between the clocks of the API server and of a node


@dataclass(frozen=True, slots=True)
class PhJobSpec:
    """The part of a PhJob that only its pod is built from.

    `annotations` are those that the pod gets, and `ignored_annotations` the names of those that are too long for it.
    """

    group_id: str = ""
    user: str = ""
    instance_type: str = ""
    image: str = ""
    command: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    ignored_annotations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhJob:
    """A PhJob, without the parts that only its pod needs. Times are UNIX seconds.

    `status` has the known fields of the resource's status but `artifact`, which is `status_artifact`, with their texts
    shortened. `annotated_artifact` is the artifact status in the annotation: it counts if another controller owns the
    status.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str
    created_at: float
    is_deleting: bool
    is_cancelled: bool
    requeue_limit: int | None
    active_deadline_seconds: int | None
    ttl_seconds: int | None
    annotated_expiry: int
    missing_since: int
    group: str
    user: str
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
    def must_end(self) -> bool:
        """Whether the job was cancelled, or the PhJob is being deleted: a finalizer can delay that for ever."""
        return self.is_cancelled or self.is_deleting

    @property
    def started_at(self) -> float | None:
        """When main started."""
        return time_field(self.status, "startTime")

    @property
    def finished_at(self) -> float | None:
        """When the job ended.

        A time before the PhJob's creation was forged by a user, and counts as unknown.
        """
        finished_at = time_field(self.status, "finishTime")
        return None if finished_at is None or finished_at < self.created_at - _MAX_SKEW_SECONDS else finished_at

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
    return PhJob(
        name=text_field(metadata, "name"),
        namespace=text_field(metadata, "namespace"),
        uid=text_field(metadata, "uid"),
        resource_version=text_field(metadata, "resourceVersion"),
        created_at=time_field(metadata, "creationTimestamp") or 0.0,
        is_deleting="deletionTimestamp" in metadata,
        is_cancelled=spec.get("cancel") is True,
        requeue_limit=integer_field(spec, "requeueLimit"),
        active_deadline_seconds=integer_field(spec, "activeDeadlineSeconds"),
        ttl_seconds=integer_field(spec, "ttlSecondsAfterFinished"),
        annotated_expiry=parse_expiry_annotation(text_field(annotations, EXPIRY_ANNOTATION)),
        missing_since=parse_expiry_annotation(text_field(annotations, MISSING_ANNOTATION)),
        group=sys.intern(text_field(spec, "groupName", 64)),  # many jobs share few groups and users
        user=sys.intern(text_field(spec, "userName", 256)),
        status=_read_status(status),
        status_artifact=read_artifact_status(status.get("artifact")),
        annotated_artifact=read_result_annotation(
            text_field(annotations, RESULT_ANNOTATION, 4096), text_field(metadata, "uid")
        ),
    )


def read_spec(document: Mapping[str, Any]) -> PhJobSpec:
    """Return what the pod of the PhJob in a document is built from."""
    metadata, spec = mapping_field(document, "metadata"), mapping_field(document, "spec")
    annotations, ignored = select_pod_annotations(mapping_field(metadata, "annotations"))
    return PhJobSpec(
        group_id=text_field(spec, "groupId"),
        user=text_field(spec, "userName"),
        instance_type=text_field(spec, "instanceType"),
        image=text_field(spec, "image"),
        command=text_field(spec, "command", _MAX_COMMAND_CHARACTERS),
        annotations=annotations,
        ignored_annotations=ignored,
    )


def _read_status(status: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: status[name] for name in _STATUS_FIELDS if name in status}
    return {
        name: value[:_MAX_STATUS_CHARACTERS] if isinstance(value, str) else value
        for name, value in fields.items()
        if isinstance(value, str | int | None)
    }
