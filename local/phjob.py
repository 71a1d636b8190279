"""The PhJob of a local job: a document in the form of the custom resource. Pure.

Phases and reasons are PrimeHub's. They depend only on how main ended, not on its artifacts.
"""

import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from artifacts.names import group_path
from artifacts.report import Report

PhJob = dict[str, Any]

EXIT_MESSAGE_PREFIX = "main ended: "  # as in the controller's messages; the page recognizes it


@dataclass(frozen=True)
class MainExit:
    """How main ended: its exit code, or the signal that killed it (then `exit_code` is None)."""

    exit_code: int | None
    signal: int | None = None

    @classmethod
    def from_returncode(cls, returncode: int) -> "MainExit":
        """Convert `Popen.returncode`, which is negative for a signal."""
        return cls(returncode) if returncode >= 0 else cls(None, -returncode)

    @property
    def shell_code(self) -> int:
        """The exit code that a shell reports: main's own, or 128 + signal."""
        return 128 + self.signal if self.signal is not None else self.exit_code or 0

    @property
    def text(self) -> str:
        """A description for people."""
        if self.signal is None:
            return f"exit code {self.exit_code}"
        return f"killed by signal {self.signal} ({_signal_name(self.signal)})"

    def status_file(self, reason: str) -> dict[str, Any]:
        """Return the content of the file PHJOB_ARTIFACT_MAIN_STATUS, which the sidecar copies into its report."""
        ending = {"exitCode": self.exit_code} if self.signal is None else {"signal": self.signal}
        return {**ending, "reason": reason}


@dataclass(frozen=True)
class JobSpec:
    """A job to run. `command` is main's argument vector, `user` the name of the user who runs it.

    `is_queued`: the PhJob's file exists already, and main's output goes to a log file. `deadline_seconds`: maximum run
    time of main.
    """

    job: str
    group: str
    uid: str
    user: str
    command: Sequence[str]
    is_queued: bool = False
    deadline_seconds: int | None = None


def make_phjob(spec: JobSpec, now: float) -> PhJob:
    """Return a new PhJob in phase Pending. `now` is in UNIX seconds."""
    return {
        "apiVersion": "primehub.io/v1alpha1",
        "kind": "PhJob",
        "metadata": {
            "name": spec.job,
            "uid": spec.uid,
            "creationTimestamp": rfc3339(now),
            "labels": {"app": "primehub-job", "primehub.io/group": group_path(spec.group)},
        },
        "spec": {
            "displayName": spec.job,
            "userId": spec.user,
            "userName": spec.user,
            "groupId": spec.group,
            "groupName": spec.group,
            "instanceType": "",
            "image": "",
            "command": command_text(spec.command),
        },
        "status": {"phase": "Pending", "reason": "PodPending", "message": "", "podName": spec.job},
    }


def with_status(phjob: PhJob, fields: Mapping[str, Any]) -> PhJob:
    """Return a copy of the PhJob with `fields` updated in its status."""
    return {**phjob, "status": {**(phjob.get("status") or {}), **fields}}


def running_status(now: float) -> dict[str, Any]:
    """Return the status fields of a job whose main started at `now` (UNIX seconds)."""
    return {"phase": "Running", "reason": "PodRunning", "startTime": rfc3339(now)}


def exit_status(main: MainExit, ended_by: Literal["itself", "cancel", "deadline"], now: float) -> dict[str, Any]:
    """Return the status fields of a job whose main ended at `now` (UNIX seconds)."""
    phase, reason = "Failed", "PodFailed"
    if ended_by == "cancel":
        phase, reason = "Cancelled", "Cancelled"
    elif ended_by == "deadline":
        reason = "OverActivateDeadline"  # PrimeHub's spelling
    elif main.exit_code == 0:
        phase, reason = "Succeeded", "PodSucceeded"
    return _final_status(phase, reason, EXIT_MESSAGE_PREFIX + main.text, now)


def cancelled_in_queue_status(now: float) -> dict[str, Any]:
    """Return the status fields of a job that was cancelled before it started."""
    return _final_status("Cancelled", "Cancelled", "cancelled before it started", now)


def runner_lost_status(now: float) -> dict[str, Any]:
    """Return the status fields of a job whose runner died. Failed, not Unknown, because this status is final."""
    message = (
        "the process that ran the job was killed, or the machine was restarted; "
        "only artifacts that were collected before are in the store"
    )
    return _final_status("Failed", "PodUnknown", message, now)


def artifact_status(report: Report) -> dict[str, Any]:
    """Return the PhJob's `status.artifact`."""
    return {
        "state": report.state,
        "files": report.collected.files + report.in_place.files,
        "bytes": report.collected.bytes + report.in_place.bytes,
        "expiredAt": report.expired_at,
    }


def command_text(command: Sequence[str]) -> str:
    """Return the command as PrimeHub's `spec.command`, which is a shell command line."""
    return command[0] if len(command) == 1 else shlex.join(command)


def rfc3339(seconds: float) -> str:
    """Format UNIX seconds as an RFC 3339 timestamp in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _final_status(phase: str, reason: str, message: str, now: float) -> dict[str, Any]:
    return {"phase": phase, "reason": reason, "message": message, "finishTime": rfc3339(now)}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"
