"""Kubernetes Events on PhJobs, for `kubectl describe phjob`. Choosing events is pure; recording them is best effort.

An event's name is a hash of its content, so recording it twice creates it once.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artifacts.log import get_logger
from controller.documents import format_time, printable, text_field
from controller.reconcile.artifact_status import NOT_INJECTED, UNKNOWN, ArtifactStatus
from controller.reconcile.names import API_VERSION, KIND
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod
from kube import errors
from kube.objects import ResourceClient

logger = get_logger(__name__)

COMPONENT = "phjob-artifacts"
# For each state of artifacts the event's type, reason and message.
ARTIFACT_EVENTS = {
    "sealed": ("Normal", "ArtifactsCollected", "All artifacts were collected"),
    "empty": ("Normal", "NoArtifacts", "The job left no artifacts"),
    "incomplete": ("Warning", "ArtifactsIncomplete", "Some artifacts were not collected"),
    "rejected": ("Warning", "ArtifactsRejected", "No artifacts were collected, because the job exceeded a limit"),
    UNKNOWN: ("Warning", "ArtifactsUnknown", "It is not known which artifacts were collected"),
    NOT_INJECTED: ("Warning", "ArtifactsNotCollected", "Artifacts are not collected"),
}
SWITCHED_OFF = (
    "Warning",
    "CollectorSwitchedOff",
    "Sidecars failed repeatedly, so the controller paused injection",
)
LEFT_TO_WRAPPER = (
    "Warning",
    "CollectorNotInjected",
    "Only PrimeHub's wrapper collects the artifacts, when the command has ended",
)
POD_DELAYED = ("Warning", "PodDelayed", "The pod cannot be created yet")
SIDECAR_FAILED = ("Warning", "CollectorFailed", "The artifact collector prevents the job from starting")
_FAILURE_REASONS = ("PodCreationFailed", "OverRequeueLimit", "OverActivateDeadline", "PodUnknown")
_MAX_NAME_CHARACTERS, _MAX_MESSAGE_CHARACTERS = 200, 1000


@dataclass(frozen=True)
class JobEvent:
    """An event to record. `about` distinguishes it from other events of the same reason, such as a pod's UID."""

    kind: str
    reason: str
    message: str
    about: str


def artifact_event(artifact: ArtifactStatus, pod: Pod | None) -> JobEvent:
    """Return the event for a new outcome. `pod` is the job's current pod."""
    kind, reason, text = ARTIFACT_EVENTS[artifact.state]
    if artifact.state == NOT_INJECTED and pod and pod.uid == artifact.pod_uid and pod.has_wrapper:
        kind, reason, text = LEFT_TO_WRAPPER
    return JobEvent(kind, reason, f"{text}: {artifact.message}" if artifact.message else text, artifact.pod_uid)


def sidecar_failed_event(about: str, failure: str) -> JobEvent:
    """Return the event on a job that cannot start because of its sidecar. `about` is the UID of its pod or PhJob."""
    kind, reason, text = SIDECAR_FAILED
    return JobEvent(kind, reason, f"{text}: {failure}", about)


def pod_delayed_event(error: str) -> JobEvent:
    """Return the event on a job whose pod the API server cannot create at the moment; its creation is retried."""
    kind, reason, text = POD_DELAYED
    return JobEvent(kind, reason, f"{text}: {printable(error[:900])}", "")


def paused_event(about: str, failure: str, scope: str, until: str, remedy: str) -> JobEvent:
    """Return the event on the job whose sidecar's failure paused injection for `scope`."""
    kind, reason, text = SWITCHED_OFF
    return JobEvent(
        kind,
        reason,
        f"{text} for {scope} until {until}, and will then try single pods. The sidecar of this job failed: "
        f"{failure[:400]}. To try again at once, run: {remedy}",
        about,
    )


def instance_type_event(instance_type: str, cpu: str, memory: str) -> JobEvent:
    """Return the event on a job that names an instance type. Only PrimeHub's controller looks instance types up."""
    amounts = [f"{name} {amount}" for name, amount in (("CPU", cpu), ("memory", memory)) if amount]
    resources = ", ".join(amounts) or "no requests and limits"
    message = (
        f"spec.instanceType {printable(instance_type[:64])} is ignored: this installation gives every main "
        f"the same resources ({resources}, no GPU)"
    )
    return JobEvent("Warning", "InstanceTypeIgnored", message, "")


def ignored_annotations_event(names: Sequence[str]) -> JobEvent:
    """Return the event on a job with annotations that are too long for its pod."""
    shown = printable(", ".join(names)[:500])
    message = f"The annotations are too long for the pod, so they have no effect: {shown}. Shorten them"
    return JobEvent("Warning", "AnnotationsIgnored", message, "")


def status_event(job: PhJob, after: Mapping[str, Any]) -> JobEvent | None:
    """Return the event for a change of the status, or None."""
    reason, message = text_field(after, "reason"), text_field(after, "message")
    requeue_count = after.get("requeued", 0)
    if job.requeue_count != requeue_count:
        return JobEvent("Warning", "Requeued", message, str(requeue_count))
    if reason in _FAILURE_REASONS and reason != text_field(job.status, "reason"):
        return JobEvent("Warning", reason, message, "")
    return None


class EventRecorder:
    """Records events at the API server."""

    def __init__(self, client: ResourceClient) -> None:
        self._client = client

    def record(self, job: PhJob, event: JobEvent, now: float) -> None:
        """Create the event. A failure is only logged: the status contains the same information."""
        try:
            self._client.create(build_event(job, event, now))
        except errors.AlreadyExists:
            return
        except errors.KubeError as error:
            logger.warning("event not recorded", job=job.name, group=job.group, reason=event.reason, error=error)


def build_event(job: PhJob, event: JobEvent, now: float) -> dict[str, Any]:
    """Return the core/v1 Event."""
    digest = hashlib.sha256(f"{job.uid} {event.reason} {event.about}".encode(errors="replace")).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{job.name[:_MAX_NAME_CHARACTERS].rstrip('-.')}.{digest}",
            "namespace": job.namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": job.name,
            "namespace": job.namespace,
            "uid": job.uid,
        },
        "type": event.kind,
        "reason": event.reason,
        "message": event.message[:_MAX_MESSAGE_CHARACTERS],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": format_time(now),
        "lastTimestamp": format_time(now),
        "count": 1,
    }
