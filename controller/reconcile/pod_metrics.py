"""The metrics of one pod, counted once, when the outcome of its artifacts is certain. Pure.

A pod that is recreated without its sidecar is counted after the recreation, because the first one may start after all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from artifacts.report import INCOMPLETE_REASONS, REASONS
from controller.reconcile.artifact_status import NOT_INJECTED, SYNCING, UNKNOWN, ArtifactStatus, is_new_outcome
from controller.reconcile.outcome import (
    NOT_INJECTED_REASONS,
    has_collection_ended,
    is_cut_off,
    sidecar_summary,
)
from controller.reconcile.pod import Pod
from controller.reconcile.sidecar_health import crash_reason

OTHER = "other"

# Every state that is counted, with all its reasons.
RESULTS: Mapping[str, tuple[str, ...]] = {
    "sealed": ("none", "over_limit"),
    "empty": ("none", "excluded"),
    "rejected": ("over_limit",),
    "incomplete": (
        *("interrupted", "not_started"),
        *(reason for reason in REASONS if reason in INCOMPLETE_REASONS),
        OTHER,
    ),
    UNKNOWN: ("vanished", "lost", "silent", "crashed", "overdue"),
    NOT_INJECTED: (*NOT_INJECTED_REASONS, OTHER),
}


@dataclass(frozen=True, slots=True)
class PodMetrics:
    """The metrics of one pod.

    `skipped` counts the files that were left out, by reason. `lag_seconds` is the time from main's end to the seal,
    and `grace_used` the share of the grace period that the last sync took; both are None if unknown. `group` is a group
    path or OTHER.
    """

    state: str
    reason: str
    group: str
    files: int = 0
    bytes: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    over_limit: bool = False
    lag_seconds: float | None = None
    grace_used: float | None = None


def must_count(before: ArtifactStatus | None, after: ArtifactStatus | None, pod: Pod | None) -> bool:
    """Whether `after`, which has just been written, must be counted now."""
    if after is None or (after.state, after.reason) != (NOT_INJECTED, "start"):
        return is_new_outcome(before, after)
    is_recreated = pod is not None and pod.uid == after.pod_uid and not pod.has_sidecar
    return is_recreated and (before is None or before.pod_uid != after.pod_uid)


def pod_metrics(artifact: ArtifactStatus, pod: Pod | None, group: str) -> PodMetrics:
    """Return the metrics of the artifact's pod. `pod` is the job's current pod; `group` is the name in the spec."""
    own = pod if pod and pod.uid == artifact.pod_uid else None
    summary = sidecar_summary(own) if own and artifact.state not in (UNKNOWN, NOT_INJECTED) else {}
    lag = _lag_seconds(summary, own) if own and summary else None
    return PodMetrics(
        artifact.state,
        _reason(artifact, own, summary),
        group_label(group),
        artifact.files,
        artifact.bytes,
        summary.get("skipped", {}),
        summary.get("limitExceeded") is True,
        lag if summary.get("sealed") else None,
        None if lag is None or own is None else lag / max(1, own.grace_seconds),
    )


def group_label(group: str) -> str:
    """Return the group's path, or OTHER if the name is invalid."""
    try:
        return group_path(group)
    except InvalidName:
        return OTHER


def _lag_seconds(summary: Mapping[str, Any], pod: Pod) -> float | None:
    if "lagSeconds" in summary or not summary.get("sealed"):
        return summary.get("lagSeconds")
    if pod.main.finished_at is None or pod.sidecar.finished_at is None:
        return None
    return max(0.0, pod.sidecar.finished_at - pod.main.finished_at)


def _reason(artifact: ArtifactStatus, pod: Pod | None, summary: Mapping[str, Any]) -> str:
    if artifact.state == NOT_INJECTED:
        return artifact.reason if artifact.reason in NOT_INJECTED_REASONS else OTHER
    if artifact.state == UNKNOWN:
        return _unknown_reason(pod)
    if artifact.state == "incomplete":
        return _incomplete_reason(pod, summary)
    if artifact.state == "rejected" or (artifact.state == "sealed" and summary.get("limitExceeded")):
        return "over_limit"
    return "excluded" if artifact.state == "empty" and summary.get("skipped", {}).get("excluded") else "none"


def _unknown_reason(pod: Pod | None) -> str:
    if pod is None or is_cut_off(pod):
        return "vanished"
    if not has_collection_ended(pod):
        return "overdue"
    if pod.sidecar.is_lost:
        return "lost"
    return "crashed" if crash_reason(pod) else "silent"


def _incomplete_reason(pod: Pod | None, summary: Mapping[str, Any]) -> str:
    skipped = {reason: files for reason, files in summary.get("skipped", {}).items() if reason in INCOMPLETE_REASONS}
    if summary.get("sealed"):
        return max(skipped, key=lambda reason: skipped[reason], default=OTHER)
    if "lagSeconds" in summary:  # the sidecar ended by itself, but its last sync was not complete
        return "store_error" if "store_error" in skipped else "not_reached"
    has_only_waited = summary.get("state") != SYNCING and pod is not None and pod.sidecar.exit_code == 0
    return "not_started" if has_only_waited else "interrupted"
