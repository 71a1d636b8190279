"""Looks in the store for what decides on a job's artifacts, with as few requests as the decision takes."""

import math
from dataclasses import dataclass, replace

from api.folder import JobFolder
from api.retention.expiry import (
    MAX_BYTES,
    Evidence,
    Rules,
    decide,
    known_end,
    needs_start,
    newest_before,
    read_expiry,
)
from api.retention.record import MAX_BYTES as MAX_RECORD_BYTES
from api.retention.record import Record, parse_record, record_key, sighting_key
from api.store.store import Missing, Store
from artifacts.errors import InvalidDocument
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, format_expiry

EXPIRY_FILES = (EXPIRED_AT, LEGACY_EXPIRED_AT)


@dataclass(frozen=True)
class Listed:
    """What listings have told of a job folder that is there: whether it has a record, and a time of first sight."""

    record: bool = True
    sighting: bool = True


class Look:
    """Gathers evidence. Methods raise StoreError."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store, self._rules = store, rules

    def evidence(self, folder: JobFolder, now: float, listed: Listed | None = None, whole: bool = False) -> Evidence:
        """What decides on the job. `whole`: what both expiry files say, even where it does not matter.

        `listed`: the folder is known to be there; a single expiry file that keeps it is enough then.
        """
        evidence = _of_phjob(folder, listed is not None)
        if listed is None or listed.record:
            evidence = self._with_record(folder, evidence)
        if not whole and (evidence.running or evidence.record_problem or evidence.record.pin):
            return evidence
        for key in EXPIRY_FILES:
            evidence = self._with_file(folder.prefix + key, evidence)
            if listed and not whole and self._is_kept_by_file(evidence, now):
                return evidence
        if whole and known_end(evidence, now) is None:
            evidence = replace(evidence, first_seen=self._first_seen(folder, listed))
        return self._with_start(folder, evidence, now, listed)

    def note_first_sight(self, folder: JobFolder, now: float) -> None:
        """Let the retention of artifacts whose job's end nobody knows count from `now` at the latest."""
        self._store.write(sighting_key(folder.group, folder.job), format_expiry(now))

    def record(self, folder: JobFolder) -> Record:
        """The record as it is now; an empty one where there is none. Raises InvalidDocument."""
        try:
            return parse_record(self._store.read(record_key(folder.group, folder.job), MAX_RECORD_BYTES))
        except Missing:
            return Record()

    def _with_record(self, folder: JobFolder, evidence: Evidence) -> Evidence:
        try:
            return replace(evidence, record=self.record(folder))
        except InvalidDocument as error:
            return replace(evidence, record_problem=error.reason)

    def _with_file(self, key: str, evidence: Evidence) -> Evidence:
        try:
            at = read_expiry(self._store.read(key, MAX_BYTES))
        except Missing:
            return replace(evidence, said=(*evidence.said, None))
        except InvalidDocument:  # longer than any date
            at = None
        return replace(evidence, said=(*evidence.said, at), exists=True)

    def _is_kept_by_file(self, evidence: Evidence, now: float) -> bool:
        known = any(at is not None for at in evidence.said) and not needs_start(evidence, now, self._rules)
        return known and not decide(evidence, now, self._rules).has_expired(now)

    def _with_start(self, folder: JobFolder, evidence: Evidence, now: float, listed: Listed | None) -> Evidence:
        """With when the artifacts came to be, where that matters."""
        if evidence.exists and not needs_start(evidence, now, self._rules):
            return evidence
        if known_end(evidence, now) is None and evidence.first_seen is None:
            evidence = replace(evidence, first_seen=self._first_seen(folder, listed))
            if evidence.exists and not needs_start(evidence, now, self._rules):
                return evidence
        return self._with_newest(folder.prefix, evidence, now)

    def _first_seen(self, folder: JobFolder, listed: Listed | None) -> float | None:
        if listed and not listed.sighting:
            return None
        try:
            return read_expiry(self._store.read(sighting_key(folder.group, folder.job), MAX_BYTES))
        except (Missing, InvalidDocument):
            return None

    def _with_newest(self, prefix: str, evidence: Evidence, now: float) -> Evidence:
        latest = max((at for at in evidence.said if at is not None), default=math.inf)
        enough, newest, exists = latest - self._rules.maximum, evidence.newest, evidence.exists
        for item in self._store.list(prefix):
            exists = True
            if item.changed is not None and item.name not in EXPIRY_FILES:
                newest = newest_before(item.changed, newest, now)
            if newest is not None and newest >= enough:
                break
        return replace(evidence, newest=newest, exists=exists)


def _of_phjob(folder: JobFolder, exists: bool) -> Evidence:
    phjob = folder.phjob
    if phjob is None:
        return Evidence(exists=exists)
    return Evidence(running=not phjob.has_ended, end=phjob.finished_at, exists=exists)
