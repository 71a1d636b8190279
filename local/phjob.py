"""The PhJob of a job on one machine: a document in the form of the custom resource. Pure.

Phases and reasons are PrimeHub's. How main ended decides them, never how its artifacts fared.
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


@dataclass(frozen=True)
class MainEnd:
    """How main ended: its exit code, or the signal that killed it (then `exit_code` is None)."""

    exit_code: int | None
    signal: int | None = None

    @classmethod
    def of(cls, returncode: int) -> "MainEnd":
        """From `Popen.returncode`, where a signal is negative."""
        return cls(returncode) if returncode >= 0 else cls(None, -returncode)

    @property
    def shell_code(self) -> int:
        """What a shell makes of it: the exit code, or 128 + signal."""
        return 128 + self.signal if self.signal is not None else self.exit_code or 0

    @property
    def words(self) -> str:
        if self.signal is None:
            return f"exit code {self.exit_code}"
        return f"killed by signal {self.signal} ({_signal_name(self.signal)})"

    def status(self, reason: str) -> dict[str, Any]:
        """What the sidecar is told of it."""
        ending = {"exitCode": self.exit_code} if self.signal is None else {"signal": self.signal}
        return {**ending, "reason": reason}


@dataclass(frozen=True)
class Order:
    """What is to be run: `command` is main's argument vector, `user` the name of who runs it.

    `queued`: its PhJob is there already, and nobody waits to hear what main says. `deadline_seconds`: how long main
    may run.
    """

    job: str
    group: str
    uid: str
    user: str
    command: Sequence[str]
    queued: bool = False
    deadline_seconds: int | None = None


def make_phjob(order: Order, now: float) -> PhJob:
    """The PhJob as it is created, at phase Pending. `now` is in UNIX seconds."""
    return {
        "apiVersion": "primehub.io/v1alpha1",
        "kind": "PhJob",
        "metadata": {
            "name": order.job,
            "uid": order.uid,
            "creationTimestamp": rfc3339(now),
            "labels": {"app": "primehub-job", "primehub.io/group": group_path(order.group)},
        },
        "spec": {
            "displayName": order.job,
            "userId": order.user,
            "userName": order.user,
            "groupId": order.group,
            "groupName": order.group,
            "instanceType": "",
            "image": "",
            "command": command_text(order.command),
        },
        "status": {"phase": "Pending", "reason": "PodPending", "message": "", "podName": order.job},
    }


def with_status(phjob: PhJob, fields: Mapping[str, Any]) -> PhJob:
    """A copy of the PhJob with `fields` in its status; the others stay."""
    return {**phjob, "status": {**(phjob.get("status") or {}), **fields}}


def running_status(now: float) -> dict[str, Any]:
    return {"phase": "Running", "reason": "PodRunning", "startTime": rfc3339(now)}


def end_status(end: MainEnd, ended_by: Literal["itself", "cancel", "deadline"], now: float) -> dict[str, Any]:
    """The status' fields once main has ended, at `now`."""
    phase, reason = "Failed", "PodFailed"
    if ended_by == "cancel":
        phase, reason = "Cancelled", "Cancelled"
    elif ended_by == "deadline":
        reason = "OverActivateDeadline"  # PrimeHub's spelling
    elif end.exit_code == 0:
        phase, reason = "Succeeded", "PodSucceeded"
    return _end(phase, reason, f"main ended: {end.words}", now)


def withdrawn_status(now: float) -> dict[str, Any]:
    """Of a job that was cancelled before it ran."""
    return _end("Cancelled", "Cancelled", "cancelled before it was started", now)


def lost_status(now: float) -> dict[str, Any]:
    """Of a job whose runner has gone. Failed and not Unknown, as it will never be known better."""
    message = "its runner is gone, killed or ended with the machine; artifacts are as they were then"
    return _end("Failed", "PodUnknown", message, now)


def artifact_status(report: Report) -> dict[str, Any]:
    """What the PhJob tells of its artifacts."""
    return {
        "state": report.state,
        "files": report.collected.files + report.in_place.files,
        "bytes": report.collected.bytes + report.in_place.bytes,
        "expiredAt": report.expired_at,
    }


def command_text(command: Sequence[str]) -> str:
    """The command as PrimeHub's `spec.command` has it, a text for the shell."""
    return command[0] if len(command) == 1 else shlex.join(command)


def rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _end(phase: str, reason: str, message: str, now: float) -> dict[str, Any]:
    return {"phase": phase, "reason": reason, "message": message, "finishTime": rfc3339(now)}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a real-time signal"
