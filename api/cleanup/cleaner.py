"""The interface of the cleanup, as GraphQL and the timetable see it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from api.auth.caller import Caller
from api.folder import JobFolder
from api.store.store import Removed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A job folder that the cleanup looked at. `due`: it would go now; `why`: a clause that says why, or why not."""

    group: str
    job: str
    due: bool
    expires_at: float | None
    why: str


@dataclass(frozen=True)
class Plan:
    """What a run would do. `refusal`: why a run would stop for removing too much at once, or ""."""

    looked_at: int
    due: Sequence[Candidate]
    kept: Sequence[Candidate] = ()
    refusal: str = ""


@dataclass(frozen=True)
class Cleaned:
    """What a run did: job folders removed, files and bytes in them, job folders that could not be looked at or removed
    wholly; `left`: those of them that are due."""

    removed: int = 0
    files: int = 0
    bytes: int = 0
    failed: int = 0
    plan: Plan = field(default_factory=lambda: Plan(0, ()))
    left: Sequence[Candidate] = ()


class Cleaner(Protocol):
    """Removes job folders. Methods raise Unavailable where the store or the jobs fail."""

    def plan(self, groups: Sequence[str] | None) -> Plan:
        """What a run over `groups` (None: all) would remove, and why. Removes nothing."""

    def clean(self, groups: Sequence[str] | None, *, force: bool = False) -> Cleaned:
        """Remove what is due in `groups` (None: all). Raises Conflict while another run goes on, and Refused where the
        run would remove suspiciously much and is not forced to."""

    def missing_groups(self, groups: Sequence[str]) -> Sequence[str]:
        """Those of `groups` that have no folder in the store. Raises BadInput for a name that no group can have."""

    def delete(self, folder: JobFolder, caller: Caller) -> Removed:
        """Remove a job's artifacts now, expired or not. Raises Conflict until its sidecar has ended, or where they are
        pinned; NotFound where there are none; NotAuthorized. Leaves an audit line in the log."""
