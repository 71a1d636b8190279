"""What is done about the PhJobs found, as a table; and what of a PhJob's file is taken at its word."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from artifacts.errors import ArtifactError
from local.queue import Filed, Trace, decide, read_phjob


def phjob(name: str = "a", phase: str | None = None, cancel: bool = False, created: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": "uid-1", "creationTimestamp": created},
        "spec": {"groupName": "g", "command": "true", "userName": "ann", "cancel": cancel},
        "status": {"phase": phase},
    }


def found(name: str, phase: str = "Pending", trace: Trace = "none", **more: Any) -> tuple[Filed, Trace]:
    return read_phjob(name, phjob(name, phase, **more)), trace


ENDED = ("Succeeded", "Failed", "Cancelled", "Unknown", "no such phase")


@pytest.mark.parametrize(
    ("phase", "trace", "cancel", "action"),
    [
        ("Pending", "none", False, "start"),
        ("Pending", "none", True, "withdraw"),
        ("Running", "left", False, "fail"),
        ("Running", "left", True, "fail"),
        ("Running", "none", False, "fail"),  # its folder was removed
        ("Pending", "left", False, "fail"),  # killed before it could say that it runs
        ("Pending", "left", True, "fail"),
        *((phase, trace, True, None) for phase in ("Pending", "Running") for trace in ("claimed", "running")),
        *((phase, trace, True, None) for phase in ENDED for trace in ("none", "claimed", "running", "left")),
    ],
)
def test_what_is_done_about_a_job_that_is_not_ours(phase: str, trace: Trace, cancel: bool, action: str | None) -> None:
    expected = {"a": action} if action else {}
    assert decide([found("a", phase, trace, cancel=cancel)], (), (), 1) == expected


@pytest.mark.parametrize("trace", ["none", "claimed", "running", "left"])
@pytest.mark.parametrize(
    ("phase", "cancel", "told", "action"),
    [
        ("Pending", False, (), None),
        ("Running", False, (), None),
        ("Pending", True, (), "cancel"),
        ("Running", True, (), "cancel"),
        ("Running", True, ("a",), None),
        ("Succeeded", True, (), None),
    ],
)
def test_what_is_done_about_a_job_whose_runner_is_ours(
    phase: str, trace: Trace, cancel: bool, told: Collection[str], action: str | None
) -> None:
    expected = {"a": action} if action else {}
    assert decide([found("a", phase, trace, cancel=cancel)], ("a",), told, 1) == expected


@pytest.mark.parametrize(
    ("most", "own", "started"),
    [(1, (), "b"), (2, (), "bd"), (9, (), "bdca"), (2, ("x",), "b"), (2, ("x", "y"), ""), (1, ("x", "y"), "")],
)
def test_the_oldest_are_started_first_and_no_more_than_allowed(most: int, own: Collection[str], started: str) -> None:
    times = {"a": "2026-01-02T00:00:00Z", "b": "", "c": "2026-01-01T00:00:01Z", "d": "2026-01-01T00:00:00Z"}
    assert "".join(decide([found(name, created=at) for name, at in times.items()], own, (), most)) == started


def test_jobs_of_one_second_are_started_in_the_order_given() -> None:
    assert list(decide([found(name) for name in "bca"], (), (), 9)) == ["b", "c", "a"]


def test_where_no_more_may_run_the_rest_is_done_all_the_same() -> None:
    jobs = [found("a"), found("b", cancel=True), found("c", "Running", "left"), found("x", "Running", cancel=True)]
    assert decide(jobs, ("x",), (), 1) == {"b": "withdraw", "c": "fail", "x": "cancel"}


def test_what_is_read_of_a_phjob() -> None:
    document = phjob(phase="Running", cancel=True, created="2026")
    filed = read_phjob("a", document)
    order = filed.order
    assert (order.job, order.group, order.uid, order.user, order.command) == ("a", "g", "uid-1", "ann", ["true"])
    assert order.queued
    assert (filed.phase, filed.cancel, filed.created) == ("Running", True, "2026")
    assert filed.document is document


@pytest.mark.parametrize("status", [None, {}, {"phase": None}, {"phase": ""}])
def test_a_phjob_without_a_phase_is_pending(status: object) -> None:
    assert read_phjob("a", phjob() | {"status": status}).phase == "Pending"


@pytest.mark.parametrize("cancel", ["true", 1, None, "", [True]])
def test_only_true_cancels(cancel: object) -> None:
    document = phjob()
    document["spec"]["cancel"] = cancel
    assert not read_phjob("a", document).cancel


USELESS: dict[tuple[str, str], list[object]] = {
    ("metadata", "name"): [None, "b", 1, "A", "../a"],
    ("metadata", "uid"): ["a b", "x" * 65, 1, "a\n"],
    ("metadata", "creationTimestamp"): [1, [], "\0"],
    ("spec", "groupName"): [None, "", "../g", 1, "g" * 64, ["g"]],
    ("spec", "command"): [None, "", " \n", 1, ["true"], "a\0b", "\ud800"],
    ("spec", "userName"): [1, {}, "a\0b", "\udcff"],
    ("status", "phase"): [7, ["Pending"]],
}


@pytest.mark.parametrize(
    ("part", "field", "value"), [(*at, value) for at, values in USELESS.items() for value in values]
)
def test_a_phjob_that_cannot_be_used_is_refused(part: str, field: str, value: object) -> None:
    document = phjob()
    document[part][field] = value
    with pytest.raises(ArtifactError):
        read_phjob("a", document)


@pytest.mark.parametrize("part", ["metadata", "spec", "status"])
@pytest.mark.parametrize("value", ["x", 1, [], True])
def test_a_part_that_is_no_object_is_refused(part: str, value: object) -> None:
    with pytest.raises(ArtifactError):
        read_phjob("a", phjob() | {part: value})


@pytest.mark.parametrize("name", ["", ".", "..", "A", "a/b", "-a", "a\nb", "é"])
def test_a_file_that_cannot_be_named_for_a_job_is_refused(name: str) -> None:
    with pytest.raises(ArtifactError):
        read_phjob(name, json.loads(json.dumps(phjob(name))))
