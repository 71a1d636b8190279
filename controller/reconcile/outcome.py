"""What became of a PhJob's artifacts, from what its pod tells. Pure.

The sidecar leaves its summary as its termination message; it is read as hostile. Each pod is told of once: the mark is
its uid in what was written before.
"""

from dataclasses import replace
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.summary import read_summary
from controller.inject.injection import OUTCOMES
from controller.reconcile.artifact import COLLECTING, MOST_EXPIRY, NOT_INJECTED, SYNCING, UNKNOWN, Artifact
from controller.reconcile.documents import printable, rfc3339
from controller.reconcile.pod import Pod
from controller.reconcile.settings import Settings
from controller.reconcile.sidecar import collecting_until, crash

# Why a pod has no sidecar: what injection says, and what only the reconciler sees.
NOT_INJECTED_REASONS = {
    **{name: text for name, text in OUTCOMES.items() if name not in ("injected", "already-injected", "opted-out")},
    "webhook": "the webhook was not asked: it was down, or is switched off",
    "quota": "with the sidecar the pod would have been more than the quota allows",
    "refused": "the API server takes the pod without the sidecar alone; the controller's log says why",
    "start": "the sidecar could not be started",
}


def next_artifact(before: Artifact | None, pod: Pod | None, settings: Settings, now: float) -> Artifact | None:
    """What there is to tell now; `before` where nothing is new. `pod`: None where it is certain that there is none."""
    if pod is None or (before and before.pod_uid != pod.uid):
        if before and before.is_pending:
            return replace(before, state=UNKNOWN, message="its pod was gone before the sidecar's word was read")
        if pod is None:
            return before
    if before and before.pod_uid == pod.uid and not before.is_pending and not _has_started_after_all(before, pod):
        return before
    if not pod.injected:
        return _without_sidecar(before, pod, settings)
    if not (before and before.is_pending) and (pod.never_ran or not (pod.main_started or pod.is_finished)):
        return before
    if is_over(pod):
        return _final(pod)
    if pod.main_ended and now >= collecting_until(pod, settings, now):
        text = f"the sidecar had not ended {now - (pod.main.finished_at or now):.0f} s after main"
        return Artifact(UNKNOWN, pod.uid, text)
    return Artifact(COLLECTING if pod.main_ended else SYNCING, pod.uid, _trouble(pod))


def _trouble(pod: Pod) -> str:
    """What users should know while the job runs. The same however often it is started again."""
    return "the sidecar ended early, with no word: perhaps nothing is collected" if crash(pod) else ""


def read_word(pod: Pod) -> dict[str, Any]:
    """The fields of the sidecar's summary; none where it left none that can be read."""
    try:
        return read_summary(pod.sidecar.said.encode("utf-8", "replace")) if pod.sidecar.said else {}
    except InvalidDocument:
        return {}


def _has_started_after_all(before: Artifact, pod: Pod) -> bool:
    return before.reason == "start" and pod.injected and pod.main_started


def _without_sidecar(before: Artifact | None, pod: Pod, settings: Settings) -> Artifact | None:
    if pod.without in NOT_INJECTED_REASONS:
        reason = pod.without
    elif pod.opted_out or (not settings.collects and not pod.declined):
        return before
    else:
        reason = pod.declined if pod.declined in NOT_INJECTED_REASONS else "webhook"
    if before and before.state == NOT_INJECTED and before.reason == reason == "start":
        return replace(before, pod_uid=pod.uid)  # told when it was decided
    return Artifact(NOT_INJECTED, pod.uid, NOT_INJECTED_REASONS[reason], reason=reason)


def is_over(pod: Pod) -> bool:
    """Whether the sidecar has said its last. Of a finished pod no container runs, whatever their states say."""
    return pod.gone or pod.is_finished or (pod.main_ended and pod.sidecar.ended)


def _final(pod: Pod) -> Artifact:
    summary = read_word(pod)
    if not summary:
        return Artifact(UNKNOWN, pod.uid, f"the sidecar left no word: {_silence(pod)}")
    state, message = summary["state"], summary["message"]
    if state == SYNCING:  # it was killed between two syncs, so more may have come since the last
        state, message = "incomplete", message or "the sidecar was killed before its last sync"
    files, size = summary.get("files", 0), summary.get("bytes", 0)
    expired_at = min(summary.get("expiredAt", 0), MOST_EXPIRY)
    return Artifact(state, pod.uid, printable(message) or _words(state, summary), files, size, expired_at)


def _silence(pod: Pod) -> str:
    if pod.sidecar.lost:
        return "the kubelet lost sight of it"
    return crash(pod) or "it was killed, or never started"


def _words(state: str, summary: dict[str, Any]) -> str:
    """For a sidecar that says no more."""
    if state == "sealed":
        files, size, expiry = summary.get("files", 0), summary.get("bytes", 0), summary.get("expiredAt", 0)
        until = f", kept until {rfc3339(min(expiry, MOST_EXPIRY))}" if expiry else ""
        return f"{files} files, {size} bytes{until}"
    if state == "rejected":
        return f"{summary.get('foundFiles', 0)} files, {summary.get('foundBytes', 0)} bytes: more than is allowed"
    return ""
