"""Computes when a job's artifacts expire. Pure. docs/retention.md describes the rules.

Users can write to the expiry files, and the clock of the collector's node may be wrong. So a time in a file is bounded
in both directions, and a missing or unreadable file has no effect: it means neither "for ever" nor "now".
"""

import re
from dataclasses import dataclass, replace

from api.retention.record import FOREVER, Record

MAX_EXPIRY_FILE_BYTES = 1024
MIN_EXPIRY = 946684800  # the year 2000: a smaller number is a duration, zero, or from a clock that was not set
MAX_CLOCK_SKEW_SECONDS = 300  # between the clocks of the store, the cluster and this machine

_NUMBER = re.compile(r"\d{1,30}(\.\d{1,30})?")


@dataclass(frozen=True)
class Retention:
    """How long artifacts are kept.

    `expires_at` (UNIX seconds) is None if it is unknown: the job runs, or the artifacts are pinned. `pinned_by`,
    `pinned_at` (UNIX seconds) and `note` describe the pin. `reason` explains `expires_at`.
    """

    expires_at: float | None
    is_pinned: bool = False
    pinned_by: str = ""
    pinned_at: float | None = None
    note: str = ""
    reason: str = ""

    def has_expired(self, now: float) -> bool:
        """Return whether the artifacts are no longer served and are due for the cleanup."""
        return not self.is_pinned and self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class RetentionPolicy:
    """The administrator's default and maximum retention, in seconds."""

    default_seconds: int
    max_seconds: int


@dataclass(frozen=True)
class Evidence:
    """The facts from which the expiry of one job's artifacts is computed. Times are UNIX seconds.

    `is_running`: main has not ended. `finished_at`: main's end, or None if unknown. `record_error`: why the record
    cannot be read. `expiry_claims`: the time in each expiry file that was read, or None if it has no valid time.
    `newest_file_at`: the newest change of a file other than the expiry files. `first_seen_at`: when the cleanup first
    saw the folder. `report_at`: when the collector's report was written. `retention_seconds`: the retention that the
    job requested, or None. `recorded_expiry`: the expiry in the PhJob's status, or None. `exists`: the folder exists.
    `is_removing`: a removal has started, and may have finished.
    """

    is_running: bool = False
    finished_at: float | None = None
    record: Record = Record()  # noqa: RUF009 (it is frozen)
    record_error: str = ""
    expiry_claims: tuple[float | None, ...] = ()
    newest_file_at: float | None = None
    first_seen_at: float | None = None
    report_at: float | None = None
    retention_seconds: int | None = None
    recorded_expiry: float | None = None
    exists: bool = True
    is_removing: bool = False


def parse_expiry_file(content: bytes) -> float | None:
    """Return the latest time in an expiry file (UNIX seconds), or None if any of its lines is not a valid time."""
    if len(content) > MAX_EXPIRY_FILE_BYTES:
        return None
    try:
        lines = content.decode("utf-8-sig").split()
    except UnicodeDecodeError:
        return None
    if not lines or not all(line.isascii() and _NUMBER.fullmatch(line) for line in lines):
        return None
    times = [float(line) for line in lines]
    return min(max(times), float(FOREVER)) if min(times) >= MIN_EXPIRY else None


def compute_retention(evidence: Evidence, now: float, policy: RetentionPolicy) -> Retention:
    """Compute the retention. It is final if `needs_start_time` is false and both expiry files were read."""
    record = evidence.record
    if evidence.record_error:
        return Retention(None, reason=f"kept: the retention record cannot be read ({evidence.record_error})")
    if record.pin:
        pin = record.pin
        return Retention(None, True, pin.by, pin.at, pin.note, f"pinned by {pin.by or 'an unknown user'}")
    if evidence.is_running:
        return Retention(None, reason="the job has not ended")
    if is_removal_pending(evidence, now):
        return Retention(now, reason="its removal has started")
    if not evidence.exists and evidence.finished_at is None:
        return Retention(None, reason="there are no artifacts")
    expires_at, reason = _compute_expiry(evidence, now, policy)
    if record.extension and record.extension.until >= expires_at:
        by = record.extension.by or "an unknown user"
        return Retention(float(record.extension.until), reason=f"extended by {by}")
    return Retention(expires_at, reason=reason)


def max_expiry(evidence: Evidence, now: float, policy: RetentionPolicy) -> float:
    """Return the latest time until which jobs and users may keep the artifacts without a pin."""
    return (now if evidence.is_running else _start_time(evidence, now)) + policy.max_seconds


def retention_seconds(evidence: Evidence, policy: RetentionPolicy) -> int:
    """Return the job's retention: the one that it requested, else the default; at most the maximum."""
    requested = evidence.retention_seconds
    return min(policy.default_seconds if requested is None else requested, policy.max_seconds)


def needs_report_time(evidence: Evidence, now: float) -> bool:
    """Return whether the expiry depends on when the report was written, and that is not known yet."""
    if evidence.is_running or evidence.record.pin or evidence.record_error or is_removal_pending(evidence, now):
        return False
    latest = _latest_time(evidence)
    is_past = latest is not None and latest <= now
    return is_past and trusted_finish(evidence, now) is None and evidence.report_at is None


def needs_start_time(evidence: Evidence, now: float, policy: RetentionPolicy) -> bool:
    """Return whether the expiry depends on when the artifacts were created, and that is not known yet."""
    if evidence.is_running or evidence.record.pin or evidence.record_error or is_removal_pending(evidence, now):
        return False
    latest = _latest_claim(evidence, now, policy)
    if latest is None:
        return not evidence.record.replaces_default
    if latest <= now or trusted_finish(evidence, now) is not None:
        return False
    return latest > _start_time(evidence, now) + policy.max_seconds


def is_removal_pending(evidence: Evidence, now: float) -> bool:
    """Return whether a removal has started that neither a pin nor an extension forbids; an interrupted one resumes."""
    record = evidence.record
    return evidence.is_removing and record.pin is None and (record.extended_until or 0) <= now


def needs_first_seen_record(evidence: Evidence, now: float, policy: RetentionPolicy) -> bool:
    """Return whether the cleanup must record when it first saw the folder.

    A recorded time in the future comes from a wrong clock and is recorded again.
    """
    is_recorded = evidence.first_seen_at is not None and evidence.first_seen_at <= now + MAX_CLOCK_SKEW_SECONDS
    without_times = replace(evidence, newest_file_at=None, first_seen_at=None)
    return not is_recorded and trusted_finish(evidence, now) is None and needs_start_time(without_times, now, policy)


def trusted_finish(evidence: Evidence, now: float) -> float | None:
    """Return main's end, or None if it is unknown or, from a wrong clock, in the future."""
    finished_at = evidence.finished_at
    return finished_at if finished_at is not None and finished_at <= now + MAX_CLOCK_SKEW_SECONDS else None


def newest_trusted(changed_at: float, newest: float | None, now: float) -> float | None:
    """Return the newer of a file's time of change and `newest`. A time in the future is forged and is ignored."""
    if changed_at > now + MAX_CLOCK_SKEW_SECONDS or (newest is not None and changed_at <= newest):
        return newest
    return changed_at


def _compute_expiry(evidence: Evidence, now: float, policy: RetentionPolicy) -> tuple[float, str]:
    latest, start = _latest_claim(evidence, now, policy), _start_time(evidence, now)
    limit = start + policy.max_seconds
    if latest is not None and latest <= limit:
        if latest == _latest_time(evidence):
            return latest, "the time in its expiredAt"
        return latest, f"{_format_days(latest - start)} from the job's end, because its expiredAt is earlier"
    if latest is not None:
        return limit, f"the maximum: {_format_days(policy.max_seconds)} from {_start_name(evidence, now)}"
    if evidence.record.replaces_default:
        return 0.0, ""
    seconds, recorded = retention_seconds(evidence, policy), evidence.recorded_expiry
    if recorded is not None and start + seconds < recorded <= limit:
        return recorded, "no valid expiredAt: the time in the PhJob's status"
    start = max(start, evidence.newest_file_at or 0.0)
    return start + seconds, f"no valid expiredAt: {_format_days(seconds)} from {_start_name(evidence, now)}"


def _latest_claim(evidence: Evidence, now: float, policy: RetentionPolicy) -> float | None:
    """Return the latest valid time in the expiry files, but not before the end of the job's retention.

    An earlier time was written by a job, or by a collector whose clock is behind. If main's end is unknown, a time
    that had passed before the report was written is invalid, because a collector writes a later one.
    """
    latest, finished_at = _latest_time(evidence), trusted_finish(evidence, now)
    if latest is None:
        return None
    if finished_at is not None:
        return max(latest, _min_expiry(evidence, finished_at, policy))
    report_at = evidence.report_at
    return None if report_at is not None and latest <= report_at <= now + MAX_CLOCK_SKEW_SECONDS else latest


def _latest_time(evidence: Evidence) -> float | None:
    """Return the latest time in the expiry files.

    FOREVER was written for a pin. If the record has an extension, FOREVER is a leftover of the pin and is ignored.
    """
    is_extended = evidence.record.extended_until is not None
    claims = (at for at in evidence.expiry_claims if at is not None and not (is_extended and at >= FOREVER))
    return max(claims, default=None)


def _min_expiry(evidence: Evidence, finished_at: float, policy: RetentionPolicy) -> float:
    """Return the earliest time at which the artifacts of a job can expire.

    The controller knows the retention that the pod's collector was configured with, and records the expiry in the
    status. If that is earlier, the job has a shorter retention. A recorded expiry before main's end is invalid.
    """
    at, recorded = finished_at + retention_seconds(evidence, policy), evidence.recorded_expiry
    return recorded if recorded is not None and finished_at < recorded < at else at


def _start_time(evidence: Evidence, now: float) -> float:
    """Return the time from which the retention counts.

    This is main's end. If that is unknown, it is the time of the newest file, but not before the folder was first
    seen, because file times can be forged. A folder not seen before counts from now.
    """
    finished_at = trusted_finish(evidence, now)
    if finished_at is not None:
        return finished_at
    first_seen_at = now if evidence.first_seen_at is None else min(evidence.first_seen_at, now)
    return max(min(evidence.newest_file_at or 0.0, now), first_seen_at)


def _start_name(evidence: Evidence, now: float) -> str:
    return "its newest file" if trusted_finish(evidence, now) is None else "the job's end"


def _format_days(seconds: float) -> str:
    return f"{seconds / 86400:.3g} days" if seconds >= 86400 else f"{seconds:.0f} seconds"
