"""When a job's artifacts expire, from all that is known of them. Pure; docs/retention.md is this module in words.

The expiry files lie where users can write: a value in them is bounded, and what is missing or unreadable says nothing.
A missing one means neither "for ever" nor "now".
"""

import re
from dataclasses import dataclass, replace

from api.retention.record import FOREVER, Record
from api.retention.term import Term

MAX_BYTES = 1024  # of an expiry file
EARLIEST = 946684800  # the year 2000: what is less is no date, but a duration, a zero, or a clock that was not set
SKEW_SECONDS = 300  # by which the clocks of the store, the cluster and this machine may differ

_NUMBER = re.compile(r"\d{1,30}(\.\d{1,30})?")


@dataclass(frozen=True)
class Rules:
    """The administrator's: default retention and most of it, in seconds."""

    retention: int
    maximum: int


@dataclass(frozen=True)
class Evidence:
    """What is known of one job's artifacts. Times are UNIX seconds.

    `running`: main has not ended. `end`: when it did, None where nobody knows. `record_problem`: why the record cannot
    be read. `said`: what each expiry file that was looked at says, None: nothing. `newest`: the newest change of a
    file (the expiry files do not count). `first_seen`: when the cleanup first saw the folder. `exists`: whether there
    is a folder. `removing`: its removal has begun, and may have ended.
    """

    running: bool = False
    end: float | None = None
    record: Record = Record()  # noqa: RUF009 (it is frozen)
    record_problem: str = ""
    said: tuple[float | None, ...] = ()
    newest: float | None = None
    first_seen: float | None = None
    exists: bool = True
    removing: bool = False


def read_expiry(content: bytes) -> float | None:
    """What an expiry file says: the latest of its lines, or None where any of them is no date."""
    if len(content) > MAX_BYTES:
        return None
    try:
        lines = content.decode("utf-8-sig").split()
    except UnicodeDecodeError:
        return None
    if not lines or not all(line.isascii() and _NUMBER.fullmatch(line) for line in lines):
        return None
    latest = max(float(line) for line in lines)
    return min(latest, float(FOREVER)) if min(float(line) for line in lines) >= EARLIEST else None


def decide(evidence: Evidence, now: float, rules: Rules) -> Term:
    """The term, final once `needs_start` is false and both files were looked at."""
    record = evidence.record
    if evidence.record_problem:
        return Term(None, why=f"kept: the record of what was decided cannot be read ({evidence.record_problem})")
    if record.pin:
        pin = record.pin
        return Term(None, True, pin.by, pin.at, pin.note, f"pinned by {pin.by or 'somebody'}")
    if evidence.running:
        return Term(None, why="the job has not ended")
    if is_going(evidence, now):
        return Term(now, why="its removal has begun")
    if not evidence.exists and evidence.end is None:
        return Term(None, why="there are no artifacts")
    expires_at, why = _expiry(evidence, now, rules)
    if record.extension and record.extension.until >= expires_at:
        return Term(float(record.extension.until), why=f"extended by {record.extension.by or 'somebody'}")
    return Term(expires_at, why=why)


def bound(evidence: Evidence, now: float, rules: Rules) -> float:
    """Until when jobs and people may keep the artifacts, pins apart."""
    return (now if evidence.running else _start(evidence, now)) + rules.maximum


def needs_start(evidence: Evidence, now: float, rules: Rules) -> bool:
    """Whether the decision depends on when the artifacts came to be, and what is known of that is not enough."""
    if evidence.running or evidence.record.pin or evidence.record_problem or is_going(evidence, now):
        return False
    latest = _said(evidence)
    if latest is None:
        return not evidence.record.stands_alone
    return latest > now and known_end(evidence, now) is None and latest > _start(evidence, now) + rules.maximum


def is_going(evidence: Evidence, now: float) -> bool:
    """Whether a removal has begun that nothing holds: one that was killed goes on."""
    record = evidence.record
    return evidence.removing and record.pin is None and (record.until or 0) <= now


def is_first_sight(evidence: Evidence, now: float, rules: Rules) -> bool:
    """Whether the cleanup should note that it sees the folder: what is noted may be of a clock that was ahead."""
    is_noted = evidence.first_seen is not None and evidence.first_seen <= now + SKEW_SECONDS
    alone = replace(evidence, newest=None, first_seen=None)
    return not is_noted and known_end(evidence, now) is None and needs_start(alone, now, rules)


def known_end(evidence: Evidence, now: float) -> float | None:
    """Main's end, unless it is still to come: the clock that told it was wrong."""
    return evidence.end if evidence.end is not None and evidence.end <= now + SKEW_SECONDS else None


def newest_before(changed: float, newest: float | None, now: float) -> float | None:
    """The newer of a file's time of change and `newest`; a time still to come was made up, and does not count."""
    if changed > now + SKEW_SECONDS or (newest is not None and changed <= newest):
        return newest
    return changed


def _expiry(evidence: Evidence, now: float, rules: Rules) -> tuple[float, str]:
    latest, start = _said(evidence), _start(evidence, now)
    most = start + rules.maximum
    if latest is not None and latest <= most:
        return latest, "as its expiredAt says"
    if latest is not None:
        return most, f"as long as may be: {_days(rules.maximum)} from {_whence(evidence, now)}"
    if evidence.record.stands_alone:
        return 0.0, ""
    retention = min(rules.retention, rules.maximum)
    start = max(start, evidence.newest or 0.0)
    return start + retention, f"no readable expiredAt: {_days(retention)} from {_whence(evidence, now)}"


def _said(evidence: Evidence) -> float | None:
    """The latest that the expiry files say. FOREVER was written for a pin; the record knows until when instead."""
    decided = evidence.record.until is not None
    return max((at for at in evidence.said if at is not None and not (decided and at >= FOREVER)), default=None)


def _start(evidence: Evidence, now: float) -> float:
    """What the retention counts from. Where main's end is not known: the newest file, but never before the folder was
    first seen, since the times of files can be made up; one that is first seen now, now."""
    end = known_end(evidence, now)
    if end is not None:
        return end
    first_seen = now if evidence.first_seen is None else min(evidence.first_seen, now)
    return max(min(evidence.newest or 0.0, now), first_seen)


def _whence(evidence: Evidence, now: float) -> str:
    return "its newest file" if known_end(evidence, now) is None else "the job's end"


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.3g} days" if seconds >= 86400 else f"{seconds:.0f} seconds"
