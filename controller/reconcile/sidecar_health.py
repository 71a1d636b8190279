"""The health of a pod's sidecar: whether it prevents main from starting, works, or crashed beside main. Pure.

For the kubelet a sidecar has started once its process has. A sidecar that crashes at once may therefore let main start,
and is then restarted repeatedly beside it.
"""

from controller.reconcile.pod import Pod
from controller.reconcile.settings import ReconcilerSettings

NODE_LOST_SECONDS = 120.0  # after the grace period of a deletion; then the node is no longer waited for
_KUBELET_DELAY_SECONDS = 60.0  # for the kubelet to end the sidecar and report it
_RECENT_SECONDS = 900.0  # the kubelet's back-off before it restarts a container is at most 300 s


def start_failure(pod: Pod, settings: ReconcilerSettings, now: float) -> str:
    """Return why the sidecar prevents main from starting, or ""."""
    if pod.has_main_started or pod.is_finished:
        return ""
    if pod.blocks_main:  # certain from the start, because nobody can change the pod's containers any more
        return change_reason(pod)
    if not pod.has_sidecar or pod.scheduled_at is None or now < pod.scheduled_at + settings.trouble_seconds:
        return ""
    return kubelet_error(pod) or _late_start(pod, settings, now)


def _late_start(pod: Pod, settings: ReconcilerSettings, now: float) -> str:
    # Without its volumes and network main could not start either, with or without the sidecar.
    if pod.startable_at is None or now < pod.startable_at + settings.start_seconds:
        return ""
    if pod.sidecar.awaits_probe:  # injection sets no probe, but another webhook may
        return f"its startup probe did not succeed within {settings.start_seconds} s"
    if pod.sidecar.started_at is None:
        return f"it did not start within {settings.start_seconds} s after the pod's volumes and network were ready"
    return ""


def change_reason(pod: Pod) -> str:
    """Return what another webhook did to the sidecar, so that it collects nothing, or ""."""
    if pod.blocks_main:
        return "the container is an ordinary init container, without restartPolicy: Always"
    return "the container is missing" if pod.is_changed else ""


def kubelet_error(pod: Pod) -> str:
    """Return the error that the kubelet reports for a sidecar that does not run, or ""."""
    sidecar = pod.sidecar
    if sidecar.has_ended:  # between two restarts
        return f"it ended with exit code {sidecar.exit_code}"
    return ": ".join(filter(None, [sidecar.start_error, sidecar.message])) if sidecar.start_error else ""


def is_configured_sidecar(pod: Pod, settings: ReconcilerSettings) -> bool:
    """Whether the pod's sidecar is the one that the webhook injects: others, which users can add, prove nothing."""
    is_image = not settings.sidecar_image or pod.sidecar_image == settings.sidecar_image
    return (pod.has_sidecar or pod.blocks_main) and pod.runs_sidecar and is_image


def next_sidecar_check(pod: Pod, settings: ReconcilerSettings, now: float) -> float | None:
    """Return when to check the sidecar's start or end next, or None."""
    if not pod.has_sidecar or pod.is_gone or pod.is_finished:
        return None
    if pod.has_main_ended:
        return _next(now, collection_deadline(pod, settings, now), outcome_deadline(pod, settings, now))
    if pod.has_main_started:
        started_at = pod.sidecar.started_at
        return _next(now, None if started_at is None else started_at + settings.trouble_seconds)
    if pod.scheduled_at is None:
        return None
    started_by = None if pod.startable_at is None else pod.startable_at + settings.start_seconds
    return _next(now, pod.scheduled_at + settings.trouble_seconds, started_by)


def _next(now: float, *times: float | None) -> float | None:
    """Return the earliest of the times after `now`, or None."""
    return min((at for at in times if at is not None and at > now), default=None)


def collection_deadline(pod: Pod, settings: ReconcilerSettings, now: float) -> float:
    """Return until when the sidecar may run after main's end."""
    limit = min(float(settings.collecting_seconds), pod.grace_seconds + _KUBELET_DELAY_SECONDS)
    return (pod.main.finished_at or now) + limit


def outcome_deadline(pod: Pod, settings: ReconcilerSettings, now: float) -> float | None:
    """Return when to stop waiting for the sidecar's summary after main's end; None while nothing has to end it yet.

    The kubelet ends the sidecar after all regular containers. If one of them never ends, or the sidecar hangs, the
    reconciler first deletes the pod and then reads the summary, which the sidecar writes while it is being ended.
    """
    if pod.deletion_at is not None:
        return pod.deletion_at + NODE_LOST_SECONDS
    return None if settings.reconcile or pod.has_other_running else collection_deadline(pod, settings, now)


def is_recent(pod: Pod, settings: ReconcilerSettings, now: float) -> bool:
    """Whether the sidecar's health is evidence for sidecars now. A new leader also sees pods that are days old."""
    started_at = pod.created_at if pod.is_changed else pod.sidecar.started_at
    return started_at is None or now < started_at + settings.trouble_seconds + _RECENT_SECONDS


def has_worked(pod: Pod, settings: ReconcilerSettings, now: float) -> bool:
    """Whether the sidecar works: main has started, and the sidecar has run for a while or left a summary."""
    if not pod.has_sidecar or not pod.has_main_started or pod.sidecar.restart_count:
        return False
    if pod.sidecar.has_ended:
        return bool(pod.sidecar.termination_message)
    started_at = pod.sidecar.started_at
    return started_at is not None and now >= started_at + settings.trouble_seconds


def crash_reason(pod: Pod) -> str:
    """Return how the sidecar crashed beside main without leaving a summary, or ""."""
    sidecar = pod.sidecar
    if not pod.has_sidecar or not pod.has_main_started or sidecar.termination_message or sidecar.is_lost:
        return ""
    if sidecar.has_failed:
        return f"it ended with exit code {sidecar.exit_code}"
    return f"it was started {sidecar.restart_count + 1} times" if sidecar.restart_count else ""
