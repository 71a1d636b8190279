"""Reads the evidence for a job's retention from the store, with as few requests as possible."""

import math
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
    needs_report_time,
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
from api.store.store import FileMissing, Store, StoreBlocked
from artifacts.errors import InvalidDocument
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, REPORT, format_expiry

EXPIRY_FILES = (EXPIRED_AT, LEGACY_EXPIRED_AT)
NEWEST_CACHE_SECONDS = 60.0
_MAX_CACHED_FOLDERS = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class ListedRecords:
    """Which records of an existing job folder the listings contain: decisions, a first-seen time, a removal marker."""

    has_decision: bool = True
    has_first_seen: bool = True
    has_removal: bool = False


class NewestFileCache:
    """The newest file times of folders with unreadable expiry files, for a short while.

    Without it, a job that makes its own expiry files unreadable would make each of its downloads walk all its files.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        # By prefix: when the files were listed, and the newest one's time.
        self._cache: ExpiringCache[str, tuple[float, float | None]] = ExpiringCache(_MAX_CACHED_FOLDERS, clock)

    def get(self, prefix: str, evidence: Evidence, now: float) -> Evidence | None:
        """Return the evidence with the cached time, or None if there is none."""
        listed_at, newest = self._cache.get(prefix) or (math.inf, None)
        if now < listed_at:  # not cached, or the clock was set back
            return None
        return replace(evidence, newest_file_at=newest, exists=True)

    def put(self, prefix: str, evidence: Evidence, now: float) -> None:
        """Cache the newest file time of an existing folder."""
        self._cache.put(prefix, (now, evidence.newest_file_at), NEWEST_CACHE_SECONDS)


class EvidenceReader:
    """Reads evidence from the store. `clock` returns UNIX seconds. Methods raise StoreError."""

    def __init__(self, store: Store, policy: RetentionPolicy, clock: Callable[[], float]) -> None:
        self._store, self._policy = store, policy
        self._newest = NewestFileCache(clock)

    def read(
        self, folder: JobFolder, now: float, listed: ListedRecords | None = None, complete: bool = False
    ) -> Evidence:
        """Read the evidence that the retention depends on.

        With `complete`, both expiry files and the first-seen time are read even if they make no difference. With
        `listed`, the folder is known to exist, and one expiry file in the future is enough.
        """
        evidence = self._read_decisions(folder, listed, complete)
        if not complete and (evidence.is_running or evidence.record_error or evidence.record.pin):
            return evidence
        for key in EXPIRY_FILES:
            evidence = self._add_expiry_file(folder.prefix + key, evidence)
            if listed and not complete and self._is_kept_by_file(evidence, now):
                return evidence
        evidence = self._add_report_time(folder.prefix, evidence, now)
        if complete and trusted_finish(evidence, now) is None:
            evidence = replace(evidence, first_seen_at=self._read_first_seen(folder, listed))
        return self._add_start_time(folder, evidence, now, listed, use_cache=not (listed or complete))

    def record_first_seen(self, folder: JobFolder, now: float) -> None:
        """Record `now` as the first-seen time, from which the retention counts if the job's end is unknown."""
        self._store.write(first_seen_key(folder.group, folder.job), format_expiry(now))

    def read_record(self, folder: JobFolder) -> Record:
        """Read the record; it is empty without a decision. Raises InvalidDocument."""
        return Record(
            self._read_decision(pin_key(folder.group, folder.job), parse_pin),
            self._read_decision(extension_key(folder.group, folder.job), parse_extension),
        )

    def read_removal_start(self, folder: JobFolder) -> float | None:
        """Return when the folder's removal started (0 if the marker is unreadable), or None without a marker."""
        try:
            content = self._store.read(removal_key(folder.group, folder.job), MAX_EXPIRY_FILE_BYTES)
        except FileMissing:
            return None
        except InvalidDocument:
            return 0.0
        return parse_expiry_file(content) or 0.0

    def _read_decisions(self, folder: JobFolder, listed: ListedRecords | None, complete: bool) -> Evidence:
        """Read the PhJob, the record and the removal marker."""
        evidence = _phjob_evidence(folder, listed is not None)
        if listed is None or listed.has_decision:
            evidence = self._add_record(folder, evidence)
        if listed or complete:
            is_removing = evidence.is_removing or self._has_removal(folder, listed)
            evidence = replace(evidence, is_removing=is_removing)
        return evidence

    def _has_removal(self, folder: JobFolder, listed: ListedRecords | None) -> bool:
        return listed.has_removal if listed else self.read_removal_start(folder) is not None

    def _read_decision(self, key: str, parse: Callable[[bytes], T]) -> T | None:
        try:
            return parse(self._store.read(key, MAX_RECORD_BYTES))
        except FileMissing:
            return None

    def _add_record(self, folder: JobFolder, evidence: Evidence) -> Evidence:
        try:
            return replace(evidence, record=self.read_record(folder))
        except InvalidDocument as error:
            return replace(evidence, record_error=error.reason)

    def _add_expiry_file(self, key: str, evidence: Evidence) -> Evidence:
        try:
            at = parse_expiry_file(self._store.read(key, MAX_EXPIRY_FILE_BYTES))
        except FileMissing:
            return replace(evidence, expiry_claims=(*evidence.expiry_claims, None))
        except (InvalidDocument, StoreBlocked):  # longer than any time, or closed by its owner
            at = None
        return replace(evidence, expiry_claims=(*evidence.expiry_claims, at), exists=True)

    def _add_report_time(self, prefix: str, evidence: Evidence, now: float) -> Evidence:
        """Add the time of the report if the retention depends on it."""
        if not needs_report_time(evidence, now):
            return evidence
        try:
            return replace(evidence, report_at=self._store.stat(prefix + REPORT).modified_at)
        except (FileMissing, StoreBlocked):
            return evidence

    def _is_kept_by_file(self, evidence: Evidence, now: float) -> bool:
        if all(at is None for at in evidence.expiry_claims) or needs_start_time(evidence, now, self._policy):
            return False
        return not compute_retention(evidence, now, self._policy).has_expired(now)

    def _add_start_time(
        self, folder: JobFolder, evidence: Evidence, now: float, listed: ListedRecords | None, use_cache: bool
    ) -> Evidence:
        """Add the first-seen time and the newest file time if the retention depends on them."""
        if evidence.exists and not needs_start_time(evidence, now, self._policy):
            return evidence
        if trusted_finish(evidence, now) is None and evidence.first_seen_at is None:
            evidence = replace(evidence, first_seen_at=self._read_first_seen(folder, listed))
            if evidence.exists and not needs_start_time(evidence, now, self._policy):
                return evidence
        if use_cache and (cached := self._newest.get(folder.prefix, evidence, now)):
            return cached
        return self._add_newest_file(folder.prefix, evidence, now)

    def _read_first_seen(self, folder: JobFolder, listed: ListedRecords | None) -> float | None:
        if listed and not listed.has_first_seen:
            return None
        try:
            content = self._store.read(first_seen_key(folder.group, folder.job), MAX_EXPIRY_FILE_BYTES)
        except (FileMissing, InvalidDocument):
            return None
        return parse_expiry_file(content)

    def _add_newest_file(self, prefix: str, evidence: Evidence, now: float) -> Evidence:
        """Walk the folder's files, up to the first one that is new enough to allow the latest claim."""
        latest = max((at for at in evidence.expiry_claims if at is not None), default=math.inf)
        enough, newest, exists = latest - self._policy.max_seconds, evidence.newest_file_at, evidence.exists
        for item in self._store.list(prefix, on_unreadable=lambda _: None):
            exists = True
            if item.changed_at is not None and item.name not in EXPIRY_FILES:
                newest = newest_trusted(item.changed_at, newest, now)
            if newest is not None and newest >= enough:
                break
        evidence = replace(evidence, newest_file_at=newest, exists=exists)
        if exists and enough == math.inf:  # no expiry file is readable, so all files were read
            self._newest.put(prefix, evidence, now)
        return evidence


def _phjob_evidence(folder: JobFolder, is_listed: bool) -> Evidence:
    phjob = folder.phjob
    if phjob is None:
        return Evidence(exists=is_listed)
    return Evidence(
        is_running=not phjob.has_ended,
        finished_at=phjob.finished_at,
        retention_seconds=phjob.retention_seconds,
        recorded_expiry=phjob.artifact_status.expired_at if phjob.artifact_status else None,
        exists=is_listed,
        # Requests honour the PhJob's annotation. The cleanup, which passes `listed`, trusts only the store.
        is_removing=not is_listed and phjob.is_annotated_as_removed,
    )
