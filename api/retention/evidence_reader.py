"""Looks in the store for what decides on a job's artifacts, with as few requests as the decision takes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from api.cache import ExpiringCache
from api.folder import JobFolder
from api.retention.expiry import (
    MAX_EXPIRY_FILE_BYTES,
    Evidence,
    RetentionPolicy,
    compute_retention,
    needs_start_time,
    newest_trusted,
    parse_expiry_file,
    trusted_finish,
)
from api.retention.record import (
    MAX_RECORD_BYTES,
    Record,
    extension_key,
    first_seen_key,
    parse_extension,
    parse_pin,
    pin_key,
    removal_key,
)
from api.store.store import FileMissing, Store
from artifacts.errors import InvalidDocument
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, format_expiry

EXPIRY_FILES = (EXPIRED_AT, LEGACY_EXPIRED_AT)
NEWEST_CACHE_SECONDS = 60.0
_MAX_CACHED_FOLDERS = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class ListedRecords:
    """What listings have told of a job folder that is there: whether it has a record, a time of first sight, and the
    mark of a removal."""

    record: bool = True
    sighting: bool = True
    removal: bool = False


class NewestFileCache:
    """The newest files of folders whose expiry nobody can read, for a short while: a job that makes its own expiry
    files unreadable shall not make each of its downloads cost a walk through all of its files."""

    def __init__(self, clock: Callable[[], float]) -> None:
        # By prefix: when the files were listed, and the newest one's time.
        self._cache: ExpiringCache[str, tuple[float, float | None]] = ExpiringCache(_MAX_CACHED_FOLDERS, clock)

    def recall(self, prefix: str, evidence: Evidence, now: float) -> Evidence | None:
        """The evidence with what is remembered; None where nothing is."""
        listed_at, newest = self._cache.get(prefix) or (math.inf, None)
        if now < listed_at:  # not cached, or the clock was set back
            return None
        return replace(evidence, newest=newest, exists=True)

    def remember(self, prefix: str, evidence: Evidence, now: float) -> None:
        """Of a folder that is there."""
        self._cache.put(prefix, (now, evidence.newest), NEWEST_CACHE_SECONDS)


class EvidenceReader:
    """Gathers evidence. Methods raise StoreError."""

    def __init__(self, store: Store, rules: RetentionPolicy, clock: Callable[[], float] = time.time) -> None:
        self._store, self._rules = store, rules
        self._newest = NewestFileCache(clock)

    def evidence(
        self, folder: JobFolder, now: float, listed: ListedRecords | None = None, whole: bool = False
    ) -> Evidence:
        """What decides on the job. `whole`: what both expiry files say, even where it does not matter.

        `listed`: the folder is known to be there; a single expiry file that keeps it is enough then.
        """
        evidence = _of_phjob(folder, listed is not None)
        if listed is None or listed.record:
            evidence = self._with_record(folder, evidence)
        if listed or whole:
            evidence = replace(evidence, removing=evidence.removing or self._is_marked(folder, listed))
        if not whole and (evidence.running or evidence.record_problem or evidence.record.pin):
            return evidence
        for key in EXPIRY_FILES:
            evidence = self._with_file(folder.prefix + key, evidence)
            if listed and not whole and self._is_kept_by_file(evidence, now):
                return evidence
        if whole and trusted_finish(evidence, now) is None:
            evidence = replace(evidence, first_seen=self._first_seen(folder, listed))
        return self._with_start(folder, evidence, now, listed, may_recall=not (listed or whole))

    def note_first_sight(self, folder: JobFolder, now: float) -> None:
        """Let the retention of artifacts whose job's end nobody knows count from `now` at the latest."""
        self._store.write(first_seen_key(folder.group, folder.job), format_expiry(now))

    def record(self, folder: JobFolder) -> Record:
        """The record as it is now; an empty one where there is none. Raises InvalidDocument."""
        return Record(
            self._part(pin_key(folder.group, folder.job), parse_pin),
            self._part(extension_key(folder.group, folder.job), parse_extension),
        )

    def removing_since(self, folder: JobFolder) -> float | None:
        """Since when the mark says that the folder is being removed; None where there is no mark."""
        try:
            return (
                parse_expiry_file(self._store.read(removal_key(folder.group, folder.job), MAX_EXPIRY_FILE_BYTES)) or 0.0
            )
        except FileMissing:
            return None
        except InvalidDocument:
            return 0.0

    def _is_marked(self, folder: JobFolder, listed: ListedRecords | None) -> bool:
        return listed.removal if listed else self.removing_since(folder) is not None

    def _part(self, key: str, parse: Callable[[bytes], T]) -> T | None:
        try:
            return parse(self._store.read(key, MAX_RECORD_BYTES))
        except FileMissing:
            return None

    def _with_record(self, folder: JobFolder, evidence: Evidence) -> Evidence:
        try:
            return replace(evidence, record=self.record(folder))
        except InvalidDocument as error:
            return replace(evidence, record_problem=error.reason)

    def _with_file(self, key: str, evidence: Evidence) -> Evidence:
        try:
            at = parse_expiry_file(self._store.read(key, MAX_EXPIRY_FILE_BYTES))
        except FileMissing:
            return replace(evidence, said=(*evidence.said, None))
        except InvalidDocument:  # longer than any date
            at = None
        return replace(evidence, said=(*evidence.said, at), exists=True)

    def _is_kept_by_file(self, evidence: Evidence, now: float) -> bool:
        known = any(at is not None for at in evidence.said) and not needs_start_time(evidence, now, self._rules)
        return known and not compute_retention(evidence, now, self._rules).has_expired(now)

    def _with_start(
        self, folder: JobFolder, evidence: Evidence, now: float, listed: ListedRecords | None, may_recall: bool
    ) -> Evidence:
        """With when the artifacts came to be, where that matters."""
        if evidence.exists and not needs_start_time(evidence, now, self._rules):
            return evidence
        if trusted_finish(evidence, now) is None and evidence.first_seen is None:
            evidence = replace(evidence, first_seen=self._first_seen(folder, listed))
            if evidence.exists and not needs_start_time(evidence, now, self._rules):
                return evidence
        if may_recall and (recalled := self._newest.recall(folder.prefix, evidence, now)):
            return recalled
        return self._with_newest(folder.prefix, evidence, now)

    def _first_seen(self, folder: JobFolder, listed: ListedRecords | None) -> float | None:
        if listed and not listed.sighting:
            return None
        try:
            return parse_expiry_file(self._store.read(first_seen_key(folder.group, folder.job), MAX_EXPIRY_FILE_BYTES))
        except (FileMissing, InvalidDocument):
            return None

    def _with_newest(self, prefix: str, evidence: Evidence, now: float) -> Evidence:
        latest = max((at for at in evidence.said if at is not None), default=math.inf)
        enough, newest, exists = latest - self._rules.maximum, evidence.newest, evidence.exists
        for item in self._store.list(prefix):
            exists = True
            if item.changed_at is not None and item.name not in EXPIRY_FILES:
                newest = newest_trusted(item.changed_at, newest, now)
            if newest is not None and newest >= enough:
                break
        evidence = replace(evidence, newest=newest, exists=exists)
        if exists and enough == math.inf:  # no expiry file was readable, and every file was looked at
            self._newest.remember(prefix, evidence, now)
        return evidence


def _of_phjob(folder: JobFolder, is_listed: bool) -> Evidence:
    phjob = folder.phjob
    if phjob is None:
        return Evidence(exists=is_listed)
    removing = (
        not is_listed and phjob.is_annotated_as_removed
    )  # refused for that, but removed for what the store says alone
    return Evidence(running=not phjob.has_ended, end=phjob.finished_at, exists=is_listed, removing=removing)
