"""Examines the job folders and decides which are due, and whether a run that removes them is plausible."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from api.cleanup.blocked import BlockedFolders, is_blocked
from api.cleanup.parallel import map_ordered, workers_for
from api.errors import ApiError
from api.folder import JobFolder, job_folders_prefix, stored_folder
from api.jobs.source import JobSource
from api.retention.evidence_reader import EvidenceReader, ListedRecords
from api.retention.expiry import (
    MAX_CLOCK_SKEW_SECONDS,
    Evidence,
    RetentionPolicy,
    compute_retention,
    is_removal_pending,
    needs_first_seen_record,
)
from api.retention.record import EXTENSIONS, FIRST_SEEN, PINS, REMOVALS, removal_key
from api.retention.service import DAY_SECONDS, apply_record
from api.store.store import Store
from artifacts.errors import InvalidDocument, InvalidName, StoreError
from artifacts.log import get_logger
from artifacts.names import check_job_name, group_path

_MAX_LISTINGS = 8  # at once; each holds the names of a group's jobs
_MAX_LOGGED_FOLDERS = 1000

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job folder that the cleanup examined. `is_due`: a run would remove it now. `reason` explains `is_due`.

    `has_begun`: an earlier run, which the guard allowed, has begun the removal.
    """

    group: str
    job: str
    is_due: bool
    expires_at: float | None
    reason: str
    has_begun: bool = False


@dataclass(frozen=True)
class CleanupPlan:
    """What a run would do. `refusal` is why the guard would refuse the run, or "".

    If `complete` is False, there was no time to examine all job folders, and `refusal` is unknown.
    """

    examined_count: int
    due: Sequence[Candidate]
    kept: Sequence[Candidate] = ()
    refusal: str = ""
    blocked: BlockedFolders = field(default_factory=lambda: BlockedFolders(set()))
    complete: bool = True


@dataclass(frozen=True)
class CleanupContext:
    """The dependencies of a survey. `clock` returns UNIX seconds."""

    store: Store
    jobs: JobSource
    policy: RetentionPolicy
    max_workers: int
    clock: Callable[[], float]


@dataclass
class RecordIndex:
    """The jobs that have records outside `groups/`, by group: decisions, first-seen times, removal markers."""

    decisions: dict[str, set[str]] = field(default_factory=dict)
    first_seen: dict[str, set[str]] = field(default_factory=dict)
    removals: dict[str, set[str]] = field(default_factory=dict)

    def records_of(self, group: str, job: str) -> ListedRecords:
        """Return which records the job has."""
        return ListedRecords(*(job in jobs.get(group, ()) for jobs in self._all()))

    def jobs_of(self, group: str) -> set[str]:
        """Return the group's jobs that have any record."""
        return set().union(*(jobs.get(group, ()) for jobs in self._all()))

    def groups(self) -> set[str]:
        """Return the groups that have any record."""
        return set().union(*self._all())

    def _all(self) -> tuple[dict[str, set[str]], ...]:
        return self.decisions, self.first_seen, self.removals


class Survey:
    """Examines the job folders of `groups` (None: all) while it is iterated, in the order of group and job.

    `repair` also copies records to expiry files after a crash, and records first-seen times. `logged_folders` are the
    invalid or blocked folders that an earlier survey has logged. A folder that cannot be examined is yielded as not
    due, and counted in `failed`, or in `blocked` if its owner is the cause.
    """

    def __init__(
        self, context: CleanupContext, groups: Sequence[str] | None, logged_folders: set[str], *, repair: bool = False
    ) -> None:
        self._context, self._groups, self._logged, self._repair = context, groups, logged_folders, repair
        self._reader = EvidenceReader(context.store, context.policy, context.clock)
        self.failed = self.examined_count = 0
        self.blocked = BlockedFolders(logged_folders)
        self.index = RecordIndex()
        self.orphans: list[tuple[str, str]] = []  # group and job of records without a job folder

    def __iter__(self) -> Generator[Candidate]:
        """Yield the job folders. Raises StoreError if groups or records cannot be listed."""
        self.index = RecordIndex(
            self._list_records(PINS, EXTENSIONS), self._list_records(FIRST_SEEN), self._list_records(REMOVALS)
        )
        groups = self._selected_groups()
        workers = workers_for(self._context.store, self._context.max_workers)
        listings = map_ordered(groups, self._list_jobs, replace(workers, threads=min(workers.threads, _MAX_LISTINGS)))
        folders = ((group, job) for group, jobs in listings for job in self._add_orphans(group, jobs))
        for candidate, error in map_ordered(folders, self._examine, workers):
            self.examined_count += 1
            if isinstance(error, StoreError) and is_blocked(error):
                self.blocked.add(job_folders_prefix(candidate.group) + candidate.job, error)
            elif error:
                self.failed += 1
            yield candidate
        if self._groups is None:
            for group in sorted(self.index.groups().difference(groups)):
                self._add_orphans(group, ())

    def _selected_groups(self) -> list[str]:
        if self._groups is None:
            return list(self._list_folders("groups/", group_path))
        return sorted({group_path(group) for group in self._groups})

    def _examine(self, group_and_job: tuple[str, str]) -> tuple[Candidate, Exception | None]:
        """Return the candidate, and the error if examining it has failed."""
        group, job = group_and_job
        problem: Exception
        try:
            return self._examine_folder(stored_folder(self._context.jobs, group, job))
        except (StoreError, ApiError) as error:
            if is_blocked(error):
                return Candidate(group, job, False, None, f"its owner blocks the cleanup: {error}"), error
            logger.warning("job folder not examined", group=group, job=job, error=error)
            problem = error
        except Exception as error:  # an unexpected error in one folder must not stop the others
            logger.exception("job folder not examined", group=group, job=job)
            problem = error
        return Candidate(group, job, False, None, "it could not be examined"), problem

    def _examine_folder(self, folder: JobFolder) -> tuple[Candidate, Exception | None]:
        now, listed = self._context.clock(), self.index.records_of(folder.group, folder.job)
        evidence = self._reader.read(folder, now, listed, complete=listed.has_decision)
        if evidence.record_error:
            logger.error(
                "retention record unreadable", group=folder.group, job=folder.job, reason=evidence.record_error
            )
        elif self._repair:
            self._repair_records(folder, evidence, now, listed)
        retention = compute_retention(evidence, now, self._context.policy)
        is_due = retention.has_expired(now)
        candidate = Candidate(
            folder.group, folder.job, is_due, retention.expires_at, retention.reason, listed.has_removal
        )
        error = InvalidDocument("the retention record", evidence.record_error) if evidence.record_error else None
        return candidate, error

    def _repair_records(self, folder: JobFolder, evidence: Evidence, now: float, listed: ListedRecords) -> None:
        context = self._context
        if listed.has_removal and not is_removal_pending(evidence, now):
            self._drop_stale_removal(folder, now)
        if not compute_retention(evidence, now, context.policy).has_expired(now):
            apply_record(context.store, context.jobs, folder, evidence)
        if needs_first_seen_record(evidence, now, context.policy):
            self._reader.record_first_seen(folder, now)
            self.index.first_seen.setdefault(folder.group, set()).add(folder.job)

    def _drop_stale_removal(self, folder: JobFolder, now: float) -> None:
        """Delete the marker of a removal that was killed before it saw the decision that keeps the artifacts.

        For a day the marker stays: the removal may still be in progress.
        """
        started_at = self._reader.read_removal_start(folder)
        if started_at is not None and started_at + DAY_SECONDS < now:
            self._context.store.delete(removal_key(folder.group, folder.job))

    def _list_jobs(self, group: str) -> tuple[str, list[str] | StoreError]:
        """Return the group and the names of its job folders, or the error if they cannot be listed."""
        try:
            return group, list(self._list_folders(job_folders_prefix(group), check_job_name))
        except StoreError as error:
            return group, error

    def _add_orphans(self, group: str, jobs: Sequence[str] | StoreError) -> Sequence[str]:
        """Collect the group's records without a job folder. Returns `jobs`, or () if they could not be listed."""
        if isinstance(jobs, StoreError):
            if is_blocked(jobs):
                self.blocked.add(job_folders_prefix(group).rstrip("/"), jobs)
            else:
                logger.warning("job folders not listed", group=group, error=jobs)
                self.failed += 1
            return ()
        if recorded := self.index.jobs_of(group):
            self.orphans += [(group, job) for job in sorted(recorded.difference(jobs))]
        return jobs

    def _list_folders(self, prefix: str, check: Callable[[str], str]) -> Iterator[str]:
        """Yield the folders below `prefix` with names that `check` returns unchanged. Others are logged once."""
        for item in self._context.store.list(prefix, recursive=False):
            if item.size is not None:
                continue
            name = item.name.rstrip("/")
            if _is_valid(name, check):
                yield name
            else:
                self._log_invalid(prefix + name)

    def _log_invalid(self, folder: str) -> None:
        if folder not in self._logged and len(self._logged) < _MAX_LOGGED_FOLDERS:
            self._logged.add(folder)
            logger.warning("folder ignored", folder=folder, reason="its name is not a valid group or job name")

    def _list_records(self, *prefixes: str) -> dict[str, set[str]]:
        records: dict[str, set[str]] = {}
        for item in chain.from_iterable(self._context.store.list(f"{prefix}/") for prefix in prefixes):
            group, _, job = item.name.partition("/")
            if _is_valid(group, group_path) and _is_valid(job, check_job_name):
                records.setdefault(group, set()).add(job)
        return records


def find_excess(due_count: int, examined_count: int, max_share: float, floor: int) -> str:
    """Return why a run that removes `due_count` of `examined_count` jobs is refused, or "".

    A wrong clock, a lost setting or a partly mounted store would make a run remove too much. That
    cannot be undone.
    """
    if due_count <= floor or due_count <= max_share * examined_count:
        return ""
    return (
        f"{due_count} of {examined_count} jobs are due, more than {floor} and more than {max_share:.0%} of all: "
        "check the plan, and force the cleanup if it is right"
    )


def find_clock_problem(local_time: float, store_time: float) -> str:
    """Return why the clocks of this machine and of the store forbid a run, or ""."""
    seconds = local_time - store_time
    if abs(seconds) <= MAX_CLOCK_SKEW_SECONDS:
        return ""
    return (
        f"this machine's clock is {abs(seconds):.0f} seconds {'ahead of' if seconds > 0 else 'behind'} the store's: "
        "correct the wrong clock, or force the cleanup"
    )


def _is_valid(name: str, check: Callable[[str], str]) -> bool:
    try:
        return check(name) == name
    except InvalidName:
        return False
