"""When a job's artifacts expire, from all that is known of them. Pure; docs/retention.md is this module in words.

The expiry files lie where users can write: a value in them is bounded, and what is missing or unreadable says nothing.
A missing one means neither "for ever" nor "now".
"""

import re
from dataclasses import dataclass, replace

from api.retention.record import FOREVER, Record

MAX_EXPIRY_FILE_BYTES = 1024  # of an expiry file
MIN_EXPIRY = 946684800  # the year 2000: what is less is no date, but a duration, a zero, or a clock that was not set
MAX_CLOCK_SKEW_SECONDS = 300  # by which the clocks of the store, the cluster and this machine may differ

_NUMBER = re.compile(r"\d{1,30}(\.\d{1,30})?")


@dataclass(frozen=True)
class Retention:
    """`expires_at` is in UNIX seconds, None where no end is known: the job runs, or the artifacts are pinned.

    `pinned_by`, `pinned_at` (UNIX seconds) and `note`: who pinned, when and why. `why`: a clause that says where the
    term comes from.
    """

    expires_at: float | None
    pinned: bool = False
    pinned_by: str = ""
    pinned_at: float | None = None
    note: str = ""
    why: str = ""

    def has_expired(self, now: float) -> bool:
        """Whether the artifacts are refused, and due for the cleanup."""
        return not self.pinned and self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class RetentionPolicy:
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


def parse_expiry_file(content: bytes) -> float | None:
    """What an expiry file says: the latest of its lines, or None where any of them is no date."""
    if len(content) > MAX_EXPIRY_FILE_BYTES:
        return None
    try:
        lines = content.decode("utf-8-sig").split()
    except UnicodeDecodeError:
        return None
    if not lines or not all(line.isascii() and _NUMBER.fullmatch(line) for line in lines):
        return None
    latest = max(float(line) for line in lines)
    return min(latest, float(FOREVER)) if min(float(line) for line in lines) >= MIN_EXPIRY else None


def compute_retention(evidence: Evidence, now: float, rules: RetentionPolicy) -> Retention:
    """The term, final once `needs_start_time` is false and both files were looked at."""
    record = evidence.record
    if evidence.record_problem:
        return Retention(None, why=f"kept: the record of what was decided cannot be read ({evidence.record_problem})")
    if record.pin:
        pin = record.pin
        return Retention(None, True, pin.by, pin.at, pin.note, f"pinned by {pin.by or 'somebody'}")
    if evidence.running:
        return Retention(None, why="the job has not ended")
    if is_removal_pending(evidence, now):
        return Retention(now, why="its removal has begun")
    if not evidence.exists and evidence.end is None:
        return Retention(None, why="there are no artifacts")
    expires_at, why = _expiry(evidence, now, rules)
    if record.extension and record.extension.until >= expires_at:
        return Retention(float(record.extension.until), why=f"extended by {record.extension.by or 'somebody'}")
    return Retention(expires_at, why=why)


def max_expiry(evidence: Evidence, now: float, rules: RetentionPolicy) -> float:
    """Until when jobs and people may keep the artifacts, pins apart."""
    return (now if evidence.running else _start(evidence, now)) + rules.maximum


def needs_start_time(evidence: Evidence, now: float, rules: RetentionPolicy) -> bool:
    """Whether the decision depends on when the artifacts came to be, and what is known of that is not enough."""
    if evidence.running or evidence.record.pin or evidence.record_problem or is_removal_pending(evidence, now):
        return False
    latest = _said(evidence)
    if latest is None:
        return not evidence.record.stands_alone
    return latest > now and trusted_finish(evidence, now) is None and latest > _start(evidence, now) + rules.maximum


def is_removal_pending(evidence: Evidence, now: float) -> bool:
    """Whether a removal has begun that nothing holds: one that was killed goes on."""
    record = evidence.record
    return evidence.removing and record.pin is None and (record.until or 0) <= now


def needs_first_seen_record(evidence: Evidence, now: float, rules: RetentionPolicy) -> bool:
    """Whether the cleanup should note that it sees the folder: what is noted may be of a clock that was ahead."""
    is_noted = evidence.first_seen is not None and evidence.first_seen <= now + MAX_CLOCK_SKEW_SECONDS
    alone = replace(evidence, newest=None, first_seen=None)
    return not is_noted and trusted_finish(evidence, now) is None and needs_start_time(alone, now, rules)


def trusted_finish(evidence: Evidence, now: float) -> float | None:
    """Main's end, unless it is still to come: the clock that told it was wrong."""
    return evidence.end if evidence.end is not None and evidence.end <= now + MAX_CLOCK_SKEW_SECONDS else None


def newest_trusted(changed: float, newest: float | None, now: float) -> float | None:
    """The newer of a file's time of change and `newest`; a time still to come was made up, and does not count."""
    if changed > now + MAX_CLOCK_SKEW_SECONDS or (newest is not None and changed <= newest):
        return newest
    return changed


def _expiry(evidence: Evidence, now: float, rules: RetentionPolicy) -> tuple[float, str]:
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
    end = trusted_finish(evidence, now)
    if end is not None:
        return end
    first_seen = now if evidence.first_seen is None else min(evidence.first_seen, now)
    return max(min(evidence.newest or 0.0, now), first_seen)


def _whence(evidence: Evidence, now: float) -> str:
    return "its newest file" if trusted_finish(evidence, now) is None else "the job's end"


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.3g} days" if seconds >= 86400 else f"{seconds:.0f} seconds"
