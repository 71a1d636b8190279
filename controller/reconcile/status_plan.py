"""Plans a PhJob's next status and the action on its pod or itself, from the observed state. Pure.

The reconciler is level-triggered: nothing is remembered outside the status, which is written before the action that it
announces. A controller that dies in between finds in the status what remains to be done, and counts nothing twice.
Phases and reasons are PrimeHub's. Pods are deleted gracefully, so a job that must end continues for a while.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.documents import format_time, printable, text_field
from controller.reconcile.artifact_status import NOT_INJECTED, RECREATED_REASONS, ArtifactStatus
from controller.reconcile.expiry import apply_expiry, expires_at, next_expiry_check
from controller.reconcile.outcome import NOT_INJECTED_REASONS, next_artifact_status
from controller.reconcile.phjob import CANCELLED, OVER_DEADLINE, PhJob
from controller.reconcile.pod import Pod
from controller.reconcile.settings import ReconcilerSettings
from controller.reconcile.sidecar_health import (
    NODE_LOST_SECONDS,
    collection_deadline,
    kubelet_error,
    next_sidecar_check,
    start_failure,
)

SHORT_GRACE_SECONDS = 1  # for a pod whose main has ended, or never ran
_MAX_SKEW_SECONDS = 300.0  # of the clock that wrote a finishTime
WARNING_CHECK_SECONDS = 30.0  # between two requests for a pod's Events
_BACK_TO_PENDING = "Back to pending due to: "  # PrimeHub's wording
_GENERIC_REASON = "Error"  # the kubelet's reason for any exit code but 0
_SIGKILL_EXIT_CODE = 128 + 9


@dataclass(frozen=True)
class CreatePod:
    """Create the job's pod. With a `no_sidecar_reason` it gets no sidecar."""

    no_sidecar_reason: str = ""


@dataclass(frozen=True)
class DeletePod:
    """Delete the pod if its UID, and its version if given, are unchanged. `grace_seconds` None: the pod's own."""

    uid: str
    resource_version: str = ""
    grace_seconds: int | None = None


@dataclass(frozen=True)
class DeletePhJob:
    """Delete the PhJob, whose TTL has passed, and its pod with it."""


Action = CreatePod | DeletePod | DeletePhJob


@dataclass(frozen=True)
class StatusPlan:
    """The next status: `status` is all of it but `artifact`, the artifact status.

    `action` follows after the status has been written. `check_at` is when to plan again in UNIX seconds; None if only a
    change of the PhJob or its pod requires it.
    """

    status: Mapping[str, Any]
    artifact: ArtifactStatus | None
    action: Action | None = None
    check_at: float | None = None


def plan_status(job: PhJob, pod: Pod | None, settings: ReconcilerSettings, now: float) -> StatusPlan:
    """Plan the next status. `pod` is the pod with the job's name; None only if it certainly does not exist."""
    own = pod if pod and pod.owner_uid == job.uid else None
    artifact = job.status_artifact
    if artifact or not job.has_ended:  # without one, a job that has ended ended while collection was disabled
        artifact = next_artifact_status(artifact, own, settings, now)
    if job.has_ended:
        return _plan_after_end(job, own, artifact, settings, now)
    if own and own.has_main_ended and not (own.has_never_run and job.started_at is None):
        return _plan_main_ended(job, own, artifact, now)
    if own is None or own.is_gone:
        return _plan_without_pod(job, pod, artifact, now)
    if own.has_main_started:
        return _plan_running(job, own, artifact, settings, now)
    return _plan_preparing(job, own, artifact, settings, now)


def _plan_without_pod(job: PhJob, other: Pod | None, artifact: ArtifactStatus | None, now: float) -> StatusPlan:
    if job.must_end:
        message = "Cancelled before the pod was created" if job.is_cancelled else _end_message(job, CANCELLED)
        return _finish(job, artifact, _final_phase(CANCELLED), message, now)
    if job.started_at is not None:
        if text_field(job.status, "reason") == OVER_DEADLINE:
            message = _end_message(job, OVER_DEADLINE)
            return _finish(job, artifact, _final_phase(OVER_DEADLINE), message, now)
        message = "the pod was deleted before the controller saw main end"
        return _finish(job, artifact, ("Failed", "PodUnknown"), message, now)
    if job.requeue_limit is not None and job.requeue_count > job.requeue_limit:
        message = f"the job was requeued more than {job.requeue_limit} times; {text_field(job.status, 'message')}"
        return _finish(job, artifact, ("Failed", "OverRequeueLimit"), message, now)
    if other and not other.is_gone:
        message = f"another pod has the name {job.name}: delete that pod, or create the job under another name"
        return StatusPlan(_status(job, "Pending", "PodPending", message), artifact)
    status = job.status if job.phase else _status(job, "Pending", "PodPending", "the pod is about to be created")
    must_go_without = artifact and artifact.state == NOT_INJECTED and artifact.reason in RECREATED_REASONS
    return StatusPlan(status, artifact, CreatePod(artifact.reason if artifact and must_go_without else ""))


def _plan_preparing(
    job: PhJob, pod: Pod, artifact: ArtifactStatus | None, settings: ReconcilerSettings, now: float
) -> StatusPlan:
    """Plan for a pod whose main has not started."""
    if job.must_end:
        message = "Cancelled; the pod is being deleted"
        status = _status(job, job.phase or "Pending", CANCELLED, message)
        return StatusPlan(status, artifact, _unless_deleting(pod, DeletePod(pod.uid)))
    if pod.is_deleting:
        return StatusPlan(job.status, artifact)
    if failure := start_failure(pod, settings, now):
        return _plan_recreation(job, pod, artifact, failure)
    deadline = pod.created_at + settings.preparing_seconds
    message = _waiting_message(pod)
    if now >= deadline:
        action = DeletePod(pod.uid, pod.resource_version)  # with the version, in case main starts at this moment
        if job.phase == "Pending" and job.requeue_count:
            return StatusPlan(job.status, artifact, action)  # this requeue has been counted
        requeued = {"requeued": job.requeue_count + 1}
        status = _status(job, "Pending", "PodPending", _BACK_TO_PENDING + message) | requeued
        return StatusPlan(status, artifact, action)
    check_at = min(deadline, next_sidecar_check(pod, settings, now) or deadline)
    if (due_at := warning_due_at(pod, settings)) is not None:
        check_at = min(check_at, due_at if now < due_at else now + WARNING_CHECK_SECONDS)
    return StatusPlan(_status(job, "Preparing", "PodPending", message), artifact, check_at=check_at)


def _plan_recreation(job: PhJob, pod: Pod, artifact: ArtifactStatus | None, failure: str) -> StatusPlan:
    """Plan to recreate the pod without the sidecar, which prevents main from starting."""
    if not (artifact and artifact.state == NOT_INJECTED and artifact.pod_uid == pod.uid):
        message = f"{NOT_INJECTED_REASONS['start']}: {failure}"
        artifact = ArtifactStatus(NOT_INJECTED, pod.uid, message[:512], reason="start")
    status = _status(job, "Preparing", "PodPending", "the pod is being recreated without the artifact collector")
    return StatusPlan(status, artifact, DeletePod(pod.uid, pod.resource_version, SHORT_GRACE_SECONDS))


def warning_due_at(pod: Pod, settings: ReconcilerSettings) -> float | None:
    """Return from when on the kubelet's Events are read; None if the pod has started or its status has the reason."""
    if pod.scheduled_at is None or pod.is_deleting or pod.has_main_started or pod.is_finished:
        return None
    if pod.main.start_error or (pod.has_sidecar and kubelet_error(pod)):
        return None
    return pod.scheduled_at + settings.trouble_seconds


def _waiting_message(pod: Pod) -> str:
    if pod.scheduling_error:
        return pod.scheduling_error
    if pod.main.start_error:
        return ": ".join(filter(None, [pod.main.start_error, pod.main.message]))
    if pod.has_sidecar and (error := kubelet_error(pod)):
        return f"the artifact collector has not started yet: {error}"
    return pod.warning or "the pod is starting"


def _plan_running(
    job: PhJob, pod: Pod, artifact: ArtifactStatus | None, settings: ReconcilerSettings, now: float
) -> StatusPlan:
    started_at = pod.main.started_at or now
    status = _status(job, "Running", "PodRunning", "Job is currently running")
    status |= {"startTime": job.status.get("startTime") or format_time(started_at), "podName": pod.name}
    seconds = job.active_deadline_seconds
    seconds = settings.active_deadline_seconds if seconds is None else seconds
    deadline = started_at + seconds if seconds else None
    reason = _end_reason(job, is_over_deadline=deadline is not None and now >= deadline)
    if not reason:
        status["message"] = _running_message(pod) or status["message"]
        times = [at for at in (deadline, next_sidecar_check(pod, settings, now)) if at is not None]
        return StatusPlan(status, artifact, check_at=min(times, default=None))
    if pod.deletion_at is not None and now >= pod.deletion_at + NODE_LOST_SECONDS:
        message = "the pod was deleted, but its node does not confirm that main has ended"
        return _finish(job, artifact, _final_phase(reason), message, now)
    grace_seconds = _main_grace_seconds(pod)
    message = f"{_end_message(job, reason, seconds)}; main has {grace_seconds} s to end"
    status |= {"reason": reason, "message": message}
    check_at = None if pod.deletion_at is None else pod.deletion_at + NODE_LOST_SECONDS
    action = _unless_deleting(pod, DeletePod(pod.uid, grace_seconds=grace_seconds))
    return StatusPlan(status, artifact, action, check_at)


def _end_reason(job: PhJob, *, is_over_deadline: bool) -> str:
    """Return why the controller must end main, "" if it must not."""
    if not job.must_end:
        return OVER_DEADLINE if is_over_deadline else ""
    was_over_deadline = text_field(job.status, "reason") == OVER_DEADLINE  # before the job was cancelled
    return OVER_DEADLINE if was_over_deadline else CANCELLED


def _running_message(pod: Pod) -> str:
    """Return what is unusual about the pod, "" if nothing is."""
    if pod.is_deleting:
        return "the pod is being deleted"
    return pod.message if pod.reason == "NodeLost" else ""


def _plan_main_ended(job: PhJob, pod: Pod, artifact: ArtifactStatus | None, now: float) -> StatusPlan:
    main = pod.main
    planned_reason = text_field(job.status, "reason")
    if pod.is_deleting and planned_reason in (CANCELLED, OVER_DEADLINE):
        phase, reason = _final_phase(planned_reason)
        message = _end_message(job, planned_reason)
    elif (main.exit_code == 0 and main.has_ended) or pod.phase == "Succeeded":
        phase, reason, message = "Succeeded", "PodSucceeded", "Job completed"
    else:
        phase, reason, message = "Failed", "PodFailed", _failure_message(pod)
    finished_at = min(main.finished_at or now, now)  # not in the future, if the kubelet's clock is wrong
    fields: dict[str, Any] = {"podName": pod.name, "finishTime": format_time(finished_at)}
    if main.started_at is not None:
        fields["startTime"] = job.status.get("startTime") or format_time(main.started_at)
    if main.exit_code is not None:
        fields["exitCode"] = main.exit_code
    return StatusPlan(_status(job, phase, reason, message) | fields, artifact)


def _failure_message(pod: Pod) -> str:
    parts = []
    if pod.main.has_ended:
        ended = f"main ended: exit code {'unknown' if pod.main.exit_code is None else pod.main.exit_code}"
        reason = _main_end_reason(pod)
        parts.append(f"{ended} ({reason})" if reason else ended)
        parts.append(pod.main.message)
    if pod.reason or pod.message:
        parts.append(": ".join(filter(None, [pod.reason, pod.message])))
    elif pod.is_deleting:
        parts.append("the pod was deleted")
    return "; ".join(filter(None, parts)) or "the pod failed"


def _main_end_reason(pod: Pod) -> str:
    if pod.main.reason != _GENERIC_REASON:
        return pod.main.reason
    # If the kernel kills a container soon after its start, containerd may miss the OOM event and reports no reason
    # (containerd issue 8180). Any other SIGKILL has a reason or a deletion in the pod.
    has_other_cause = pod.reason or pod.is_deleting
    return "killed, probably out of memory" if pod.main.exit_code == _SIGKILL_EXIT_CODE and not has_other_cause else ""


def _plan_after_end(
    job: PhJob, pod: Pod | None, artifact: ArtifactStatus | None, settings: ReconcilerSettings, now: float
) -> StatusPlan:
    """Plan for a final phase: the sidecar may still collect; later the pod is deleted, and last the PhJob."""
    finished_at = _credible_finish(job, now)
    status = job.status if finished_at == job.finished_at else {**job.status, "finishTime": format_time(finished_at)}
    shown = artifact if artifact != job.status_artifact else apply_expiry(job, artifact, now)
    plan = StatusPlan(status, shown, check_at=next_expiry_check(job, shown, now))
    if pod and not pod.is_gone and not pod.is_finished:
        # Main ended, or its node is lost. Normally the kubelet ends the sidecar; otherwise delete the pod here.
        deadline = collection_deadline(pod, settings, finished_at)
        if pod.is_deleting:
            return replace(plan, check_at=next_sidecar_check(pod, settings, now))
        if not pod.has_main_ended:
            return replace(plan, action=DeletePod(pod.uid, grace_seconds=_main_grace_seconds(pod)), check_at=None)
        if now >= deadline:
            grace_seconds = _main_grace_seconds(pod) if pod.has_other_running else SHORT_GRACE_SECONDS
            return replace(plan, action=DeletePod(pod.uid, grace_seconds=grace_seconds), check_at=None)
        plan = _check_by(plan, deadline)
    ttl = settings.ttl_seconds if job.ttl_seconds is None else job.ttl_seconds
    if not ttl or (artifact and artifact.is_pending):
        return plan
    return _plan_deletions(plan, job, pod, artifact, _last_end(finished_at, pod, now) + ttl, now)


def _credible_finish(job: PhJob, now: float) -> float:
    """Return when the job ended according to its status, or `now` if that is missing or in the future."""
    finished_at = job.finished_at
    return now if finished_at is None or finished_at > now + _MAX_SKEW_SECONDS else finished_at


def _last_end(finished_at: float, pod: Pod | None, now: float) -> float:
    """Return the later end, that of the status or main's. Users can forge the status, but not the pod's."""
    main_finished_at = pod.main.finished_at if pod else None
    return max(finished_at, min(main_finished_at or 0.0, now))


def _plan_deletions(
    plan: StatusPlan, job: PhJob, pod: Pod | None, artifact: ArtifactStatus | None, pod_until: float, now: float
) -> StatusPlan:
    """Delete the pod at `pod_until`, and the PhJob when its artifacts have expired."""
    phjob_until = max(pod_until, expires_at(job, artifact))
    if now >= phjob_until:
        return plan if job.is_deleting else replace(plan, artifact=artifact, action=DeletePhJob(), check_at=None)
    if now < pod_until:
        return _check_by(plan, pod_until)
    if pod and not pod.is_deleting:
        return replace(plan, action=DeletePod(pod.uid), check_at=phjob_until)
    return _check_by(plan, phjob_until)


def _check_by(plan: StatusPlan, at: float) -> StatusPlan:
    """Return the plan with a check at `at` (UNIX seconds), or earlier if the plan has an earlier one."""
    return replace(plan, check_at=at if plan.check_at is None else min(plan.check_at, at))


def _finish(
    job: PhJob, artifact: ArtifactStatus | None, final: tuple[str, str], message: str, now: float
) -> StatusPlan:
    return StatusPlan(_status(job, *final, message) | {"finishTime": format_time(now)}, artifact)


def _final_phase(reason: str) -> tuple[str, str]:
    """Return the phase and reason of a job that was ended."""
    return ("Cancelled" if reason == CANCELLED else "Failed"), reason


def _end_message(job: PhJob, reason: str, deadline_seconds: int | None = None) -> str:
    if reason == CANCELLED:
        is_only_deleted = job.is_deleting and not job.is_cancelled
        return "Cancelled because the PhJob was deleted" if is_only_deleted else "Cancelled by user"
    return "main ran longer than its active deadline" + (f" of {deadline_seconds} s" if deadline_seconds else "")


def _main_grace_seconds(pod: Pod) -> int:
    """Return main's own grace period: injection raised the pod's for the sidecar, but a delete gives main all of it."""
    original = pod.original_grace_seconds
    return pod.grace_seconds if original is None else min(original, pod.grace_seconds)


def _unless_deleting(pod: Pod, action: Action) -> Action | None:
    return None if pod.is_deleting else action


def _status(job: PhJob, phase: str, reason: str, message: str) -> dict[str, Any]:
    requeued = {"requeued": 0} if "requeued" not in job.status else {}
    return {**job.status, **requeued, "phase": phase, "reason": reason, "message": printable(message[:1024])}
