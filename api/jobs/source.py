"""The interface of a source of PhJobs: Kubernetes, or the files of local mode.

A source caches the PhJobs, so that reading one costs no request.
"""

from collections.abc import Sequence
from typing import Protocol

from api.jobs.job import Draft, Job
from api.jobs.order import NEWEST_FIRST, JobOrder


class JobSource(Protocol):
    """A source of PhJobs. Every method raises ServiceUnavailable if the source cannot be reached."""

    def get(self, job: str) -> Job | None:
        """Return the PhJob of that name, or None."""

    def read(self, job: Job) -> Job:
        """Read the PhJob with its whole command and its options, which the cache may lack.

        Raises NotFoundError if the PhJob is gone.
        """

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        """Return all PhJobs as of one moment, in this order. The caller must not change the list."""

    def create(self, draft: Draft) -> Job:
        """Create a PhJob under a new name. Raises BadInput if the draft is invalid."""

    def cancel(self, job: Job) -> None:
        """Request the end of the job; do nothing if it has ended. Raises NotFoundError if the PhJob is gone."""

    def is_collecting(self, job: Job) -> bool:
        """Whether main or the sidecar may still run, so that the artifacts may still change. Does not use the cache."""

    def has_active_pod(self, group: str, job: str) -> bool:
        """Whether the job's pod may still run. The PhJob may be gone: its pod is given time to end."""

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        """Annotate the PhJob with its artifacts' expiry, so that the PhJob outlives them.

        `expired_at` is in UNIX seconds; negative: the artifacts were removed at that time.
        """

    def annotate_missing(self, job: Job, since: int) -> None:
        """Annotate the PhJob with when its artifacts were found missing (UNIX seconds); 0 removes the annotation."""

    def check(self) -> None:
        """Raise ServiceUnavailable if the source has not been read yet, or its data is too old."""
