"""Returns and changes the retention of a job's artifacts: writes the record, the expiry files, then the annotation.

A crash between two of these writes is repaired by the same call or by the next cleanup: the record alone decides, and
`apply_record` copies it to the other two.

A decision can race with a removal, in this or another replica. Each first writes its own object (the record, or the
removal's marker) and then checks for the other's, so at least one of them sees the other and gives way.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from api.auth.caller import Caller
from api.errors import BadInput, ConflictError, Expired, NotAuthorized, job_not_found, store_errors_as_unavailable
from api.folder import JobFolder
from api.jobs.job import Job, collected_files, format_time
from api.jobs.source import JobSource
from api.listing import list_artifacts
from api.retention.evidence_reader import EXPIRY_FILES, EvidenceReader
from api.retention.expiry import (
    Evidence,
    Retention,
    RetentionPolicy,
    compute_retention,
    max_expiry,
    retention_seconds,
    trusted_finish,
)
from api.retention.record import (
    FOREVER,
    MAX_NAME_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    Extension,
    Pin,
    Record,
    extension_key,
    format_decision,
    pin_key,
)
from api.store.store import Store
from artifacts.annotation import missing_message
from artifacts.layout import format_expiry
from artifacts.log import get_logger
from artifacts.report import read_text

DAY_SECONDS = 86400

logger = get_logger(__name__)


class RetentionService:
    """Returns and changes retentions. `clock` returns UNIX seconds.

    Methods raise ServiceUnavailable if the store or the jobs cannot be reached.
    """

    def __init__(self, store: Store, jobs: JobSource, policy: RetentionPolicy, clock: Callable[[], float]) -> None:
        self._store, self._jobs, self._policy, self._clock = store, jobs, policy, clock
        self._reader = EvidenceReader(store, policy, clock)
        self._lock = threading.Lock()  # a decision is checked and written before the next one reads the evidence

    def get(self, folder: JobFolder) -> Retention:
        """Return the current retention."""
        now = self._clock()
        with store_errors_as_unavailable():
            return compute_retention(self._reader.read(folder, now), now, self._policy)

    def extend(self, folder: JobFolder, until: int, caller: Caller) -> Retention:
        """Keep the artifacts until `until` (UNIX seconds).

        Raises:
            BadInput: `until` is in the past, before the current expiry, or after the maximum.
            Expired: the artifacts have expired, or are no longer in the store.
            ConflictError: the artifacts are being removed, or the record cannot be read.
            NotAuthorized: the caller may not change these artifacts.
        """
        with self._lock, store_errors_as_unavailable():
            now, evidence, retention = self._prepare(folder, caller, is_keeping=True)
            _check_until(until, now, retention, max_expiry(evidence, now, self._policy))
            if not evidence.is_running and trusted_finish(evidence, now) is None and evidence.first_seen_at is None:
                self._reader.record_first_seen(folder, now)  # so that the maximum does not move with each call
            self._write(folder, Extension(until, caller_name(caller), int(now), evidence.is_running))
            evidence = self._check_written(folder, evidence)
            _log("extended", folder, evidence.record, caller)
            return self._apply(folder, evidence)

    def pin(self, folder: JobFolder, note: str, caller: Caller) -> Retention:
        """Keep the artifacts until they are unpinned. The pin stores the expiry without it, for `unpin`.

        Raises BadInput if the note is too long, and the errors of `extend`.
        """
        if len(note) > MAX_NOTE_CHARACTERS:
            raise BadInput(f"the note has {len(note)} characters: use at most {MAX_NOTE_CHARACTERS} characters")
        with self._lock, store_errors_as_unavailable():
            now, evidence, retention = self._prepare(folder, caller, is_keeping=True)
            old_pin = evidence.record.pin
            until = old_pin.until if old_pin else int(retention.expires_at or 0)
            self._write(folder, Pin(caller_name(caller), int(now), read_text(note, MAX_NOTE_CHARACTERS), until))
            evidence = self._check_written(folder, evidence)
            _log("pinned", folder, evidence.record, caller)
            return self._apply(folder, evidence)

    def unpin(self, folder: JobFolder, caller: Caller) -> Retention:
        """Remove the pin; the artifacts do not expire within a day. Raises NotAuthorized and ConflictError."""
        with self._lock, store_errors_as_unavailable():
            now, evidence, _ = self._prepare(folder, caller, is_keeping=False)
            if evidence.record.pin is not None:
                until = self._expiry_without_pin(evidence, evidence.record.pin, now)
                extension = Extension(until, caller_name(caller), int(now), evidence.is_running)
                self._write(folder, extension)
                self._store.delete(pin_key(folder.group, folder.job))
                evidence = replace(evidence, record=Record(None, extension))
                _log("unpinned", folder, evidence.record, caller)
            return self._apply(folder, evidence)

    def _expiry_without_pin(self, evidence: Evidence, pin: Pin, now: float) -> int:
        seconds = retention_seconds(evidence, self._policy)
        default = 0 if evidence.finished_at is None else evidence.finished_at + seconds
        return int(max(now + DAY_SECONDS, max(evidence.record.extended_until or 0, pin.until) or default))

    def _prepare(self, folder: JobFolder, caller: Caller, is_keeping: bool) -> tuple[float, Evidence, Retention]:
        """Check that the caller may decide and that the artifacts can still be kept; return now and the evidence."""
        if not caller.can_change(folder.group):
            raise NotAuthorized(
                "only members of the group and administrators may change the retention of these artifacts"
            )
        now = self._clock()
        evidence = self._reader.read(folder, now, complete=True)
        if evidence.record_error:
            keys = " or ".join(key(folder.group, folder.job) for key in (pin_key, extension_key))
            raise ConflictError(
                f"the retention record cannot be read ({evidence.record_error}): an administrator must repair or "
                f"delete {keys} in the store"
            )
        if not evidence.exists and folder.phjob is None and (is_keeping or evidence.record.pin is None):
            raise job_not_found(folder.job)
        retention = compute_retention(evidence, now, self._policy)
        if is_keeping:
            _check_keepable(folder, evidence, retention, now)
            self._check_stored(folder, evidence)
        return now, evidence, retention

    def _check_stored(self, folder: JobFolder, evidence: Evidence) -> None:
        """Raise Expired if artifacts were collected and none of them is in the store any more."""
        if folder.phjob is None or evidence.is_running:
            return
        collected = collected_files(folder.phjob)
        if collected.files and next(list_artifacts(self._store.list, folder.prefix), None) is None:
            message = missing_message(collected.files, collected.bytes)
            raise Expired(f"the artifacts of {folder.job} cannot be extended or pinned: {message}")

    def _write(self, folder: JobFolder, decision: Pin | Extension) -> None:
        key = pin_key if isinstance(decision, Pin) else extension_key
        self._store.write(key(folder.group, folder.job), format_decision(decision))

    def _check_written(self, folder: JobFolder, before: Evidence) -> Evidence:
        """Read the evidence again after writing a decision. Raises ConflictError if a removal has started before.

        The written objects stay, since another replica may have replaced them, unless no artifacts are left to keep.
        """
        now = self._clock()
        evidence = self._reader.read(folder, now, complete=True)
        is_gone = not evidence.exists and (before.exists or _has_status_expired(self._jobs.get(folder.job), now))
        if is_gone:
            self._store.delete(pin_key(folder.group, folder.job))
            self._store.delete(extension_key(folder.group, folder.job))
        if is_gone or evidence.is_removing:
            raise ConflictError(_removing_message(folder))
        return evidence

    def _apply(self, folder: JobFolder, evidence: Evidence) -> Retention:
        apply_record(self._store, self._jobs, folder, evidence)
        return compute_retention(evidence, self._clock(), self._policy)


def apply_record(store: Store, jobs: JobSource, folder: JobFolder, evidence: Evidence) -> None:
    """Copy the record's expiry to the expiry files and the PhJob's annotation; `evidence` has their current times.

    While the job runs, its sidecar writes the files. Files of a folder that does not exist are not created.
    """
    record = evidence.record
    target = FOREVER if record.pin else record.extended_until
    if target is None:
        return
    if evidence.exists and not evidence.is_running:
        for name, claim in zip(EXPIRY_FILES, evidence.expiry_claims, strict=True):
            if _is_outdated(claim, record):
                store.write(folder.prefix + name, format_expiry(target))
    if folder.phjob is not None:
        jobs.annotate_expiry(folder.phjob, target)


def caller_name(caller: Caller) -> str:
    """Return the caller's name as one printable line, for the record and the log."""
    name = read_text(caller.username or caller.id, MAX_NAME_CHARACTERS)
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _log(action: str, folder: JobFolder, record: Record, caller: Caller) -> None:
    until = "none" if record.extended_until is None else format_time(record.extended_until)
    logger.info(
        "retention changed",
        action=action,
        group=folder.group,
        job=folder.job,
        until=until,
        user=caller_name(caller),
    )


def _is_outdated(claim: float | None, record: Record) -> bool:
    """Return whether an expiry file has an earlier time than the record, or "for ever" without a pin."""
    if record.pin or record.extended_until is None:
        return claim != FOREVER
    if claim is None and not record.replaces_default:
        return False  # the job's retention applies, and may be longer
    return claim is None or claim < record.extended_until or claim >= FOREVER


def _check_keepable(folder: JobFolder, evidence: Evidence, retention: Retention, now: float) -> None:
    """Raise Expired or ConflictError if the artifacts can no longer be kept."""
    if evidence.is_removing and evidence.exists and evidence.record.pin is None:
        raise ConflictError(_removing_message(folder))
    if retention.has_expired(now) or (not evidence.exists and _has_status_expired(folder.phjob, now)):
        raise Expired(f"the artifacts of {folder.job} have expired")


def _has_status_expired(phjob: Job | None, now: float) -> bool:
    return phjob is not None and phjob.has_ended and 0 < phjob.status_expiry <= now


def _removing_message(folder: JobFolder) -> str:
    return f"the artifacts of {folder.job} are being removed: check in a few minutes whether they still exist"


def _check_until(until: int, now: float, retention: Retention, limit: float) -> None:
    if until <= now:
        raise BadInput(f"{_format_time(until)} is in the past: use a time in the future")
    if retention.expires_at is not None and until < int(retention.expires_at):
        raise BadInput(f"the artifacts are already kept until {_format_time(retention.expires_at)}: use a later time")
    if until > limit:
        raise BadInput(f"artifacts can be kept until {_format_time(limit)} at most: use an earlier time, or pin them")


def _format_time(at: float) -> str:
    return format_time(min(max(at, 0), FOREVER))
