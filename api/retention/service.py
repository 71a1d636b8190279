"""What people decide about a job's artifacts: the record first, then both expiry files, then the PhJob's note.

A crash between two of these is mended by the same call once more, or by the next cleanup, since the record alone
decides and the rest follows it (`apply_record`).

A decision may meet a removal, here or in another replica. Each writes what it wants (the record; the removal's mark)
before it looks for the other's, so at least one of them sees the other, and gives way.
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from api.auth.caller import Caller
from api.errors import BadInput, ConflictError, Expired, NotAuthorized, job_not_found, store_errors_as_unavailable
from api.folder import JobFolder
from api.jobs.job import Job, format_time
from api.jobs.source import JobSource
from api.retention.evidence_reader import EXPIRY_FILES, EvidenceReader
from api.retention.expiry import Evidence, Retention, RetentionPolicy, compute_retention, max_expiry, trusted_finish
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
from artifacts.layout import format_expiry
from artifacts.log import get_logger
from artifacts.report import read_text

DAY_SECONDS = 86400

logger = get_logger(__name__)


class RetentionService:
    """`Terms` over the store. `clock` tells UNIX seconds."""

    def __init__(self, store: Store, jobs: JobSource, rules: RetentionPolicy, clock: Callable[[], float]) -> None:
        self._store, self._jobs, self._rules, self._clock = store, jobs, rules, clock
        self._look = EvidenceReader(store, rules, clock)
        self._deciding = threading.Lock()  # what is checked against the term is written before another looks

    def get(self, folder: JobFolder) -> Retention:
        """The term as it stands."""
        now = self._clock()
        with store_errors_as_unavailable():
            return compute_retention(self._look.evidence(folder, now), now, self._rules)

    def extend(self, folder: JobFolder, until: int, caller: Caller) -> Retention:
        """Keep until `until`."""
        with self._deciding, store_errors_as_unavailable():
            now, evidence, term = self._open(folder, caller)
            _check_until(until, now, term, max_expiry(evidence, now, self._rules))
            if not evidence.running and trusted_finish(evidence, now) is None and evidence.first_seen is None:
                self._look.note_first_sight(folder, now)  # so that the max_expiry does not move on
            self._write(folder, Extension(until, caller_name(caller), int(now), evidence.running))
            evidence = self._settled(folder, evidence)
            _tell("extended", folder, evidence.record, caller)
            return self._followed(folder, evidence)

    def pin(self, folder: JobFolder, note: str, caller: Caller) -> Retention:
        """Keep until unpinned. What the term would have been is kept for the end of the pin."""
        if len(note) > MAX_NOTE_CHARACTERS:
            raise BadInput(f"the note has more than {MAX_NOTE_CHARACTERS} characters: shorten it")
        with self._deciding, store_errors_as_unavailable():
            now, evidence, term = self._open(folder, caller)
            before = evidence.record.pin.until if evidence.record.pin else int(term.expires_at or 0)
            self._write(folder, Pin(caller_name(caller), int(now), read_text(note, MAX_NOTE_CHARACTERS), before))
            evidence = self._settled(folder, evidence)
            _tell("pinned", folder, evidence.record, caller)
            return self._followed(folder, evidence)

    def unpin(self, folder: JobFolder, caller: Caller) -> Retention:
        """Let the term end again, no sooner than in a day."""
        with self._deciding, store_errors_as_unavailable():
            now, evidence, _ = self._open(folder, caller, is_keeping=False)
            if evidence.record.pin is not None:
                until = self._until_unpinned(evidence, evidence.record.pin, now)
                extension = Extension(until, caller_name(caller), int(now), evidence.running)
                self._write(folder, extension)
                self._store.delete(pin_key(folder.group, folder.job))
                evidence = replace(evidence, record=Record(None, extension))
                _tell("unpinned", folder, evidence.record, caller)
            return self._followed(folder, evidence)

    def _until_unpinned(self, evidence: Evidence, pin: Pin, now: float) -> int:
        default = 0 if evidence.end is None else evidence.end + min(self._rules.retention, self._rules.maximum)
        return int(max(now + DAY_SECONDS, max(evidence.record.until or 0, pin.until) or default))

    def _open(self, folder: JobFolder, caller: Caller, is_keeping: bool = True) -> tuple[float, Evidence, Retention]:
        """Now, the evidence and the term, if the caller may decide."""
        if not caller.can_change(folder.group):
            raise NotAuthorized("your groups and rights do not allow to change how long these artifacts are kept")
        now = self._clock()
        evidence = self._look.evidence(folder, now, whole=True)
        if evidence.record_problem:
            keys = " or ".join(key(folder.group, folder.job) for key in (pin_key, extension_key))
            raise ConflictError(
                f"{keys} in the store cannot be read ({evidence.record_problem}): an administrator mends it"
            )
        if not evidence.exists and folder.phjob is None and (is_keeping or evidence.record.pin is None):
            raise job_not_found(folder.job)
        term = compute_retention(evidence, now, self._rules)
        if is_keeping:
            _check_there(folder, evidence, term, now)
        return now, evidence, term

    def _write(self, folder: JobFolder, part: Pin | Extension) -> None:
        key = pin_key if isinstance(part, Pin) else extension_key
        self._store.write(key(folder.group, folder.job), format_decision(part))

    def _settled(self, folder: JobFolder, before: Evidence) -> Evidence:
        """The evidence anew, once the decision was written. Raises ConflictError where a removal has begun before.

        What was written stays there, since it may be another's by now, unless nothing is left that it could keep.
        """
        now = self._clock()
        evidence = self._look.evidence(folder, now, whole=True)
        is_gone = not evidence.exists and (before.exists or _is_told_over(self._jobs.get(folder.job), now))
        if is_gone:
            self._store.delete(pin_key(folder.group, folder.job))
            self._store.delete(extension_key(folder.group, folder.job))
        if is_gone or evidence.removing:
            raise ConflictError(_going(folder))
        return evidence

    def _followed(self, folder: JobFolder, evidence: Evidence) -> Retention:
        """The term, once all else says what the record says."""
        apply_record(self._store, self._jobs, folder, evidence)
        return compute_retention(evidence, self._clock(), self._rules)


def _tell(what: str, folder: JobFolder, record: Record, caller: Caller) -> None:
    until = "none" if record.until is None else format_time(record.until)
    logger.info("decided", what=what, group=folder.group, job=folder.job, until=until, user=caller_name(caller))


def apply_record(store: Store, jobs: JobSource, folder: JobFolder, evidence: Evidence) -> None:
    """Let the expiry files and the PhJob's note say what the record says. `evidence` tells what they say now.

    The files of a running job are the sidecar's; those of a folder that is not there are not made.
    """
    record = evidence.record
    target = FOREVER if record.pin else record.until
    if target is None:
        return
    if evidence.exists and not evidence.running:
        for name, said in zip(EXPIRY_FILES, evidence.said, strict=True):
            if _is_out_of_line(said, record):
                store.write(folder.prefix + name, format_expiry(target))
    if folder.phjob is not None:
        jobs.annotate_expiry(folder.phjob, target)


def _is_out_of_line(said: float | None, record: Record) -> bool:
    """Whether an expiry file says less than was decided, or "for ever" without a pin."""
    if record.pin or record.until is None:
        return said != FOREVER
    if said is None and not record.stands_alone:
        return False  # the retention counts, and may give more
    return said is None or said < record.until or said >= FOREVER


def _check_there(folder: JobFolder, evidence: Evidence, term: Retention, now: float) -> None:
    """Raise Expired or ConflictError where there is nothing more to keep."""
    if evidence.removing and evidence.exists and evidence.record.pin is None:
        raise ConflictError(_going(folder))
    if term.has_expired(now) or (not evidence.exists and _is_told_over(folder.phjob, now)):
        raise Expired(f"the artifacts of {folder.job} have expired")


def _is_told_over(phjob: Job | None, now: float) -> bool:
    return phjob is not None and phjob.has_ended and 0 < phjob.status_expiry <= now


def _going(folder: JobFolder) -> str:
    return f"the artifacts of {folder.job} are being removed: look in a while whether they are still there"


def _check_until(until: int, now: float, term: Retention, most: float) -> None:
    if until <= now:
        raise BadInput(f"{_words(until)} is past: name a time to come")
    if term.expires_at is not None and until < int(term.expires_at):
        raise BadInput(f"the artifacts are kept until {_words(term.expires_at)} already: name a later time")
    if until > most:
        raise BadInput(f"artifacts may be kept until {_words(most)} at most: name an earlier time, or pin them")


def _words(at: float) -> str:
    return format_time(min(max(at, 0), FOREVER))


def caller_name(caller: Caller) -> str:
    """Who decides, as one line of a log can take it."""
    name = read_text(caller.username or caller.id, MAX_NAME_CHARACTERS)
    return "".join(letter if letter.isprintable() else "?" for letter in name)
