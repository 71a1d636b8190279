"""What a PhJob's status should be, and what is to be done about its pod: decided anew from what is seen. Pure.

Level-triggered: nothing is remembered but what stands in the status, which is written before the deed it announces.
So a controller that dies between the two finds in the status what is left to do, and counts nothing twice.
Phases and reasons are PrimeHub's; pods are deleted gracefully, so a job that is told to end goes on for a while.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.reconcile.artifact import NOT_INJECTED, Artifact
from controller.reconcile.documents import printable, rfc3339, text
from controller.reconcile.expiry import after_expiry, kept_until, look_at_expiry
from controller.reconcile.outcome import NOT_INJECTED_REASONS, next_artifact
from controller.reconcile.phjob import PhJob
from controller.reconcile.pod import Pod
from controller.reconcile.settings import Settings
from controller.reconcile.sidecar import collecting_until, complaint, look_at_sidecar, sidecar_trouble

CANCELLED, OVERDUE = "Cancelled", "OverActivateDeadline"  # PrimeHub's spelling
SHORT_GRACE_SECONDS = 1  # for a pod whose main has ended, or never ran
_LOST_SECONDS = 120.0  # after which nobody waits for a node any more
_BACK = "Back to pending due to: "
_NO_REASON = "Error"  # what a kubelet says of any end that is not 0
_KILLED = 128 + 9  # SIGKILL's exit code


@dataclass(frozen=True)
class CreatePod:
    """Make the job's pod; with no sidecar where `without` says why not."""

    without: str = ""


@dataclass(frozen=True)
class DeletePod:
    """Delete it if it is still of this uid, and of this version if one is given. No grace: the pod's own."""

    uid: str
    version: str = ""
    grace_seconds: int | None = None


@dataclass(frozen=True)
class DeletePhJob:
    """Its time is over. Its pod goes with it."""


Action = CreatePod | DeletePod | DeletePhJob


@dataclass(frozen=True)
class Decision:
    """The whole status without `artifact`, that, a deed, and when to look again (UNIX seconds, None: no need)."""

    status: Mapping[str, Any]
    artifact: Artifact | None
    action: Action | None = None
    look_at: float | None = None


def decide(job: PhJob, pod: Pod | None, settings: Settings, now: float) -> Decision:
    """What follows from what is seen. `pod`: the one of the job's name, None where it is certain that there is none."""
    if job.deleting:
        return Decision(job.status, job.artifact)
    own = pod if pod and pod.owner_uid == job.uid else None
    artifact = job.artifact
    if artifact or not job.has_ended:  # else nothing was to be told at its end, when the collector was off, say
        artifact = next_artifact(artifact, own, settings, now)
    if job.has_ended:
        return _after_the_end(job, own, artifact, settings, now)
    if own and own.main_ended and not (own.never_ran and job.started_at is None):
        return _end_of_main(job, own, artifact, now)
    if own is None or own.gone:
        return _without_pod(job, pod, artifact, now)
    if own.main_started:
        return _running(job, own, artifact, settings, now)
    return _preparing(job, own, artifact, settings, now)


def _without_pod(job: PhJob, other: Pod | None, artifact: Artifact | None, now: float) -> Decision:
    if job.cancel:
        return _end(job, artifact, _end_of(CANCELLED), "cancelled before it was started", now)
    if job.started_at is not None:
        if text(job.status, "reason") == OVERDUE:
            return _end(job, artifact, _end_of(OVERDUE), "it ran longer than its active deadline", now)
        return _end(job, artifact, ("Failed", "PodUnknown"), "its pod was gone before main's end was seen", now)
    if job.requeue_limit is not None and job.requeued > job.requeue_limit:
        message = f"it was queued again more than {job.requeue_limit} times; {text(job.status, 'message')}"
        return _end(job, artifact, ("Failed", "OverRequeueLimit"), message, now)
    if other and not other.gone:
        message = f"a pod of the name {job.name} that is not this job's is in the way"
        return Decision(_status(job, "Pending", "PodPending", message), artifact)
    status = job.status if job.phase else _status(job, "Pending", "PodPending", "its pod is about to be made")
    failed_to_start = artifact is not None and (artifact.state, artifact.reason) == (NOT_INJECTED, "start")
    return Decision(status, artifact, CreatePod("start" if failed_to_start else ""))


def _preparing(job: PhJob, pod: Pod, artifact: Artifact | None, settings: Settings, now: float) -> Decision:
    """Main has not started yet."""
    if job.cancel:
        status = _status(job, job.phase or "Pending", CANCELLED, "cancelled; its pod is being removed")
        return Decision(status, artifact, _unless_deleting(pod, DeletePod(pod.uid)))
    if pod.is_deleting:
        return Decision(job.status, artifact)
    if trouble := sidecar_trouble(pod, settings, now):
        return _drop_sidecar(job, pod, artifact, trouble)
    over_at = pod.created_at + settings.preparing_seconds
    waits_for = _waits_for(pod)
    if now >= over_at:
        deed = DeletePod(pod.uid, pod.version)  # it is not to hit a main that starts this moment
        if job.phase == "Pending" and job.requeued:
            return Decision(job.status, artifact, deed)  # counted already
        status = _status(job, "Pending", "PodPending", _BACK + waits_for) | {"requeued": job.requeued + 1}
        return Decision(status, artifact, deed)
    look_at = min(over_at, look_at_sidecar(pod, settings, now) or over_at)
    return Decision(_status(job, "Preparing", "PodPending", waits_for), artifact, look_at=look_at)


def _drop_sidecar(job: PhJob, pod: Pod, artifact: Artifact | None, trouble: str) -> Decision:
    """The pod goes, to be made anew without the sidecar, which has kept main from starting."""
    if not (artifact and artifact.state == NOT_INJECTED and artifact.pod_uid == pod.uid):
        message = f"{NOT_INJECTED_REASONS['start']}: {trouble}"
        artifact = Artifact(NOT_INJECTED, pod.uid, message[:512], reason="start")
    status = _status(job, "Preparing", "PodPending", "its pod is made anew without the collector of artifacts")
    return Decision(status, artifact, DeletePod(pod.uid, pod.version, SHORT_GRACE_SECONDS))


def _waits_for(pod: Pod) -> str:
    if pod.unscheduled:
        return pod.unscheduled
    if pod.main.trouble:
        return ": ".join(filter(None, [pod.main.trouble, pod.main.message]))
    if pod.injected and (trouble := complaint(pod)):
        return f"the collector of artifacts does not start yet: {trouble}"
    return "its pod is starting"


def _running(job: PhJob, pod: Pod, artifact: Artifact | None, settings: Settings, now: float) -> Decision:
    started_at = pod.main.started_at or now
    status = _status(job, "Running", "PodRunning", "Job is currently running")
    status |= {"startTime": job.status.get("startTime") or rfc3339(started_at), "podName": pod.name}
    deadline = job.active_deadline_seconds
    deadline = settings.active_deadline_seconds if deadline is None else deadline
    over_at = started_at + deadline if deadline else None
    reason = CANCELLED if job.cancel else OVERDUE if over_at is not None and now >= over_at else ""
    if not reason:
        if pod.reason == "NodeLost":
            status["message"] = pod.message
        if pod.is_deleting:
            status["message"] = "its pod is being deleted"
        times = [at for at in (over_at, look_at_sidecar(pod, settings, now)) if at is not None]
        return Decision(status, artifact, look_at=min(times, default=None))
    if text(job.status, "reason") == OVERDUE:
        reason = OVERDUE  # a cancel that comes later changes nothing
    if pod.deleting_at is not None and now >= pod.deleting_at + _LOST_SECONDS:
        lost = "it was told to end, and its node has not answered since"
        return _end(job, artifact, _end_of(reason), lost, now)
    grace = _grace(pod)
    status |= {"reason": reason, "message": f"{_words(reason, deadline)}; main has {grace} s to end"}
    look_at = None if pod.deleting_at is None else pod.deleting_at + _LOST_SECONDS
    return Decision(status, artifact, _unless_deleting(pod, DeletePod(pod.uid, grace_seconds=grace)), look_at)


def _end_of_main(job: PhJob, pod: Pod, artifact: Artifact | None, now: float) -> Decision:
    main = pod.main
    told = text(job.status, "reason")
    if pod.is_deleting and told in (CANCELLED, OVERDUE):
        phase, reason = _end_of(told)
        message = _words(told, None)
    elif (main.exit_code == 0 and main.ended) or pod.phase == "Succeeded":
        phase, reason, message = "Succeeded", "PodSucceeded", "Job completed"
    else:
        phase, reason, message = "Failed", "PodFailed", _failure(pod)
    fields: dict[str, Any] = {"podName": pod.name, "finishTime": rfc3339(main.finished_at or now)}
    if main.started_at is not None:
        fields["startTime"] = job.status.get("startTime") or rfc3339(main.started_at)
    if main.exit_code is not None:
        fields["exitCode"] = main.exit_code
    return Decision(_status(job, phase, reason, message) | fields, artifact)


def _failure(pod: Pod) -> str:
    parts = []
    if pod.main.ended:
        ended = f"main ended: exit code {'unknown' if pod.main.exit_code is None else pod.main.exit_code}"
        why = _why_main_ended(pod)
        parts.append(f"{ended} ({why})" if why else ended)
        parts.append(pod.main.message)
    if pod.reason or pod.message:
        parts.append(": ".join(filter(None, [pod.reason, pod.message])))
    elif pod.is_deleting:
        parts.append("its pod was deleted")
    return "; ".join(filter(None, parts)) or "its pod failed"


def _why_main_ended(pod: Pod) -> str:
    if pod.main.reason != _NO_REASON:
        return pod.main.reason
    # Where the kernel kills soon after the start, containerd may miss its word, and then knows no reason
    # (containerd's issue 8180). Whoever else kills main says so by the pod.
    was_told = pod.reason or pod.is_deleting
    return "killed, often for want of memory" if pod.main.exit_code == _KILLED and not was_told else ""


def _after_the_end(job: PhJob, pod: Pod | None, artifact: Artifact | None, settings: Settings, now: float) -> Decision:
    """The phase is final. The sidecar may still collect; later the pod goes, and last the PhJob."""
    status = job.status if job.finished_at is not None else {**job.status, "finishTime": rfc3339(now)}
    told = artifact if artifact != job.artifact else after_expiry(job, artifact, now)
    expiry = look_at_expiry(job, told, now)
    times = [] if expiry is None else [expiry]
    if pod and not pod.gone and not pod.is_finished:
        # Main ended, or was given up; the kubelet ends the sidecar. What it does not end is ended here.
        over_at = collecting_until(pod, settings, job.finished_at or now)
        if pod.is_deleting:
            return Decision(status, told, look_at=over_at if now < over_at else None)
        if not pod.main_ended:
            return Decision(status, told, DeletePod(pod.uid, grace_seconds=_grace(pod)))
        if now >= over_at:
            return Decision(status, told, DeletePod(pod.uid, grace_seconds=SHORT_GRACE_SECONDS))
        times.append(over_at)
    ttl = settings.ttl_seconds if job.ttl_seconds is None else job.ttl_seconds
    if not ttl or (artifact and artifact.is_pending):
        return Decision(status, told, look_at=min(times, default=None))
    pod_until = (job.finished_at or now) + ttl
    until = max(pod_until, kept_until(job, artifact))
    if now >= until:
        return Decision(status, artifact, DeletePhJob())
    if now >= pod_until and pod and not pod.is_deleting:
        return Decision(status, told, DeletePod(pod.uid), until)
    return Decision(status, told, look_at=min([*times, until if now >= pod_until else pod_until]))


def _end(job: PhJob, artifact: Artifact | None, end: tuple[str, str], message: str, now: float) -> Decision:
    return Decision(_status(job, *end, message) | {"finishTime": rfc3339(now)}, artifact)


def _end_of(reason: str) -> tuple[str, str]:
    return ("Cancelled" if reason == CANCELLED else "Failed"), reason


def _words(reason: str, deadline: int | None) -> str:
    if reason == CANCELLED:
        return "Cancelled by user"
    return "it ran longer than its active deadline" + (f" of {deadline} s" if deadline else "")


def _grace(pod: Pod) -> int:
    """Main's own grace: injection has raised the pod's for the sidecar, but main gets all of a delete's first."""
    original = pod.original_grace_seconds
    return pod.grace_seconds if original is None else min(original, pod.grace_seconds)


def _unless_deleting(pod: Pod, action: Action) -> Action | None:
    return None if pod.is_deleting else action


def _status(job: PhJob, phase: str, reason: str, message: str) -> dict[str, Any]:
    requeued = {"requeued": 0} if "requeued" not in job.status else {}
    return {**job.status, **requeued, "phase": phase, "reason": reason, "message": printable(message[:1024])}
