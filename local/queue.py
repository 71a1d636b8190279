"""Decides which queued PhJobs to start, cancel or mark as ended. Pure; `scheduler` performs the actions.

A PhJob's file may come from any program, so its content is validated as untrusted input.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from artifacts.errors import InvalidDocument
from artifacts.job_options import read_options
from artifacts.names import check_job_name, group_path
from local.phjob import JobSpec, PhJob

# No run folder; a run folder without a lock, because a runner is just creating it; a live runner; a dead runner.
RunnerState = Literal["none", "claimed", "running", "abandoned"]
# Start a runner; send SIGTERM to the runner; set phase Cancelled (never started); set phase Failed (runner lost).
Action = Literal["start", "cancel", "mark_cancelled", "mark_failed"]

_UID = re.compile(r"[0-9A-Za-z-]{0,64}")


@dataclass(frozen=True)
class QueuedJob:
    """A PhJob read from its file. `created_at`: a timestamp, or ""; `is_cancelled`: its spec asks to cancel it.

    `settings` are environment variables for the collector, from its annotations.
    """

    spec: JobSpec
    document: PhJob
    created_at: str
    phase: str
    is_cancelled: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        """Whether the job has not ended."""
        return self.phase in ("Pending", "Running")


def plan_actions(
    jobs: Iterable[tuple[QueuedJob, RunnerState]], own: Collection[str], signalled: Collection[str], max_jobs: int
) -> dict[str, Action]:
    """Return the action for each job that needs one, the oldest job first.

    `own`: the jobs whose runners this scheduler started and that still run; at most `max_jobs` may run.
    `signalled`: those of them that were sent SIGTERM already; a second one would kill main immediately.
    Jobs created in the same second stay in the given order.
    """
    actions: dict[str, Action] = {}
    free_slots = max_jobs - len(own)
    for job, runner in sorted(jobs, key=lambda item: item[0].created_at):
        name = job.spec.job
        action = _own_action(job, signalled) if name in own else _action(job, runner)
        if action == "start":
            free_slots -= 1
        if action and (action != "start" or free_slots >= 0):
            actions[name] = action
    return actions


def read_phjob(name: str, document: PhJob) -> QueuedJob:
    """Validate the content of the file `name`.json. Raises InvalidDocument and InvalidName."""
    metadata, spec, status = (_object(document, key) for key in ("metadata", "spec", "status"))
    if metadata.get("name") != check_job_name(name):
        raise InvalidDocument("metadata.name", "it differs from the file's name")
    group, command, uid = _text(spec, "groupName"), _text(spec, "command"), _text(metadata, "uid")
    group_path(group)
    if not command.strip():
        raise InvalidDocument("spec.command", "it is empty")
    if not _UID.fullmatch(uid):
        raise InvalidDocument("metadata.uid", "use at most 64 letters, digits and '-'")
    return QueuedJob(
        JobSpec(name, group, uid, _text(spec, "userName"), [command], True, _deadline_seconds(spec)),
        document,
        created_at=_text(metadata, "creationTimestamp"),
        phase=_text(status, "phase") or "Pending",
        is_cancelled=spec.get("cancel") is True,
        settings=read_options(_object(metadata, "annotations")),
    )


def _own_action(job: QueuedJob, signalled: Collection[str]) -> Action | None:
    return "cancel" if job.is_active and job.is_cancelled and job.spec.job not in signalled else None


def _action(job: QueuedJob, runner: RunnerState) -> Action | None:
    if not job.is_active or runner in ("claimed", "running"):
        return None
    if runner == "abandoned" or job.phase == "Running":
        return "mark_failed"
    return "mark_cancelled" if job.is_cancelled else "start"


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    if value is not None and not isinstance(value, dict):
        raise InvalidDocument(key, "it is not an object")
    return value or {}


def _deadline_seconds(spec: Mapping[str, Any]) -> int | None:
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and (type(seconds) is not int or not 1 <= seconds < 2**31):
        raise InvalidDocument("spec.activeDeadlineSeconds", "it is not a whole number of seconds from 1 to 2147483647")
    return seconds


def _text(values: Mapping[str, Any], key: str) -> str:
    """Return a text, or "" if it is missing. Raises InvalidDocument if a process could not take it as an argument."""
    text = values.get(key)
    try:
        if text is None or (isinstance(text, str) and b"\0" not in text.encode()):
            return text or ""
    except UnicodeEncodeError:
        pass
    raise InvalidDocument(key, "it is not valid text")
