"""The PhJob's phase, reason and message, and the runner's exit code, for each way in which main can end."""

from typing import Literal

import pytest

from local.phjob import JobSpec, MainExit, command_text, exit_status, make_phjob, running_status, with_status

SPEC = JobSpec("job-1", "My_Group", "uid-1", "ann", ["true"])


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
def test_phase_and_reason_depend_on_how_main_ended(
    returncode: int, ended_by: Literal["itself", "cancel", "deadline"], phase: str, reason: str
) -> None:
    status = exit_status(MainExit.from_returncode(returncode), ended_by, 0)
    assert (status["phase"], status["reason"]) == (phase, reason)
    assert status["finishTime"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("returncode", "code", "text", "status"),
    [
        (0, 0, "exit code 0", {"exitCode": 0}),
        (7, 7, "exit code 7", {"exitCode": 7}),
        (-9, 137, "killed by signal 9 (SIGKILL)", {"signal": 9}),
        (-40, 168, "killed by signal 40 (a real-time signal)", {"signal": 40}),
    ],
)
def test_main_exit_has_the_expected_forms(returncode: int, code: int, text: str, status: dict[str, int]) -> None:
    main_exit = MainExit.from_returncode(returncode)
    assert (main_exit.shell_code, main_exit.text) == (code, text)
    assert main_exit.status_file("PodFailed") == {**status, "reason": "PodFailed"}


def test_new_phjob_is_pending_and_then_running() -> None:
    created = make_phjob(SPEC, 1.9)
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
    assert created["status"]["phase"] == "Pending", "with_status returns a copy"


@pytest.mark.parametrize(
    ("command", "text"), [(["a; b 'c'"], "a; b 'c'"), (["a", "b c", "$d"], "a 'b c' '$d'"), (["a"], "a")]
)
def test_command_is_stored_as_a_shell_command_line(command: list[str], text: str) -> None:
    assert command_text(command) == text
