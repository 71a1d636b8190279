"""Events on PhJobs, for `kubectl describe phjob`. What is told when is pure; writing is best effort.

An event's name is made of what it tells, so telling it twice is telling it once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from artifacts.log import get_logger
from controller.reconcile.artifact import NOT_INJECTED, UNKNOWN, Artifact
from controller.reconcile.documents import printable, rfc3339, text
from controller.reconcile.names import API_VERSION, KIND
from controller.reconcile.phjob import PhJob
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)

COMPONENT = "phjob-artifacts"
_REASONS = {
    "sealed": ("Normal", "ArtifactsCollected", "all artifacts were collected"),
    "empty": ("Normal", "NoArtifacts", "the job left no artifacts"),
    "incomplete": ("Warning", "ArtifactsIncomplete", "not all artifacts were collected"),
    "rejected": ("Warning", "ArtifactsRejected", "no artifacts were kept"),
    UNKNOWN: ("Warning", "ArtifactsUnknown", "it is not known what was collected"),
    NOT_INJECTED: ("Warning", "ArtifactsNotCollected", "artifacts are not collected"),
}
SWITCHED_OFF = ("Warning", "CollectorSwitchedOff", "sidecars failed again and again, so no pod gets one any more")
_FAILURES = ("PodCreationFailed", "OverRequeueLimit", "OverActivateDeadline", "PodUnknown")
_MOST_NAME, _MOST_MESSAGE = 200, 1000


@dataclass(frozen=True)
class Notice:
    """An event to be: `about` tells it from others of the same reason."""

    kind: str
    reason: str
    message: str
    about: str


def artifact_notice(artifact: Artifact) -> Notice:
    """What users are told of an artifact that is news."""
    kind, reason, words = _REASONS[artifact.state]
    return Notice(kind, reason, f"{words}: {artifact.message}" if artifact.message else words, artifact.pod_uid)


def off_notice(pod_uid: str, trouble: str, remedy: str) -> Notice:
    """What is told on the job whose pod's sidecar was one failure too many."""
    kind, reason, words = SWITCHED_OFF
    return Notice(kind, reason, f"{words}; here {trouble}. Mend the cause, then: {remedy}", pod_uid)


def instance_type_notice(job: PhJob, cpu: str, memory: str) -> Notice:
    """What is told of a job that names an instance type: those are PrimeHub's, and nothing is looked up here."""
    given = ", ".join(f"{name} {amount}" for name, amount in (("CPU", cpu), ("memory", memory)) if amount)
    message = f"spec.instanceType {printable(job.spec.instance_type[:64])} sets no resources here: main gets"
    return Notice("Warning", "InstanceTypeIgnored", f"{message} {given or 'neither requests nor limits'}, no GPU", "")


def status_notice(job: PhJob, after: Mapping[str, Any]) -> Notice | None:
    """What users are told of a new status."""
    reason, message = text(after, "reason"), text(after, "message")
    requeued = after.get("requeued", 0)
    if job.requeued != requeued:
        return Notice("Warning", "Requeued", message, str(requeued))
    if reason in _FAILURES and reason != text(job.status, "reason"):
        return Notice("Warning", reason, message, "")
    return None


class Events:
    """Writes events to the API."""

    def __init__(self, objects: ResourceClient) -> None:
        self._objects = objects

    def tell(self, job: PhJob, notice: Notice, now: float) -> None:
        """Create the event. That it cannot be is logged, and no more: the status tells the same."""
        try:
            self._objects.create(make_event(job, notice, now))
        except errors.AlreadyExists:
            return
        except errors.KubeError as error:
            logger.warning("event not written", job=job.name, group=job.spec.group, reason=notice.reason, error=error)


def make_event(job: PhJob, notice: Notice, now: float) -> dict[str, Any]:
    """The document of a core/v1 Event."""
    mark = hashlib.sha256(f"{job.uid} {notice.reason} {notice.about}".encode(errors="replace")).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{job.name[:_MOST_NAME].rstrip('-.')}.{mark}", "namespace": job.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": job.name,
            "namespace": job.namespace,
            "uid": job.uid,
        },
        "type": notice.kind,
        "reason": notice.reason,
        "message": notice.message[:_MOST_MESSAGE],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": rfc3339(now),
        "lastTimestamp": rfc3339(now),
        "count": 1,
    }
