"""How a pod's sidecar fares: whether it keeps main from starting, works, or crashes beside it. Pure.

To the kubelet a sidecar has started once its process has, so one that crashes at once may let main start, and is then
started again and again beside it.
"""

from controller.reconcile.pod import Pod
from controller.reconcile.settings import Settings

_SLACK_SECONDS = 60.0  # for a kubelet to notice, and to tell
_RECENT_SECONDS = 900.0  # a kubelet waits no more than 300 before it starts a container again


def sidecar_trouble(pod: Pod, settings: Settings, now: float) -> str:
    """Why main cannot start for the sidecar's sake, or ""."""
    if not pod.injected or pod.main_started or pod.is_finished or pod.scheduled_at is None:
        return ""
    if now < pod.scheduled_at + settings.trouble_seconds:
        return ""
    if trouble := complaint(pod):
        return trouble
    # A volume or network that is not there yet keeps main from starting with or without the sidecar.
    if pod.startable_at is None or pod.sidecar.started_at is not None:
        return ""
    if now >= pod.startable_at + settings.start_seconds:
        return f"it had not started {settings.start_seconds} s after the pod had its volumes and network"
    return ""


def complaint(pod: Pod) -> str:
    """What the kubelet says of a sidecar that does not run."""
    sidecar = pod.sidecar
    if sidecar.ended:  # between two restarts
        return f"it ended: exit code {sidecar.exit_code}"
    return ": ".join(filter(None, [sidecar.trouble, sidecar.message])) if sidecar.trouble else ""


def look_at_sidecar(pod: Pod, settings: Settings, now: float) -> float | None:
    """When the sidecar's start, or its end, is to be judged next."""
    if not pod.injected or pod.gone or pod.is_finished:
        return None
    if pod.main_ended:
        over_at = collecting_until(pod, settings, now)
        return over_at if now < over_at else None
    if pod.main_started:
        began = pod.sidecar.started_at
        worked_at = None if began is None else began + settings.trouble_seconds
        return worked_at if worked_at is not None and now < worked_at else None
    if pod.scheduled_at is None:
        return None
    times = [pod.scheduled_at + settings.trouble_seconds]
    if pod.startable_at is not None:
        times.append(pod.startable_at + settings.start_seconds)
    return min((at for at in times if at > now), default=None)


def collecting_until(pod: Pod, settings: Settings, now: float) -> float:
    """Until when the sidecar may hold its pod after main's end."""
    bound = min(float(settings.collecting_seconds), pod.grace_seconds + _SLACK_SECONDS)
    return (pod.main.finished_at or now) + bound


def is_recent(pod: Pod, settings: Settings, now: float) -> bool:
    """Whether how the sidecar fares says something of sidecars now: who comes to lead sees pods of days ago too."""
    began = pod.sidecar.started_at
    return began is None or now < began + settings.trouble_seconds + _RECENT_SECONDS


def has_worked(pod: Pod, settings: Settings, now: float) -> bool:
    """Whether the sidecar of a pod whose main has started can be said to work: it ran for a while, or left its word."""
    if not pod.injected or not pod.main_started or pod.sidecar.restarts:
        return False
    if pod.sidecar.ended:
        return bool(pod.sidecar.said)
    began = pod.sidecar.started_at
    return began is not None and now >= began + settings.trouble_seconds


def crash(pod: Pod) -> str:
    """How the sidecar crashed beside main, leaving no word, or ""."""
    sidecar = pod.sidecar
    if not pod.injected or not pod.main_started or sidecar.said or sidecar.lost:
        return ""
    if sidecar.has_failed:
        return f"it ended: exit code {sidecar.exit_code}"
    return f"it was started {sidecar.restarts + 1} times" if sidecar.restarts else ""
