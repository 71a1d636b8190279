"""The scheduler's actions for jobs in every state, and the validation of PhJob files."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from artifacts.errors import ArtifactError
from local.queue import QueuedJob, RunnerState, plan_actions, read_phjob


def phjob(name: str = "a", phase: str | None = None, cancel: bool = False, created: str = "") -> dict[str, Any]:
    """Return the content of a PhJob file."""
    return {
        "metadata": {"name": name, "uid": "uid-1", "creationTimestamp": created},
        "spec": {"groupName": "g", "command": "true", "userName": "ann", "cancel": cancel},
        "status": {"phase": phase},
    }


def job(name: str, phase: str = "Pending", runner: RunnerState = "none", **more: Any) -> tuple[QueuedJob, RunnerState]:
    """Return a queued job and the state of its runner."""
    return read_phjob(name, phjob(name, phase, **more)), runner


FINAL_PHASES = ("Succeeded", "Failed", "Cancelled", "Unknown", "no such phase")


@pytest.mark.parametrize(
    ("phase", "runner", "cancel", "action"),
    [
        ("Pending", "none", False, "start"),
        ("Pending", "none", True, "mark_cancelled"),
        ("Running", "abandoned", False, "mark_failed"),
        ("Running", "abandoned", True, "mark_failed"),
        ("Running", "none", False, "mark_failed"),  # its folder was removed
        ("Pending", "abandoned", False, "mark_failed"),  # killed before it could set phase Running
        ("Pending", "abandoned", True, "mark_failed"),
        *((phase, runner, True, None) for phase in ("Pending", "Running") for runner in ("claimed", "running")),
        *(
            (phase, runner, True, None)
            for phase in FINAL_PHASES
            for runner in ("none", "claimed", "running", "abandoned")
        ),
    ],
)
def test_action_for_a_job_without_own_runner(phase: str, runner: RunnerState, cancel: bool, action: str | None) -> None:
    expected = {"a": action} if action else {}
    assert plan_actions([job("a", phase, runner, cancel=cancel)], (), (), 1) == expected


@pytest.mark.parametrize("runner", ["none", "claimed", "running", "abandoned"])
@pytest.mark.parametrize(
    ("phase", "cancel", "signalled", "action"),
    [
        ("Pending", False, (), None),
        ("Running", False, (), None),
        ("Pending", True, (), "cancel"),
        ("Running", True, (), "cancel"),
        ("Running", True, ("a",), None),
        ("Succeeded", True, (), None),
    ],
)
def test_action_for_a_job_with_own_runner(
    phase: str, runner: RunnerState, cancel: bool, signalled: Collection[str], action: str | None
) -> None:
    expected = {"a": action} if action else {}
    assert plan_actions([job("a", phase, runner, cancel=cancel)], ("a",), signalled, 1) == expected


@pytest.mark.parametrize(
    ("max_jobs", "own", "started"),
    [(1, (), "b"), (2, (), "bd"), (9, (), "bdca"), (2, ("x",), "b"), (2, ("x", "y"), ""), (1, ("x", "y"), "")],
)
def test_oldest_jobs_start_first_up_to_the_limit(max_jobs: int, own: Collection[str], started: str) -> None:
    times = {"a": "2026-01-02T00:00:00Z", "b": "", "c": "2026-01-01T00:00:01Z", "d": "2026-01-01T00:00:00Z"}
    assert "".join(plan_actions([job(name, created=at) for name, at in times.items()], own, (), max_jobs)) == started


def test_jobs_of_the_same_second_start_in_the_given_order() -> None:
    assert list(plan_actions([job(name) for name in "bca"], (), (), 9)) == ["b", "c", "a"]


def test_limit_delays_only_starts() -> None:
    jobs = [job("a"), job("b", cancel=True), job("c", "Running", "abandoned"), job("x", "Running", cancel=True)]
    assert plan_actions(jobs, ("x",), (), 1) == {"b": "mark_cancelled", "c": "mark_failed", "x": "cancel"}


def test_phjob_is_read() -> None:
    document = phjob(phase="Running", cancel=True, created="2026")
    queued = read_phjob("a", document)
    spec = queued.spec
    assert (spec.job, spec.group, spec.uid, spec.user, spec.command) == ("a", "g", "uid-1", "ann", ["true"])
    assert spec.is_queued
    assert (queued.phase, queued.is_cancelled, queued.created_at) == ("Running", True, "2026")
    assert queued.document is document


@pytest.mark.parametrize("status", [None, {}, {"phase": None}, {"phase": ""}])
def test_missing_phase_means_pending(status: object) -> None:
    assert read_phjob("a", phjob() | {"status": status}).phase == "Pending"


@pytest.mark.parametrize("cancel", ["true", 1, None, "", [True]])
def test_only_true_cancels(cancel: object) -> None:
    document = phjob()
    document["spec"]["cancel"] = cancel
    assert not read_phjob("a", document).is_cancelled


INVALID: dict[tuple[str, str], list[object]] = {
    ("metadata", "name"): [None, "b", 1, "A", "../a"],
    ("metadata", "uid"): ["a b", "x" * 65, 1, "a\n"],
    ("metadata", "creationTimestamp"): [1, [], "\0"],
    ("spec", "groupName"): [None, "", "../g", 1, "g" * 64, ["g"]],
    ("spec", "command"): [None, "", " \n", 1, ["true"], "a\0b", "\ud800"],
    ("spec", "userName"): [1, {}, "a\0b", "\udcff"],
    ("status", "phase"): [7, ["Pending"]],
}


@pytest.mark.parametrize(
    ("section", "field", "value"), [(*path, value) for path, values in INVALID.items() for value in values]
)
def test_invalid_phjob_is_rejected(section: str, field: str, value: object) -> None:
    document = phjob()
    document[section][field] = value
    with pytest.raises(ArtifactError):
        read_phjob("a", document)


@pytest.mark.parametrize("section", ["metadata", "spec", "status"])
@pytest.mark.parametrize("value", ["x", 1, [], True])
def test_section_that_is_not_an_object_is_rejected(section: str, value: object) -> None:
    with pytest.raises(ArtifactError):
        read_phjob("a", phjob() | {section: value})


@pytest.mark.parametrize("name", ["", ".", "..", "A", "a/b", "-a", "a\nb", "é"])
def test_invalid_file_name_is_rejected(name: str) -> None:
    with pytest.raises(ArtifactError):
        read_phjob(name, json.loads(json.dumps(phjob(name))))
