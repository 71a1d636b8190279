"""What is counted of a pod, and that it is counted once."""

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from artifacts.report import INCOMPLETE_REASONS, REASONS
from controller.reconcile.artifact import ALL_STATES, PENDING, Artifact
from controller.reconcile.counted import OTHER, RESULTS, Counted, count, group_label, is_counted
from controller.reconcile.metrics import ReconcilerMetrics
from controller.reconcile.outcome import NOT_INJECTED_REASONS, next_artifact
from controller.reconcile.pod import Pod
from tests.controller.cluster import NOW, POD_UID, SETTINGS, ended, lost, pod, running, summary

FINISHED: Mapping[str, Any] = {"main": ended(), "phase": "Succeeded"}
LATE = {"sealed": False, "lagSeconds": 20}


def finished(state: str, code: int = 0, **told: Any) -> Pod:
    """A pod that has ended, whose sidecar said so."""
    return pod(**FINISHED, sidecar=ended(code, at=NOW + 14, message=summary(state, **told)))


def counted(found: Pod | None, before: Artifact | None = None) -> Counted:
    artifact = next_artifact(before, found, SETTINGS, NOW + 20)
    assert artifact is not None
    return count(artifact, found, "Team_A")


CASES = {
    "all is there": (finished("sealed"), "sealed", "none"),
    "past a limit, what fits": (finished("sealed", limitExceeded=True), "sealed", "over_limit"),
    "past a limit, nothing": (finished("rejected", limitExceeded=True), "rejected", "over_limit"),
    "nothing there": (finished("empty"), "empty", "none"),
    "nothing wanted": (finished("empty", skipped={"excluded": 3}), "empty", "excluded"),
    "killed between two syncs": (finished("syncing", 137), "incomplete", "interrupted"),
    "killed in its last sync": (finished("incomplete", 137), "incomplete", "interrupted"),
    "wrong settings": (finished("incomplete", 0), "incomplete", "not_started"),
    "out of time": (finished("incomplete", **LATE), "incomplete", "not_reached"),
    "store away": (finished("incomplete", **LATE, skipped={"store_error": 1}), "incomplete", "store_error"),
    "most files": (
        finished("incomplete", sealed=True, skipped={"unreadable": 2, "outside_volumes": 3, "excluded": 9}),
        "incomplete",
        "outside_volumes",
    ),
    "too many to look at": (finished("incomplete", sealed=True), "incomplete", "other"),
    "no word": (pod(**FINISHED, sidecar=ended(137)), "unknown", "silent"),
    "crashed": (pod(**FINISHED, sidecar=ended(1)), "unknown", "crashed"),
    "evicted, lost sight of": (pod(main=ended(137), phase="Failed", sidecar=lost()), "unknown", "lost"),
    "holds its pod": (pod(main=ended(at=NOW - 170), sidecar=running(), phase="Running"), "unknown", "overdue"),
    "no webhook": (pod(), "not-injected", "webhook"),
    "no phfs": (pod(annotations={"primehub.io/artifact-sidecar": "no-phfs"}), "not-injected", "no-phfs"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_end_has_its_reason(case: str) -> None:
    found, state, reason = CASES[case]
    told = counted(found)
    assert (told.state, told.reason) == (state, reason)
    assert reason in RESULTS[state]


def test_a_pod_that_was_gone_is_counted_as_vanished() -> None:
    told = counted(None, Artifact("syncing", POD_UID))
    assert (told.state, told.reason) == ("unknown", "vanished")


def test_every_state_that_is_final_is_counted_with_every_reason_there_is() -> None:
    assert RESULTS.keys() == ALL_STATES.keys() - PENDING
    assert set(RESULTS["not-injected"]) == {*NOT_INJECTED_REASONS, OTHER}
    assert set(RESULTS["incomplete"]) >= INCOMPLETE_REASONS
    assert set(RESULTS["incomplete"]) - INCOMPLETE_REASONS == {"interrupted", "not_started", OTHER}


def test_files_lag_and_what_was_left_out_are_the_sidecars_word() -> None:
    told = counted(finished("sealed", lagSeconds=6, skipped={"broken_link": 2}, limitExceeded=True))
    assert told == Counted("sealed", "over_limit", "team-a", 2, 300, {"broken_link": 2}, True, 6.0, 0.05)


def test_without_the_sidecars_clock_the_kubelets_tells_the_lag() -> None:
    assert counted(finished("sealed")).lag_seconds == 4.0


def test_one_that_was_not_sealed_has_no_lag_but_has_used_its_grace_period() -> None:
    told = counted(finished("incomplete", **LATE))
    assert (told.lag_seconds, told.grace_used) == (None, 20 / 120)


def test_what_another_pod_said_counts_for_nothing() -> None:
    told = count(Artifact("unknown", "an earlier pod"), finished("sealed", lagSeconds=6), "a")
    assert told == Counted("unknown", "vanished", "a")


def test_names_that_no_group_can_have_are_other() -> None:
    assert [group_label(name) for name in ("Team_A", "", "a/b", "ü")] == ["team-a", OTHER, OTHER, OTHER]


START = Artifact("not-injected", POD_UID, reason="start")
SEALED = Artifact("sealed", POD_UID)
STUCK, WITHOUT = pod(sidecar=running()), pod(uid="second", annotations={"primehub.io/artifact-enabled": "false"})


def test_a_pod_that_is_made_anew_without_its_sidecar_is_counted_when_it_has_been() -> None:
    assert not is_counted(None, START, STUCK)
    again = Artifact("not-injected", "second", reason="start")
    assert is_counted(START, again, WITHOUT)
    assert not is_counted(again, again, WITHOUT)
    assert not is_counted(START, again, None)


def test_one_whose_sidecar_started_after_all_is_counted_as_what_it_comes_to() -> None:
    assert not is_counted(START, Artifact("syncing", POD_UID), STUCK)
    assert is_counted(Artifact("syncing", POD_UID), SEALED, STUCK)
    assert not is_counted(SEALED, SEALED, STUCK)
    assert not is_counted(SEALED, Artifact("expired", POD_UID, reason="sealed"), None)


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


def test_what_is_counted_is_shown(registry: CollectorRegistry) -> None:
    metrics = ReconcilerMetrics(registry)
    value = registry.get_sample_value
    assert value("phjob_artifact_results_total", {"state": "incomplete", "reason": "interrupted"}) == 0
    assert [value("phjob_artifact_skipped_files_total", {"reason": each}) for each in REASONS] == [0] * len(REASONS)
    metrics.count(Counted("sealed", "over_limit", "a", 2, 300, {"over_limit": 7}, True, 6.0, 0.05))
    metrics.count(Counted("unknown", "vanished", "a"))
    assert value("phjob_artifact_results_total", {"state": "sealed", "reason": "over_limit"}) == 1
    assert value("phjob_artifact_results_total", {"state": "unknown", "reason": "vanished"}) == 1
    assert value("phjob_artifact_collected_files_total") == 2
    assert value("phjob_artifact_collected_bytes_total") == 300
    assert value("phjob_artifact_skipped_files_total", {"reason": "over_limit"}) == 7
    assert value("phjob_artifact_over_limit_total") == 1
    assert (value("phjob_artifact_lag_seconds_count"), value("phjob_artifact_lag_seconds_sum")) == (1, 6)
    assert value("phjob_artifact_grace_used_ratio_sum") == 0.05
    assert groups_of(registry) == {}


def test_groups_begin_at_zero_when_they_are_seen_and_are_other_past_the_most(registry: CollectorRegistry) -> None:
    metrics = ReconcilerMetrics(registry, groups=2)
    metrics.know_group("a")
    metrics.know_group(OTHER)
    assert groups_of(registry) == {f"{group} {state}": 0.0 for group in ("a", OTHER) for state in RESULTS}
    for group in ("a", "b", "c", "d", OTHER):
        metrics.count(Counted("sealed", "none", group, 1, 10, over_limit=True))
    sealed = {name.split()[0]: value for name, value in groups_of(registry).items() if name.endswith("sealed")}
    assert sealed == {"a": 1.0, "b": 1.0, OTHER: 3.0}
    for name, total in (("collected_files", 3), ("collected_bytes", 30), ("over_limit", 3)):
        assert registry.get_sample_value(f"phjob_artifact_group_{name}_total", {"group": OTHER}) == total
