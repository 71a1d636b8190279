"""What the reconciler keeps in memory of a PhJob, read from the custom resource's document. Pure."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.annotation import EXPIRY_ANNOTATION, parse_expiry_annotation
from controller.inject.pod import RESULT
from controller.reconcile.artifact import Artifact, read_artifact, read_result
from controller.reconcile.documents import moment, part, text, whole
from controller.reconcile.names import pod_annotations

FINAL_PHASES = ("Succeeded", "Failed", "Cancelled", "Unknown")
_MOST_COMMAND = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Spec:
    """What is wanted. Of jobs that have ended, of which nothing is made any more, only the group is kept."""

    group: str = ""
    group_id: str = ""
    user: str = ""
    instance_type: str = ""
    image: str = ""
    command: str = ""
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PhJob:
    """A PhJob. Times are UNIX seconds. `status` is the document's own, without `artifact`."""

    name: str
    namespace: str
    uid: str
    version: str
    deleting: bool
    cancel: bool
    requeue_limit: int | None
    active_deadline_seconds: int | None
    ttl_seconds: int | None
    annotated_expiry: int
    spec: Spec
    status: Mapping[str, Any]
    artifact: Artifact | None
    result: Artifact | None

    @property
    def phase(self) -> str:
        return text(self.status, "phase")

    @property
    def has_ended(self) -> bool:
        return self.phase in FINAL_PHASES

    @property
    def started_at(self) -> float | None:
        return moment(self.status, "startTime")

    @property
    def finished_at(self) -> float | None:
        return moment(self.status, "finishTime")

    def told(self, reconcile: bool) -> Artifact | None:
        """What was told of its artifacts. `reconcile`: whether its status is ours to write."""
        return self.artifact if reconcile else self.result

    @property
    def requeued(self) -> int:
        return whole(self.status, "requeued") or 0


def read_phjob(document: Mapping[str, Any]) -> PhJob:
    """The PhJob in a document."""
    metadata, spec, status = (part(document, name) for name in ("metadata", "spec", "status"))
    annotations = part(metadata, "annotations")
    ended = text(status, "phase") in FINAL_PHASES
    return PhJob(
        name=text(metadata, "name"),
        namespace=text(metadata, "namespace"),
        uid=text(metadata, "uid"),
        version=text(metadata, "resourceVersion"),
        deleting="deletionTimestamp" in metadata,
        cancel=spec.get("cancel") is True,
        requeue_limit=whole(spec, "requeueLimit"),
        active_deadline_seconds=whole(spec, "activeDeadlineSeconds"),
        ttl_seconds=whole(spec, "ttlSecondsAfterFinished"),
        annotated_expiry=parse_expiry_annotation(text(annotations, EXPIRY_ANNOTATION)),
        spec=Spec(_group(spec)) if ended else _spec(spec, annotations),
        status={name: value for name, value in status.items() if name != "artifact"},
        artifact=read_artifact(status.get("artifact")),
        result=read_result(text(annotations, RESULT, 4096), text(metadata, "uid")),
    )


def _spec(spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> Spec:
    return Spec(
        group=_group(spec),
        group_id=text(spec, "groupId"),
        user=text(spec, "userName"),
        instance_type=text(spec, "instanceType"),
        image=text(spec, "image"),
        command=text(spec, "command", _MOST_COMMAND),
        annotations=pod_annotations({name: value for name, value in annotations.items() if isinstance(value, str)}),
    )


def _group(spec: Mapping[str, Any]) -> str:
    return sys.intern(text(spec, "groupName"))  # few, of many jobs
