"""The queue's decisions: which PhJobs are started, cancelled or marked. Pure; `server` carries them out.

A PhJob's file may come from anywhere, so what is read of it is checked as hostile input is.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from artifacts.errors import InvalidDocument
from artifacts.names import check_job_name, group_path
from local.phjob import Order, PhJob

# What a job's folder tells: there is none; it is just being made; its runner lives; its runner is gone.
Trace = Literal["none", "claimed", "running", "left"]
# To a job: start its runner; send that SIGTERM; mark it Cancelled before it ran; mark it Failed without a runner.
Action = Literal["start", "cancel", "withdraw", "fail"]

_UID = re.compile(r"[0-9A-Za-z-]{0,64}")


@dataclass(frozen=True)
class Filed:
    """A PhJob as its file has it. `created`: its timestamp, or ""; `cancel`: somebody asked for its end."""

    order: Order
    document: PhJob
    created: str
    phase: str
    cancel: bool

    @property
    def is_open(self) -> bool:
        """Whether its end is still to come."""
        return self.phase in ("Pending", "Running")


def decide(
    found: Iterable[tuple[Filed, Trace]], own: Collection[str], told: Collection[str], most: int
) -> dict[str, Action]:
    """What is to be done now, by job: the oldest first, those of one second in the order given.

    `own`: the jobs whose runners this server has started and that have not ended; it has at most `most`.
    `told`: those among them that were sent SIGTERM; a second one would kill main at once.
    """
    actions: dict[str, Action] = {}
    free = most - len(own)
    for filed, trace in sorted(found, key=lambda each: each[0].created):
        job = filed.order.job
        action = _end_of(filed, told) if job in own else _action(filed, trace)
        if action == "start":
            free -= 1
        if action and (action != "start" or free >= 0):
            actions[job] = action
    return actions


def read_phjob(job: str, document: PhJob) -> Filed:
    """The PhJob in the file of that name. Raises InvalidDocument and InvalidName for what cannot be used."""
    metadata, spec, status = (_part(document, name) for name in ("metadata", "spec", "status"))
    if metadata.get("name") != check_job_name(job):
        raise InvalidDocument("metadata.name", "it is not the file's name")
    group, command, uid = _text(spec, "groupName"), _text(spec, "command"), _text(metadata, "uid")
    group_path(group)
    if not command.strip():
        raise InvalidDocument("spec.command", "it is empty")
    if not _UID.fullmatch(uid):
        raise InvalidDocument("metadata.uid", "it is no UID")
    return Filed(
        Order(job, group, uid, _text(spec, "userName"), [command], True, _deadline(spec)),
        document,
        created=_text(metadata, "creationTimestamp"),
        phase=_text(status, "phase") or "Pending",
        cancel=spec.get("cancel") is True,
    )


def _end_of(filed: Filed, told: Collection[str]) -> Action | None:
    return "cancel" if filed.is_open and filed.cancel and filed.order.job not in told else None


def _action(filed: Filed, trace: Trace) -> Action | None:
    if not filed.is_open or trace in ("claimed", "running"):
        return None
    if trace == "left" or filed.phase == "Running":
        return "fail"
    return "withdraw" if filed.cancel else "start"


def _part(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = document.get(name)
    if part is not None and not isinstance(part, dict):
        raise InvalidDocument(name, "it is no object")
    return part or {}


def _deadline(spec: Mapping[str, Any]) -> int | None:
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and (type(seconds) is not int or not 1 <= seconds < 2**31):
        raise InvalidDocument("spec.activeDeadlineSeconds", "it is no whole number of seconds from 1 on")
    return seconds


def _text(part: Mapping[str, Any], name: str) -> str:
    """The text, or "" where there is none; raises InvalidDocument for one that no process can be given."""
    text = part.get(name)
    try:
        if text is None or (isinstance(text, str) and b"\0" not in text.encode()):
            return text or ""
    except UnicodeEncodeError:
        pass
    raise InvalidDocument(name, "it is no text")
