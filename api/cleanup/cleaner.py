"""A run of the cleanup: look at all, stop if too much is due, remove one job folder after another.

It can be killed at any time: before each job folder a mark is written, which goes last, and which the next run goes on
with. Of the folder the data goes first and `expiredAt` last. Nobody's decision is lost: what is decided while the mark
is there is refused, what was decided before is seen once it is there.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from api.auth.caller import Caller
from api.cleanup.locks import CleanupLock
from api.cleanup.parallel import map_ordered
from api.cleanup.state import LastRun, store_time, write_last_run, write_last_success
from api.cleanup.survey import Candidate, CleanupContext, CleanupPlan, Survey, clock_problem, refusal
from api.errors import (
    ApiError,
    BadInput,
    CleanupRefused,
    ConflictError,
    NotAuthorized,
    ServiceUnavailable,
    job_not_found,
    store_errors_as_unavailable,
)
from api.folder import JobFolder, stored_folder
from api.jobs.source import JobSource
from api.metrics import ApiMetrics
from api.retention.evidence_reader import EvidenceReader, ListedRecords
from api.retention.expiry import MIN_EXPIRY, Evidence, RetentionPolicy, compute_retention
from api.retention.record import extension_key, first_seen_key, pin_key, removal_key
from api.retention.service import caller_name
from api.settings import ApiSettings
from api.store.store import RemovedFiles, Store
from artifacts.errors import ArtifactError, InvalidDocument, InvalidName, StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT, format_expiry
from artifacts.log import get_logger
from artifacts.names import group_path

LAST = (MANIFEST, REPORT, LEGACY_EXPIRED_AT, EXPIRED_AT)  # of each job folder, in this order

logger = get_logger(__name__)


@dataclass(frozen=True)
class CleanupResult:
    """What a run did: job folders removed, files and bytes in them, job folders that could not be looked at or removed
    wholly; `left`: those of them that are due."""

    removed: int = 0
    files: int = 0
    bytes: int = 0
    failed: int = 0
    plan: CleanupPlan = field(default_factory=lambda: CleanupPlan(0, ()))
    left: Sequence[Candidate] = ()


class Cleaner:
    """`Cleaner` over the store. `clock` tells UNIX seconds."""

    def __init__(
        self,
        store: Store,
        jobs: JobSource,
        settings: ApiSettings,
        metrics: ApiMetrics,
        lock: CleanupLock,
        clock: Callable[[], float],
    ) -> None:
        rules = RetentionPolicy(settings.retention_seconds, settings.max_retention_seconds)
        self._parts = CleanupContext(store, jobs, rules, settings.cleanup_workers, clock)
        self._share, self._floor = settings.cleanup_max_share, settings.cleanup_floor
        self._store, self._jobs, self._metrics, self._lock, self._clock = store, jobs, metrics, lock, clock
        self._look = EvidenceReader(store, rules)
        self._told: set[str] = set()
        self._stopping = threading.Event()

    def plan(self, groups: Sequence[str] | None) -> CleanupPlan:
        """What a run would remove, and why. Removes and writes nothing."""
        with store_errors_as_unavailable():
            self._jobs.check()
            survey = Survey(self._parts, groups, self._told)
            found = list(survey)
            due = [candidate for candidate in found if candidate.due]
            return CleanupPlan(
                survey.looked_at,
                due,
                [candidate for candidate in found if not candidate.due],
                self._refusal(due, survey),
            )

    def clean(self, groups: Sequence[str] | None, *, force: bool = False) -> CleanupResult:
        """Remove what is due."""
        begun = self._clock()
        with self._counting_failures(groups), self._lock.hold() as is_held, store_errors_as_unavailable():
            self._jobs.check()
            if not force and (problem := clock_problem(self._clock(), store_time(self._store))):
                raise CleanupRefused(problem)
            survey = Survey(self._parts, groups, self._told, mend=True)
            due = [found for found in survey if self._may_go_on(is_held) and found.due]
            plan = CleanupPlan(survey.looked_at, due, refusal=self._refusal(due, survey))
            if plan.refusal and not force:
                if groups is None:
                    self._note_run(begun, len(due), due)
                raise CleanupRefused(plan.refusal)
            cleaned = self._remove_all(plan, survey, is_held)
            self._tidy(survey)
            if groups is None:
                self._note_run(begun, len(due), cleaned.left, good=not cleaned.failed)
            self._tell(cleaned, groups)
            return cleaned

    def delete(self, folder: JobFolder, caller: Caller) -> RemovedFiles:
        """Remove a job's artifacts now, expired or not."""
        if not caller.can_change(folder.group):
            raise NotAuthorized("your groups and rights do not allow to delete these artifacts")
        with store_errors_as_unavailable():
            why = self._why_kept(folder, deleting=True)
            if not why and not self._is_there(folder):
                raise job_not_found(folder.job)
            if why := why or self._begin(folder, self._look.removing_since(folder) is not None, deleting=True):
                raise ConflictError(f"the artifacts of {folder.job} cannot be deleted now: {why}")
            self._store.delete(extension_key(folder.group, folder.job))  # else it would hold what a kill leaves
            self._note_removed(folder)
            removed = self._remove(folder, ListedRecords())
        name = caller_name(caller)
        logger.info("deleted", group=folder.group, job=folder.job, files=removed.files, bytes=removed.bytes, user=name)
        return removed

    def missing_groups(self, groups: Sequence[str]) -> Sequence[str]:
        """Those of `groups` that have no folder in the store."""
        with store_errors_as_unavailable():
            return [group for group in groups if not self._has_folder(group)]

    def check(self) -> None:
        """Raise ServiceUnavailable while the jobs are not known, without which nothing can be cleaned."""
        self._jobs.check()

    def stop(self) -> None:
        """End a run under way soon, between two job folders, and let no other begin. For the end of the process."""
        self._stopping.set()

    def _has_folder(self, group: str) -> bool:
        try:
            prefix = f"groups/{group_path(group)}/"
        except InvalidName as error:
            raise BadInput(str(error)) from error
        return next(iter(self._store.list(prefix, recursive=False)), None) is not None

    def _refusal(self, due: Sequence[Candidate], survey: Survey) -> str:
        return refusal(len(due), survey.looked_at, self._share, self._floor)

    def _may_go_on(self, is_held: Callable[[], bool]) -> bool:
        if self._stopping.is_set():
            raise ServiceUnavailable("the service is stopping; the next cleanup goes on")
        if not is_held():
            raise ServiceUnavailable("this cleanup has lost its lock, and stopped; the next one goes on")
        return True

    def _remove_all(self, plan: CleanupPlan, survey: Survey, is_held: Callable[[], bool]) -> CleanupResult:
        jobs = files = size = 0
        left: list[Candidate] = []
        self._metrics.cleanup_failed.inc(survey.failed)

        def work(due: Candidate) -> RemovedFiles | None:
            return self._remove_due(due, survey, is_held)

        for due, removed in zip(plan.due, map_ordered(plan.due, work, self._parts.workers), strict=True):
            self._may_go_on(is_held)
            if removed is None:
                left.append(due)
                self._metrics.cleanup_failed.inc()
            elif removed is not _KEPT:
                jobs, files, size = jobs + 1, files + removed.files, size + removed.bytes
        return CleanupResult(jobs, files, size, len(left) + survey.failed, plan, left)

    def _remove_due(self, due: Candidate, survey: Survey, is_held: Callable[[], bool]) -> RemovedFiles | None:
        """What was removed; None where that failed. Looks anew whether it may go."""
        try:
            self._may_go_on(is_held)
            folder = stored_folder(self._jobs, due.group, due.job)
            listed = survey.notes.of(due.group, due.job)
            if why := self._begin(folder, listed.removal):
                logger.info("kept", group=due.group, job=due.job, why=why)
                return _KEPT
            removed = self._remove(folder, listed)
            self._note_removed(folder)
        except (StoreError, ApiError) as error:
            logger.warning("not removed", group=due.group, job=due.job, error=error)
            return None
        except Exception:  # one folder that nobody thought of stops no other
            logger.exception("not removed", group=due.group, job=due.job)
            return None
        self._metrics.cleanup_removed.inc()
        self._metrics.cleanup_freed_bytes.inc(removed.bytes)
        logger.info("removed", group=due.group, job=due.job, files=removed.files, bytes=removed.bytes, why=due.why)
        return removed

    def _why_kept(self, folder: JobFolder, deleting: bool = False) -> str:
        """Why it may not go after all, or "": what people and the PhJob say now, of files that were due."""
        phjob, now = folder.phjob, self._clock()
        if phjob is not None:
            runs = not phjob.has_ended or self._jobs.is_collecting(phjob)
        else:  # the cleanup need not ask: a sidecar keeps the expiry ahead
            runs = deleting and self._jobs.has_active_pod(folder.group, folder.job)
        if runs:
            return "the job or its collector still runs"
        try:
            record = self._look.record(folder)
        except InvalidDocument as error:
            return f"the record of what was decided cannot be read ({error.reason})"
        term = compute_retention(Evidence(record=record, said=(float(MIN_EXPIRY),)), now, self._parts.rules)
        return term.why if term.pinned or not (deleting or term.has_expired(now)) else ""

    def _begin(self, folder: JobFolder, is_marked: bool, deleting: bool = False) -> str:
        """Mark it as being removed, then look for what holds it: why it may not go after all, or ""."""
        mark = removal_key(folder.group, folder.job)
        self._store.write(mark, format_expiry(self._clock()))
        why = self._why_kept(folder, deleting)
        if why and not is_marked:  # else another may be removing
            self._store.delete(mark)
        return why

    def _remove(self, folder: JobFolder, listed: ListedRecords) -> RemovedFiles:
        removed = self._store.remove(folder.prefix, last=LAST)
        self._erase(folder, listed)
        return removed

    def _erase(self, folder: JobFolder, listed: ListedRecords) -> None:
        """Remove what is noted of a folder that is gone. A pin is looked for anyway: one that was refused stays."""
        self._store.delete(pin_key(folder.group, folder.job))
        if listed.record:
            self._store.delete(extension_key(folder.group, folder.job))
        if listed.sighting:
            self._store.delete(first_seen_key(folder.group, folder.job))
        self._store.delete(removal_key(folder.group, folder.job))

    def _is_there(self, folder: JobFolder) -> bool:
        return next(iter(self._store.list(folder.prefix)), None) is not None

    def _note_removed(self, folder: JobFolder) -> None:
        """Let a PhJob that tells of a later end, or of none, know that its artifacts are gone, or going."""
        now = int(self._clock())
        if folder.phjob is not None and not 0 < folder.phjob.status_expiry <= now:
            try:
                self._jobs.annotate_expiry(folder.phjob, -now)
            except ApiError as error:
                logger.warning("not noted as removed", group=folder.group, job=folder.job, error=error)

    def _note_run(self, begun: float, due: int, left: Sequence[Candidate], good: bool = False) -> None:
        """Let every replica know of a run over all groups."""
        now = self._clock()
        run = LastRun(now, max(0.0, now - begun), due, _oldest_expiry(left))
        write_last_run(self._store, run)
        self._metrics.set_last_run(run)
        if good:
            write_last_success(self._store, now)
            self._metrics.cleanup_last_success.set(now)

    def _tidy(self, survey: Survey) -> None:
        """Forget what is noted of folders that are gone."""
        for group, job in survey.orphans:
            try:
                self._forget(stored_folder(self._jobs, group, job), survey.notes.of(group, job))
            except ArtifactError as error:  # one that fails stops no other
                logger.warning("not forgotten", group=group, job=job, error=error)

    def _tell(self, cleaned: CleanupResult, groups: Sequence[str] | None) -> None:
        self._count(groups, "failure" if cleaned.failed else "success")
        logger.info(
            "cleaned",
            looked_at=cleaned.plan.looked_at,
            due=len(cleaned.plan.due),
            removed=cleaned.removed,
            files=cleaned.files,
            bytes=cleaned.bytes,
            failed=cleaned.failed,
        )

    def _forget(self, folder: JobFolder, listed: ListedRecords) -> None:
        """End a removal that was killed at its end; remove what is noted of a job that is gone with its folder."""
        if self._is_there(folder):
            return
        if listed.removal:
            self._note_removed(folder)
        elif folder.phjob is not None or self._may_come_back(folder):
            return
        self._erase(folder, listed)

    def _may_come_back(self, folder: JobFolder) -> bool:
        """Whether somebody decided to keep a folder that is not there: for as long as a job may, it is waited for."""
        try:
            record = self._look.record(folder)
        except InvalidDocument:
            return True
        pinned_until = record.pin.at + self._parts.rules.maximum if record.pin else 0
        return max(pinned_until, record.until or 0) > self._clock()

    @contextmanager
    def _counting_failures(self, groups: Sequence[str] | None) -> Iterator[None]:
        try:
            yield
        except CleanupRefused as error:
            self._count(groups, "refused")
            logger.error("refused to clean", why=error)
            raise
        except ConflictError:  # another replica cleans
            raise
        except BaseException:
            self._count(groups, "failure")
            raise

    def _count(self, groups: Sequence[str] | None, result: str) -> None:
        """Of runs over all groups: what one's own groups come to, any user may try at any time."""
        if groups is None:
            self._metrics.cleanup_runs.labels(result).inc()


_KEPT = RemovedFiles(-1, 0)


def _oldest_expiry(left: Sequence[Candidate]) -> float:
    """Since when the oldest of what was left behind has been due; 0: nothing was."""
    return min((each.expires_at for each in left if each.expires_at is not None), default=0.0)
