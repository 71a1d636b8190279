"""The metrics of a pod, and when it is counted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from artifacts.report import INCOMPLETE_REASONS, REASONS
from controller.reconcile.artifact_status import ALL_STATES, PENDING, ArtifactStatus
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.outcome import NOT_INJECTED_REASONS, next_artifact_status
from controller.reconcile.pod import Pod
from controller.reconcile.pod_metrics import OTHER, RESULTS, PodMetrics, group_label, must_count, pod_metrics
from tests.controller.objects import NOW, POD_UID, SETTINGS, ended, lost, pod, running, summary

FINISHED: Mapping[str, Any] = {"main": ended(), "phase": "Succeeded"}
LATE = {"sealed": False, "lagSeconds": 20}


def finished(state: str, code: int = 0, **fields: Any) -> Pod:
    """Return a finished pod whose sidecar left a summary."""
    return pod(**FINISHED, sidecar=ended(code, at=NOW + 14, message=summary(state, **fields)))


def metrics_of(current: Pod | None, before: ArtifactStatus | None = None) -> PodMetrics:
    artifact = next_artifact_status(before, current, SETTINGS, NOW + 20)
    assert artifact is not None
    return pod_metrics(artifact, current, "Team_A")


CASES = {
    "all files collected": (finished("sealed"), "sealed", "none"),
    "over a limit, files that fit are collected": (finished("sealed", limitExceeded=True), "sealed", "over_limit"),
    "over a limit, nothing is collected": (finished("rejected", limitExceeded=True), "rejected", "over_limit"),
    "no files": (finished("empty"), "empty", "none"),
    "all files excluded": (finished("empty", skipped={"excluded": 3}), "empty", "excluded"),
    "killed between two syncs": (finished("syncing", 137), "incomplete", "interrupted"),
    "killed in its last sync": (finished("incomplete", 137), "incomplete", "interrupted"),
    "invalid settings": (finished("incomplete", 0), "incomplete", "not_started"),
    "no time left": (finished("incomplete", **LATE), "incomplete", "not_reached"),
    "store unavailable": (finished("incomplete", **LATE, skipped={"store_error": 1}), "incomplete", "store_error"),
    "reason of most files": (
        finished("incomplete", sealed=True, skipped={"unreadable": 2, "outside_volumes": 3, "excluded": 9}),
        "incomplete",
        "outside_volumes",
    ),
    "too many files to scan": (finished("incomplete", sealed=True), "incomplete", "other"),
    "no summary": (pod(**FINISHED, sidecar=ended(137)), "unknown", "silent"),
    "crashed": (pod(**FINISHED, sidecar=ended(1)), "unknown", "crashed"),
    "evicted, status lost": (pod(main=ended(137), phase="Failed", sidecar=lost()), "unknown", "lost"),
    "sidecar does not end": (
        pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running", deleting=NOW - 100),
        "unknown",
        "overdue",
    ),
    "deleted without a grace period": (
        replace(pod(main=running(), sidecar=running(), phase="Running"), is_gone=True),
        "unknown",
        "vanished",
    ),
    "no webhook": (pod(), "not-injected", "webhook"),
    "no phfs": (pod(annotations={"primehub.io/artifact-sidecar": "no-phfs"}), "not-injected", "no-phfs"),
}


@pytest.mark.parametrize("case", CASES)
def test_outcomes_have_reasons(case: str) -> None:
    finished_pod, state, reason = CASES[case]
    metrics = metrics_of(finished_pod)
    assert (metrics.state, metrics.reason) == (state, reason)
    assert reason in RESULTS[state]


def test_a_deleted_pod_is_counted_as_vanished() -> None:
    metrics = metrics_of(None, ArtifactStatus("syncing", POD_UID))
    assert (metrics.state, metrics.reason) == ("unknown", "vanished")


def test_all_final_states_and_reasons_are_counted() -> None:
    assert RESULTS.keys() == ALL_STATES.keys() - PENDING
    assert set(RESULTS["not-injected"]) == {*NOT_INJECTED_REASONS, OTHER}
    assert set(RESULTS["incomplete"]) >= INCOMPLETE_REASONS
    assert set(RESULTS["incomplete"]) - INCOMPLETE_REASONS == {"interrupted", "not_started", OTHER}


def test_files_lag_and_skipped_files_come_from_the_summary() -> None:
    metrics = metrics_of(finished("sealed", lagSeconds=6, skipped={"broken_link": 2}, limitExceeded=True))
    assert metrics == PodMetrics("sealed", "over_limit", "team-a", 2, 300, {"broken_link": 2}, True, 6.0, 0.05)


def test_the_lag_is_computed_from_the_kubelets_times_if_the_summary_has_none() -> None:
    assert metrics_of(finished("sealed")).lag_seconds == 4.0


def test_an_unsealed_pod_has_no_lag_but_a_used_grace_period() -> None:
    metrics = metrics_of(finished("incomplete", **LATE))
    assert (metrics.lag_seconds, metrics.grace_used) == (None, 20 / 120)


def test_another_pods_summary_is_not_counted() -> None:
    metrics = pod_metrics(ArtifactStatus("unknown", "an earlier pod"), finished("sealed", lagSeconds=6), "a")
    assert metrics == PodMetrics("unknown", "vanished", "a")


def test_invalid_group_names_are_labelled_other() -> None:
    assert [group_label(name) for name in ("Team_A", "", "a/b", "ü")] == ["team-a", OTHER, OTHER, OTHER]


START = ArtifactStatus("not-injected", POD_UID, reason="start")
SEALED = ArtifactStatus("sealed", POD_UID)
STUCK, WITHOUT = pod(sidecar=running()), pod(uid="second", annotations={"primehub.io/artifact-enabled": "false"})


def test_a_pod_recreated_without_its_sidecar_is_counted_after_the_recreation() -> None:
    assert not must_count(None, START, STUCK)
    recreated = ArtifactStatus("not-injected", "second", reason="start")
    assert must_count(START, recreated, WITHOUT)
    assert not must_count(recreated, recreated, WITHOUT)
    assert not must_count(START, recreated, None)


def test_a_sidecar_that_started_after_all_is_counted_by_its_outcome() -> None:
    assert not must_count(START, ArtifactStatus("syncing", POD_UID), STUCK)
    assert must_count(ArtifactStatus("syncing", POD_UID), SEALED, STUCK)
    assert not must_count(SEALED, SEALED, STUCK)
    assert not must_count(SEALED, ArtifactStatus("expired", POD_UID, reason="sealed"), None)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def groups_of(registry: CollectorRegistry) -> dict[str, float]:
    return {
        f"{sample.labels['group']} {sample.labels['state']}": sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "phjob_artifact_group_results_total"
    }


def test_counted_pods_appear_in_the_metrics(registry: CollectorRegistry) -> None:
    metrics = ReconcilerMetrics(registry)
    value = registry.get_sample_value
    assert value("phjob_artifact_results_total", {"state": "incomplete", "reason": "interrupted"}) == 0
    assert [value("phjob_artifact_skipped_files_total", {"reason": reason}) for reason in REASONS] == [0] * len(REASONS)
    metrics.count(PodMetrics("sealed", "over_limit", "a", 2, 300, {"over_limit": 7}, True, 6.0, 0.05))
    metrics.count(PodMetrics("unknown", "vanished", "a"))
    assert value("phjob_artifact_results_total", {"state": "sealed", "reason": "over_limit"}) == 1
    assert value("phjob_artifact_results_total", {"state": "unknown", "reason": "vanished"}) == 1
    assert value("phjob_artifact_collected_files_total") == 2
    assert value("phjob_artifact_collected_bytes_total") == 300
    assert value("phjob_artifact_skipped_files_total", {"reason": "over_limit"}) == 7
    assert value("phjob_artifact_over_limit_total") == 1
    assert (value("phjob_artifact_lag_seconds_count"), value("phjob_artifact_lag_seconds_sum")) == (1, 6)
    assert value("phjob_artifact_grace_used_ratio_sum") == 0.05
    assert groups_of(registry) == {}


def test_group_series_start_at_zero_and_groups_over_the_maximum_are_other(registry: CollectorRegistry) -> None:
    metrics = ReconcilerMetrics(registry, max_groups=2)
    metrics.add_group("a")
    metrics.add_group(OTHER)
    assert groups_of(registry) == {f"{group} {state}": 0.0 for group in ("a", OTHER) for state in RESULTS}
    for group in ("a", "b", "c", "d", OTHER):
        metrics.count(PodMetrics("sealed", "none", group, 1, 10, over_limit=True))
    sealed = {name.split()[0]: value for name, value in groups_of(registry).items() if name.endswith("sealed")}
    assert sealed == {"a": 1.0, "b": 1.0, OTHER: 3.0}
    for name, total in (("collected_files", 3), ("collected_bytes", 30), ("over_limit", 3)):
        assert registry.get_sample_value(f"phjob_artifact_group_{name}_total", {"group": OTHER}) == total
