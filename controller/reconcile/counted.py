"""What the metrics count of a pod: once, when it is certain what became of its artifacts. Pure.

A pod that is made anew without its sidecar is counted when it has been: the one before may start after all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artifacts.errors import InvalidName
from artifacts.names import group_path
from artifacts.report import INCOMPLETE_REASONS, REASONS
from controller.reconcile.artifact import NOT_INJECTED, SYNCING, UNKNOWN, Artifact, is_news
from controller.reconcile.outcome import NOT_INJECTED_REASONS, is_over, read_word
from controller.reconcile.pod import Pod
from controller.reconcile.sidecar import crash

OTHER = "other"

# Every state that is counted, with every reason that it may have.
RESULTS: Mapping[str, tuple[str, ...]] = {
    "sealed": ("none", "over_limit"),
    "empty": ("none", "excluded"),
    "rejected": ("over_limit",),
    "incomplete": ("interrupted", "not_started", *(each for each in REASONS if each in INCOMPLETE_REASONS), OTHER),
    UNKNOWN: ("vanished", "lost", "silent", "crashed", "overdue"),
    NOT_INJECTED: (*NOT_INJECTED_REASONS, OTHER),
}


@dataclass(frozen=True, slots=True)
class Counted:
    """One pod's. `skipped`: files left out by reason. `lag_seconds`: from main's end to the seal, `grace_used` the
    share of the grace period that the last sync took; None where that is not known. `group`: a group path, or OTHER."""

    state: str
    reason: str
    group: str
    files: int = 0
    bytes: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    over_limit: bool = False
    lag_seconds: float | None = None
    grace_used: float | None = None


def is_counted(before: Artifact | None, after: Artifact | None, pod: Pod | None) -> bool:
    """Whether `after`, which has just been written, is to be counted now."""
    if after is None or (after.state, after.reason) != (NOT_INJECTED, "start"):
        return is_news(before, after)
    is_made_anew = pod is not None and pod.uid == after.pod_uid and not pod.injected
    return is_made_anew and (before is None or before.pod_uid != after.pod_uid)


def count(artifact: Artifact, pod: Pod | None, group: str) -> Counted:
    """What is counted of it. `pod`: the job's, perhaps not that of the artifact; `group`: as users wrote it."""
    own = pod if pod and pod.uid == artifact.pod_uid else None
    word = read_word(own) if own and artifact.state not in (UNKNOWN, NOT_INJECTED) else {}
    lag = _lag(word, own) if own and word else None
    return Counted(
        artifact.state,
        _reason(artifact, own, word),
        group_label(group),
        artifact.files,
        artifact.bytes,
        word.get("skipped", {}),
        word.get("limitExceeded") is True,
        lag if word.get("sealed") else None,
        None if lag is None or own is None else lag / max(1, own.grace_seconds),
    )


def group_label(group: str) -> str:
    """The group's path, or OTHER for a name that no group can have."""
    try:
        return group_path(group)
    except InvalidName:
        return OTHER


def _lag(word: Mapping[str, Any], pod: Pod) -> float | None:
    if "lagSeconds" in word or not word.get("sealed"):
        return word.get("lagSeconds")
    if pod.main.finished_at is None or pod.sidecar.finished_at is None:
        return None
    return max(0.0, pod.sidecar.finished_at - pod.main.finished_at)


def _reason(artifact: Artifact, pod: Pod | None, word: Mapping[str, Any]) -> str:
    if artifact.state == NOT_INJECTED:
        return artifact.reason if artifact.reason in NOT_INJECTED_REASONS else OTHER
    if artifact.state == UNKNOWN:
        return _why_unknown(pod)
    if artifact.state == "incomplete":
        return _why_incomplete(pod, word)
    if artifact.state == "rejected" or (artifact.state == "sealed" and word.get("limitExceeded")):
        return "over_limit"
    return "excluded" if artifact.state == "empty" and word.get("skipped", {}).get("excluded") else "none"


def _why_unknown(pod: Pod | None) -> str:
    if pod is None:
        return "vanished"
    if not is_over(pod):
        return "overdue"
    if pod.sidecar.lost:
        return "lost"
    return "crashed" if crash(pod) else "silent"


def _why_incomplete(pod: Pod | None, word: Mapping[str, Any]) -> str:
    skipped = {reason: files for reason, files in word.get("skipped", {}).items() if reason in INCOMPLETE_REASONS}
    if word.get("sealed"):
        return max(skipped, key=lambda reason: skipped[reason], default=OTHER)
    if "lagSeconds" in word:  # it ended in time, but could not do all
        return "store_error" if "store_error" in skipped else "not_reached"
    has_waited = word.get("state") != SYNCING and pod is not None and pod.sidecar.exit_code == 0
    return "not_started" if has_waited else "interrupted"
