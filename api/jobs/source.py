"""The interface of where PhJobs come from: Kubernetes, or local mode's files.

Reading never costs a request per job: a source keeps what it has seen.
"""

from collections.abc import Sequence
from typing import Protocol

from api.jobs.job import Draft, Job


class Jobs(Protocol):
    """A source of PhJobs. Every method raises Unavailable where the source cannot be reached."""

    def get(self, job: str) -> Job | None:
        """The PhJob of that name, or None."""

    def all(self) -> Sequence[Job]:
        """All PhJobs at one moment, in no order."""

    def create(self, draft: Draft) -> Job:
        """Create a PhJob under a new name. Raises BadInput for what it cannot be made of."""

    def cancel(self, job: Job) -> None:
        """Ask for the job's end; nothing happens to one that has ended. Raises NotFound where it is gone."""

    def is_collecting(self, job: Job) -> bool:
        """Whether main or the sidecar may still run, asked anew: what lies in the store may still change."""

    def may_run(self, group: str, job: str) -> bool:
        """The same of a job whose PhJob may be gone: its pod is given time to end."""

    def note_expiry(self, job: Job, expired_at: int) -> None:
        """Note on the PhJob until when its artifacts are kept (UNIX seconds), so that it outlives them; with a minus,
        when they were removed."""

    def check(self) -> None:
        """Raise Unavailable where the source has not been read yet, or what was read is too old."""
