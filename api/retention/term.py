"""Until when a job's artifacts are kept, and the interface of what knows and changes it."""

from dataclasses import dataclass
from typing import Protocol

from api.auth.caller import Caller
from api.folder import JobFolder


@dataclass(frozen=True)
class Term:
    """`expires_at` is in UNIX seconds, None where no end is known: the job runs, or the artifacts are pinned.

    `pinned_by`, `pinned_at` (UNIX seconds) and `note`: who pinned, when and why. `why`: a clause that says where the
    term comes from.
    """

    expires_at: float | None
    pinned: bool = False
    pinned_by: str = ""
    pinned_at: float | None = None
    note: str = ""
    why: str = ""

    def has_expired(self, now: float) -> bool:
        """Whether the artifacts are refused, and due for the cleanup."""
        return not self.pinned and self.expires_at is not None and self.expires_at <= now


class Terms(Protocol):
    """Knows the terms. What people decide is written to a record outside `groups/` first, then to both expiry files
    and the PhJob's note. Methods raise Unavailable where the store or the jobs fail."""

    def of(self, folder: JobFolder) -> Term:
        """The term as it stands."""

    def extend(self, folder: JobFolder, until: int, caller: Caller) -> Term:
        """Keep until `until` (UNIX seconds). Raises BadInput for a time that is past, sooner than now kept, or beyond
        the administrator's bound; Expired where the term is over; NotAuthorized."""

    def pin(self, folder: JobFolder, note: str, caller: Caller) -> Term:
        """Keep until unpinned. Raises Expired where the term is over; NotAuthorized."""

    def unpin(self, folder: JobFolder, caller: Caller) -> Term:
        """Let the term end again, no sooner than in a day. Raises NotAuthorized."""
