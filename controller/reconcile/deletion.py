"""Ends main after its own grace period if somebody else deletes its pod. Pure.

Injection raises the pod's grace period for the last sync, and the kubelet grants main the same period: a main that
ignores SIGTERM would run for 120 s instead of 30. A second deletion with a short grace period makes the kubelet kill
main at once. By then the sidecar has synced since the first deletion, and it has 2 s for what remains. If main ends by
itself, the sidecar keeps the raised period.
"""

from typing import NamedTuple

from controller.reconcile.pod import Pod
from controller.reconcile.status_plan import SHORT_GRACE_SECONDS, DeletePod


class Shortening(NamedTuple):
    """The deletion that ends main, or when to check again (UNIX seconds). Both are None if main ends without it."""

    action: DeletePod | None = None
    check_at: float | None = None


def shorten_deletion(pod: Pod, now: float) -> Shortening:
    """Return how to end main, whose pod is being deleted. A grace period that was chosen for the deletion is kept."""
    original_seconds, raised_seconds = pod.original_grace_seconds, pod.deletion_grace_seconds
    if not pod.has_sidecar or pod.deletion_at is None or original_seconds is None or raised_seconds is None:
        return Shortening()
    is_running = pod.has_main_started and not pod.has_main_ended
    if not is_running or raised_seconds != pod.grace_seconds or original_seconds >= raised_seconds:
        return Shortening()
    end = pod.deletion_at - raised_seconds + max(0, original_seconds)
    if now < end:
        return Shortening(check_at=end)
    return Shortening(DeletePod(pod.uid, grace_seconds=SHORT_GRACE_SECONDS))
