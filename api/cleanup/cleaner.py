"""Runs the cleanup: examine all job folders, refuse if too many are due, then remove one folder after another."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from api.auth.caller import Caller
from api.cleanup.blocked import BlockedFolders, is_blocked
from api.cleanup.locks import CleanupLock
from api.cleanup.parallel import map_ordered, workers_for
from api.cleanup.remover import FolderRemover
from api.cleanup.state import LastRun, store_time, write_last_run, write_last_success
from api.cleanup.survey import Candidate, CleanupContext, CleanupPlan, Survey, find_clock_problem, find_excess
from api.errors import (
    ApiError,
    BadInput,
    CleanupRefused,
    ConflictError,
    NotAuthorized,
    ServiceUnavailable,
    store_errors_as_unavailable,
)
from api.folder import JobFolder, stored_folder
from api.jobs.job import collected_files
from api.jobs.source import JobSource
from api.metrics import ApiMetrics
from api.retention.evidence_reader import ListedRecords
from api.retention.expiry import RetentionPolicy
from api.retention.service import caller_name
from api.settings import ApiSettings
from api.store.store import RemovedFiles, Store
from artifacts.errors import ArtifactError, InvalidName, StoreError
from artifacts.log import get_logger
from artifacts.names import group_path

_KEPT, _BLOCKED = RemovedFiles(-1, 0), RemovedFiles(-2, 0)  # the folder stays; compared by identity

logger = get_logger(__name__)


@dataclass(frozen=True)
class CleanupResult:
    """What a run did: the number of removed job folders, of their files and bytes, and of folders that failed.

    `remaining` are the due folders that could not be removed completely. `blocked` are the folders that their owners
    closed; they are neither failed nor remaining, since no retry removes them.
    """

    removed: int = 0
    files: int = 0
    bytes: int = 0
    failed: int = 0
    plan: CleanupPlan = field(default_factory=lambda: CleanupPlan(0, ()))
    remaining: Sequence[Candidate] = ()
    blocked: BlockedFolders = field(default_factory=lambda: BlockedFolders(set()))


class Cleaner:
    """Plans and runs the cleanup. `clock` returns UNIX seconds.

    Methods raise ServiceUnavailable if the store or the jobs cannot be reached.
    """

    def __init__(
        self,
        store: Store,
        jobs: JobSource,
        settings: ApiSettings,
        metrics: ApiMetrics,
        lock: CleanupLock,
        clock: Callable[[], float],
    ) -> None:
        policy = RetentionPolicy(settings.retention_seconds, settings.max_retention_seconds)
        self._context = CleanupContext(store, jobs, policy, settings.cleanup_workers, clock)
        self._max_share, self._floor = settings.cleanup_max_share, settings.cleanup_floor
        self._store, self._jobs, self._metrics, self._lock, self._clock = store, jobs, metrics, lock, clock
        self._remover = FolderRemover(store, jobs, policy, clock)
        self._logged_folders: set[str] = set()
        self._stopping = threading.Event()
        self._plan_lock = threading.Lock()

    def plan(self, groups: Sequence[str] | None, max_seconds: float = math.inf) -> CleanupPlan:
        """Return what a run over `groups` (None: all) would remove, and why. Writes nothing.

        After `max_seconds`, the plan is incomplete. Only one plan is computed at a time; another one waits at most as
        long for its turn, and then ServiceUnavailable is raised.
        """
        with self._hold_plan_lock(max_seconds), store_errors_as_unavailable():
            self._jobs.check()
            deadline = time.monotonic() + max_seconds
            survey = Survey(self._context, groups, self._logged_folders)
            due: list[Candidate] = []
            kept: list[Candidate] = []
            complete = True
            with closing(iter(survey)) as candidates:
                for candidate in candidates:
                    (due if candidate.is_due else kept).append(candidate)
                    if time.monotonic() >= deadline:
                        complete = False
                        break
            refusal = self._find_excess(due, survey) if complete else ""
            return CleanupPlan(survey.examined_count, due, kept, refusal, survey.blocked, complete)

    def clean(self, groups: Sequence[str] | None, *, force: bool = False) -> CleanupResult:
        """Remove the job folders of `groups` (None: all) that are due.

        Raises:
            ConflictError: another run is in progress.
            CleanupRefused: a clock is wrong or too many folders are due, and the run is not forced.
        """
        started_at = self._clock()
        with self._count_failures(groups), self._lock.hold() as is_held, store_errors_as_unavailable():
            self._jobs.check()
            if not force and (problem := find_clock_problem(self._clock(), store_time(self._store))):
                raise CleanupRefused(problem)
            survey = Survey(self._context, groups, self._logged_folders, repair=True)
            due = [candidate for candidate in self._check_while(is_held, survey) if candidate.is_due]
            plan = CleanupPlan(survey.examined_count, due, refusal=self._find_excess(due, survey))
            if plan.refusal and not force:
                if groups is None:
                    self._record_run(started_at, len(due), due, survey.blocked)
                raise CleanupRefused(plan.refusal)
            result = self._remove_all(plan, survey, is_held)
            self._remove_orphaned_records(survey)
            if groups is None:
                self._record_run(
                    started_at, len(due), result.remaining, result.blocked, has_succeeded=not result.failed
                )
            self._report(result, groups)
            return result

    def delete(self, folder: JobFolder, caller: Caller) -> RemovedFiles:
        """Remove a job's artifacts now, expired or not, and log who did it. Without artifacts, does nothing.

        Raises:
            ConflictError: the artifacts are pinned, or the job or its collector still runs.
            NotAuthorized: the caller may not delete them.
        """
        if not caller.can_change(folder.group):
            raise NotAuthorized("only members of the group and administrators may delete these artifacts")
        with store_errors_as_unavailable():
            reason = self._remover.find_reason_to_keep(folder, is_deletion=True)
            if not reason and self._has_nothing_to_delete(folder):
                return RemovedFiles(0, 0)
            if not reason:
                was_marked = self._remover.has_marker(folder)
                reason = self._remover.begin(folder, was_marked=was_marked, is_deletion=True)
            if reason:
                raise ConflictError(f"the artifacts of {folder.job} cannot be deleted now: {reason}")
            self._remover.delete_extension(folder)
            self._remover.annotate_removal(folder)
            removed = self._remover.remove(folder, ListedRecords())
        logger.info(
            "artifacts deleted",
            group=folder.group,
            job=folder.job,
            files=removed.files,
            bytes=removed.bytes,
            user=caller_name(caller),
        )
        return removed

    def missing_groups(self, groups: Sequence[str]) -> Sequence[str]:
        """Return the groups that have no folder in the store. Raises BadInput for an invalid group name."""
        with store_errors_as_unavailable():
            return [group for group in groups if not self._has_folder(group)]

    def check(self) -> None:
        """Raise ServiceUnavailable if the PhJobs have not been read; every run requires them."""
        self._jobs.check()

    def stop(self) -> None:
        """Stop a run in progress before its next job folder, and refuse new runs. For the end of the process."""
        self._stopping.set()

    def _has_nothing_to_delete(self, folder: JobFolder) -> bool:
        """Whether the job has no folder and no collected files.

        If somebody removed the folder by hand, the deletion must still update the records and the PhJob.
        """
        if folder.phjob is not None and collected_files(folder.phjob).files:
            return False
        return not self._remover.exists(folder)

    @contextmanager
    def _hold_plan_lock(self, max_seconds: float) -> Iterator[None]:
        if not self._plan_lock.acquire(timeout=min(max_seconds, threading.TIMEOUT_MAX)):
            raise ServiceUnavailable("another cleanup plan is being computed: retry in a few seconds")
        try:
            yield
        finally:
            self._plan_lock.release()

    def _has_folder(self, group: str) -> bool:
        try:
            prefix = f"groups/{group_path(group)}/"
        except InvalidName as error:
            raise BadInput(str(error)) from error
        closed: list[StoreError] = []
        items = self._store.list(prefix, recursive=False, on_unreadable=closed.append)
        return next(items, None) is not None or bool(closed)

    def _find_excess(self, due: Sequence[Candidate], survey: Survey) -> str:
        # Folders that their owners closed are due in each run; a user could make each run exceed the limits with them.
        new = sum(not candidate.has_begun for candidate in due)
        return find_excess(new, survey.examined_count, self._max_share, self._floor)

    def _check_while(self, is_held: Callable[[], bool], survey: Survey) -> Iterator[Candidate]:
        for candidate in survey:
            self._check_may_continue(is_held)
            yield candidate

    def _check_may_continue(self, is_held: Callable[[], bool]) -> None:
        if self._stopping.is_set():
            raise ServiceUnavailable("the service is stopping; the next cleanup resumes")
        if not is_held():
            raise ServiceUnavailable("this cleanup has lost its lock and stopped; the next cleanup resumes")

    def _remove_all(self, plan: CleanupPlan, survey: Survey, is_held: Callable[[], bool]) -> CleanupResult:
        jobs = files = size = 0
        remaining: list[Candidate] = []
        self._metrics.cleanup_failed.inc(survey.failed)

        def work(candidate: Candidate) -> RemovedFiles | None:
            return self._remove_due(candidate, survey, is_held)

        workers = workers_for(self._store, self._context.max_workers)
        with closing(map_ordered(plan.due, work, workers)) as removals:
            for candidate, removed in zip(plan.due, removals, strict=True):
                self._check_may_continue(is_held)
                if removed is None:
                    remaining.append(candidate)
                    self._metrics.cleanup_failed.inc()
                elif removed is not _KEPT and removed is not _BLOCKED:
                    jobs, files, size = jobs + 1, files + removed.files, size + removed.bytes
        return CleanupResult(jobs, files, size, len(remaining) + survey.failed, plan, remaining, survey.blocked)

    def _remove_due(self, due: Candidate, survey: Survey, is_held: Callable[[], bool]) -> RemovedFiles | None:
        """Check a due folder again and remove it.

        Returns None if that failed, _KEPT if the folder must stay, and _BLOCKED if its owner closed a part of it.
        """
        try:
            self._check_may_continue(is_held)
            folder = stored_folder(self._jobs, due.group, due.job)
            listed = survey.index.records_of(due.group, due.job)
            if reason := self._remover.begin(folder, was_marked=listed.has_removal):
                logger.info("artifacts kept", group=due.group, job=due.job, reason=reason)
                return _KEPT
            removed = self._remover.remove(folder, listed)
            self._remover.annotate_removal(folder)
        except (StoreError, ApiError) as error:
            if isinstance(error, StoreError) and is_blocked(error):
                survey.blocked.add(folder.prefix.rstrip("/"), error)
                return _BLOCKED
            logger.warning("artifacts not removed", group=due.group, job=due.job, error=error)
            return None
        except Exception:  # an unexpected error in one folder must not stop the others
            logger.exception("artifacts not removed", group=due.group, job=due.job)
            return None
        self._metrics.cleanup_removed.inc()
        self._metrics.cleanup_freed_bytes.inc(removed.bytes)
        logger.info(
            "artifacts removed",
            group=due.group,
            job=due.job,
            files=removed.files,
            bytes=removed.bytes,
            reason=due.reason,
        )
        return removed

    def _record_run(
        self,
        started_at: float,
        due: int,
        remaining: Sequence[Candidate],
        blocked: BlockedFolders,
        has_succeeded: bool = False,
    ) -> None:
        """Store the result of a run over all groups, for all replicas."""
        now = self._clock()
        oldest_due = min((c.expires_at for c in remaining if c.expires_at is not None), default=0.0)
        run = LastRun(now, max(0.0, now - started_at), due, oldest_due, blocked.count, blocked.first)
        write_last_run(self._store, run)
        self._metrics.set_last_run(run)
        if has_succeeded:
            write_last_success(self._store, now)
            self._metrics.cleanup_last_success.set(now)

    def _remove_orphaned_records(self, survey: Survey) -> None:
        for group, job in survey.orphans:
            try:
                folder, listed = stored_folder(self._jobs, group, job), survey.index.records_of(group, job)
                self._remover.remove_orphaned_records(folder, listed)
            except ArtifactError as error:  # an error in one record must not stop the others
                logger.warning("orphaned records not removed", group=group, job=job, error=error)

    def _report(self, result: CleanupResult, groups: Sequence[str] | None) -> None:
        self._count_run(groups, "failure" if result.failed else "success")
        logger.info(
            "cleanup finished",
            examined=result.plan.examined_count,
            due=len(result.plan.due),
            removed=result.removed,
            files=result.files,
            bytes=result.bytes,
            failed=result.failed,
            blocked=result.blocked.count,
        )

    @contextmanager
    def _count_failures(self, groups: Sequence[str] | None) -> Iterator[None]:
        try:
            yield
        except CleanupRefused as error:
            self._count_run(groups, "refused")
            logger.error("cleanup refused", reason=error)
            raise
        except ConflictError:  # another replica runs the cleanup: not a failure
            raise
        except BaseException:
            self._count_run(groups, "failure")
            raise

    def _count_run(self, groups: Sequence[str] | None, result: str) -> None:
        """Count only runs over all groups; users can start runs over their own groups at will."""
        if groups is None:
            self._metrics.cleanup_runs.labels(result).inc()
