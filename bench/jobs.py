"""A source of PhJobs in memory, for measurements of the API and the cleanup."""

from collections.abc import Iterable, Sequence

from api.jobs.job import Draft, Job


class EndedJobs:
    """A job source in which all jobs have ended."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = {job.id: job for job in jobs}

    def get(self, job: str) -> Job | None:
        return self._jobs.get(job)

    def all(self) -> Sequence[Job]:
        return list(self._jobs.values())

    def create(self, draft: Draft) -> Job:
        raise NotImplementedError

    def cancel(self, job: Job) -> None:
        raise NotImplementedError

    def is_collecting(self, job: Job) -> bool:
        return False

    def has_active_pod(self, group: str, job: str) -> bool:
        return False

    def annotate_expiry(self, job: Job, expired_at: int) -> None: ...

    def check(self) -> None: ...
