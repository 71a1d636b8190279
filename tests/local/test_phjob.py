"""The PhJob's phases and reasons follow how main ended, and how a shell would put it."""

from typing import Literal

import pytest

from local.phjob import MainEnd, Order, command_text, end_status, make_phjob, running_status, with_status

ORDER = Order("job-1", "My_Group", "uid-1", "ann", ["true"])


@pytest.mark.parametrize(
    ("returncode", "ended_by", "phase", "reason"),
    [
        (0, "itself", "Succeeded", "PodSucceeded"),
        (1, "itself", "Failed", "PodFailed"),
        (-9, "itself", "Failed", "PodFailed"),
        (0, "cancel", "Cancelled", "Cancelled"),
        (-15, "cancel", "Cancelled", "Cancelled"),
        (0, "deadline", "Failed", "OverActivateDeadline"),
        (-15, "deadline", "Failed", "OverActivateDeadline"),
    ],
)
def test_phase_and_reason_follow_main(
    returncode: int, ended_by: Literal["itself", "cancel", "deadline"], phase: str, reason: str
) -> None:
    status = end_status(MainEnd.of(returncode), ended_by, 0)
    assert (status["phase"], status["reason"]) == (phase, reason)
    assert status["finishTime"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("returncode", "code", "words", "told"),
    [
        (0, 0, "exit code 0", {"exitCode": 0}),
        (7, 7, "exit code 7", {"exitCode": 7}),
        (-9, 137, "killed by signal 9 (SIGKILL)", {"signal": 9}),
        (-40, 168, "killed by signal 40 (a real-time signal)", {"signal": 40}),
    ],
)
def test_how_main_ended_is_told_in_every_form(returncode: int, code: int, words: str, told: dict[str, int]) -> None:
    end = MainEnd.of(returncode)
    assert (end.shell_code, end.words) == (code, words)
    assert end.status("PodFailed") == {**told, "reason": "PodFailed"}


def test_a_phjob_is_pending_then_running() -> None:
    created = make_phjob(ORDER, 1.9)
    assert created["status"] == {
        "phase": "Pending",
        "reason": "PodPending",
        "message": "",
        "podName": "job-1",
    }
    assert created["metadata"]["creationTimestamp"] == "1970-01-01T00:00:01Z"
    running = with_status(created, running_status(60))
    assert running["status"] == created["status"] | {
        "phase": "Running",
        "reason": "PodRunning",
        "startTime": "1970-01-01T00:01:00Z",
    }
    assert created["status"]["phase"] == "Pending", "it is a copy"


@pytest.mark.parametrize(
    ("command", "text"), [(["a; b 'c'"], "a; b 'c'"), (["a", "b c", "$d"], "a 'b c' '$d'"), (["a"], "a")]
)
def test_the_command_is_kept_as_a_text_for_the_shell(command: list[str], text: str) -> None:
    assert command_text(command) == text
