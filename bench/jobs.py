"""A source of PhJobs in memory, for measurements of the API and the cleanup."""

from collections.abc import Iterable, Sequence

from api.jobs.job import Draft, Job
from api.jobs.order import NEWEST_FIRST, JobOrder
from api.jobs.sorted_jobs import SortedJobs


class EndedJobs:
    """A job source in which all jobs have ended."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._sorted = SortedJobs()
        self._sorted.replace(self._jobs)

    def get(self, job: str) -> Job | None:
        """Return the job, or None."""
        return self._jobs.get(job)

    def read(self, job: Job) -> Job:
        """Return the job, which has all its fields."""
        return job

    def all(self, order: JobOrder = NEWEST_FIRST) -> Sequence[Job]:
        """Return all jobs in this order."""
        return self._sorted.all(order)

    def change(self, job: Job) -> None:
        """Replace the job of the same id."""
        self._jobs[job.id] = job
        self._sorted.put(job.id, job)

    def create(self, draft: Draft) -> Job:
        """Not supported."""
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        """Not supported."""
        raise NotImplementedError

    def is_collecting(self, job: Job) -> bool:
        """Return False, because all jobs have ended."""
        return False

    def has_active_pod(self, group: str, job: str) -> bool:
        """Return False, because no job has a pod."""
        return False

    def annotate_expiry(self, job: Job, expired_at: int) -> None:
        """Do nothing."""

    def annotate_missing(self, job: Job, since: int) -> None:
        """Do nothing."""

    def check(self) -> None:
        """Do nothing: the jobs are always available."""
