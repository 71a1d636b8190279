"""Looks at every job folder of the groups that are to be cleaned: which are due, and why."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from api.cleanup.parallel import map_ordered
from api.errors import ApiError
from api.folder import JobFolder, job_folders_prefix, stored_folder
from api.jobs.source import JobSource
from api.retention.evidence_reader import EvidenceReader, ListedRecords
from api.retention.expiry import (
    MAX_CLOCK_SKEW_SECONDS,
    Evidence,
    Retention,
    RetentionPolicy,
    compute_retention,
    is_removal_pending,
    needs_first_seen_record,
)
from api.retention.record import EXTENSIONS, FIRST_SEEN, PINS, REMOVALS, removal_key
from api.retention.service import DAY_SECONDS, apply_record
from api.store.store import Store
from artifacts.errors import InvalidName, StoreError
from artifacts.log import get_logger
from artifacts.names import check_job_name, group_path

_LISTINGS = 8  # groups listed at once
_MAX_TOLD = 1000

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job folder that the cleanup looked at. `due`: it would go now; `why`: a clause that says why, or why not."""

    group: str
    job: str
    due: bool
    expires_at: float | None
    why: str


@dataclass(frozen=True)
class CleanupPlan:
    """What a run would do. `refusal`: why a run would stop for removing too much at once, or ""."""

    looked_at: int
    due: Sequence[Candidate]
    kept: Sequence[Candidate] = ()
    refusal: str = ""


@dataclass
class RecordIndex:
    """What lies outside `groups/`, by group: the jobs that have a record, a time of first sight, the mark of a
    removal."""

    records: dict[str, set[str]] = field(default_factory=dict)
    sightings: dict[str, set[str]] = field(default_factory=dict)
    removals: dict[str, set[str]] = field(default_factory=dict)

    def of(self, group: str, job: str) -> ListedRecords:
        """What there is of that job."""
        return ListedRecords(*(job in jobs.get(group, ()) for jobs in (self.records, self.sightings, self.removals)))

    def jobs(self, group: str) -> set[str]:
        """The jobs of the group of which there is anything."""
        return set().union(*(jobs.get(group, ()) for jobs in (self.records, self.sightings, self.removals)))

    def groups(self) -> set[str]:
        """The groups of which there is anything."""
        return self.records.keys() | self.sightings.keys() | self.removals.keys()


@dataclass(frozen=True)
class CleanupContext:
    """What a survey works with. `clock` tells UNIX seconds."""

    store: Store
    jobs: JobSource
    rules: RetentionPolicy
    workers: int
    clock: Callable[[], float]


class Survey:
    """One look at the job folders of `groups` (None: all), as it is iterated: in order of group and job.

    `mend`: also bring in line what a crash left, and note folders that are seen for the first time. `told`: folders
    whose strange names were told already. One that fails is told as kept, and counted in `failed`.
    """

    def __init__(
        self, parts: CleanupContext, groups: Sequence[str] | None, told: set[str], *, mend: bool = False
    ) -> None:
        self.parts, self._groups, self._told, self._mend = parts, groups, told, mend
        self._look = EvidenceReader(parts.store, parts.rules)
        self.failed = self.looked_at = 0
        self.notes = RecordIndex()
        self.orphans: list[tuple[str, str]] = []  # group and job of notes without a job folder

    def __iter__(self) -> Iterator[Candidate]:
        """Raises StoreError where groups or notes cannot be listed."""
        self.notes = RecordIndex(self._noted(PINS, EXTENSIONS), self._noted(FIRST_SEEN), self._noted(REMOVALS))
        groups = self._chosen_groups()
        listed = map_ordered(groups, self._jobs_of, _LISTINGS)
        folders = ((group, job) for group, jobs in listed for job in self._listed(group, jobs))
        for found, is_failure in map_ordered(folders, self._examine, self.parts.workers):
            self.looked_at += 1
            self.failed += is_failure
            yield found
        if self._groups is None:
            for group in sorted(self.notes.groups().difference(groups)):
                self._listed(group, ())

    def _chosen_groups(self) -> list[str]:
        if self._groups is None:
            return list(self._names("groups/", group_path))
        return sorted({group_path(group) for group in self._groups})

    def _examine(self, folder: tuple[str, str]) -> tuple[Candidate, bool]:
        group, job = folder
        try:
            return self._examined(stored_folder(self.parts.jobs, group, job))
        except (StoreError, ApiError) as error:
            logger.warning("not looked at", group=group, job=job, error=error)
        except Exception:  # one folder that nobody thought of stops no other
            logger.exception("not looked at", group=group, job=job)
        return Candidate(group, job, False, None, "it could not be looked at"), True

    def _examined(self, folder: JobFolder) -> tuple[Candidate, bool]:
        now, listed = self.parts.clock(), self.notes.of(folder.group, folder.job)
        evidence = self._look.evidence(folder, now, listed, whole=listed.record)
        if evidence.record_problem:
            logger.error("unreadable record", group=folder.group, job=folder.job, why=evidence.record_problem)
        elif self._mend:
            self._mended(folder, evidence, now, listed)
        found = candidate(folder.group, folder.job, compute_retention(evidence, now, self.parts.rules), now)
        return found, bool(evidence.record_problem)

    def _mended(self, folder: JobFolder, evidence: Evidence, now: float, listed: ListedRecords) -> None:
        parts = self.parts
        if listed.removal and not is_removal_pending(evidence, now):
            self._give_up_removal(folder, now)
        if not compute_retention(evidence, now, parts.rules).has_expired(now):
            apply_record(parts.store, parts.jobs, folder, evidence)
        if needs_first_seen_record(evidence, now, parts.rules):
            self._look.note_first_sight(folder, now)
            self.notes.sightings.setdefault(folder.group, set()).add(folder.job)

    def _give_up_removal(self, folder: JobFolder, now: float) -> None:
        """Remove the mark of one that was killed before it saw what holds the artifacts; it may be under way yet."""
        since = self._look.removing_since(folder)
        if since is not None and since + DAY_SECONDS < now:
            self.parts.store.delete(removal_key(folder.group, folder.job))

    def _jobs_of(self, group: str) -> tuple[str, list[str] | None]:
        """The names of a group's job folders; None where they cannot be listed."""
        try:
            return group, list(self._names(job_folders_prefix(group), check_job_name))
        except StoreError as error:
            logger.warning("not listed", group=group, error=error)
            return group, None

    def _listed(self, group: str, jobs: Sequence[str] | None) -> Sequence[str]:
        """A group's job folders as they are listed; what is noted of others of this group is orphaned."""
        if jobs is None:
            self.failed += 1
            return ()
        if noted := self.notes.jobs(group):
            self.orphans += [(group, job) for job in sorted(noted.difference(jobs))]
        return jobs

    def _names(self, prefix: str, check: Callable[[str], str]) -> Iterator[str]:
        """The folders below `prefix` that `check` gives back as they are; others are none of ours, and told once."""
        for item in self.parts.store.list(prefix, recursive=False):
            name = item.name.rstrip("/")
            if item.size is None and _is_name(name, check):
                yield name
            elif item.size is None and prefix + name not in self._told and len(self._told) < _MAX_TOLD:
                self._told.add(prefix + name)
                logger.warning("left alone", folder=prefix + name, why="its name is none that we give")

    def _noted(self, *places: str) -> dict[str, set[str]]:
        noted: dict[str, set[str]] = {}
        for item in chain.from_iterable(self.parts.store.list(f"{place}/") for place in places):
            group, _, job = item.name.partition("/")
            if _is_name(group, group_path) and _is_name(job, check_job_name):
                noted.setdefault(group, set()).add(job)
        return noted


def _is_name(name: str, check: Callable[[str], str]) -> bool:
    try:
        return check(name) == name
    except InvalidName:
        return False


def candidate(group: str, job: str, term: Retention, now: float) -> Candidate:
    """A job folder that was looked at."""
    return Candidate(group, job, term.has_expired(now), term.expires_at, term.why)


def refusal(due: int, looked_at: int, share: float, floor: int) -> str:
    """Why a run that would remove `due` of `looked_at` jobs stops, or "": a wrong clock, a lost setting or a store
    half mounted would make it remove too much, and nothing brings it back."""
    if due <= floor or due <= share * looked_at:
        return ""
    return (
        f"{due} of {looked_at} jobs are due, more than {floor} and more than {share:.0%} of all: "
        "look at the plan, and clean with force if it is right"
    )


def clock_problem(here: float, store: float) -> str:
    """Why the clocks of this machine and of the store forbid a run, or ""."""
    seconds = here - store
    if abs(seconds) <= MAX_CLOCK_SKEW_SECONDS:
        return ""
    return (
        f"this machine's clock is {abs(seconds):.0f} seconds {'ahead of' if seconds > 0 else 'behind'} the store's: "
        "set the one that is wrong, or clean with force"
    )
