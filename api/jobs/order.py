"""Orders of PhJobs. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from api.jobs.job import Job

_SORT_VALUES: dict[str, Callable[[Job], str]] = {
    "displayName": lambda job: job.display_name.casefold(),
    "schedule": lambda job: "",
    "createTime": lambda job: job.create_time,
    "userName": lambda job: job.user_name.casefold(),
    "groupName": lambda job: job.group.casefold(),
    "phase": lambda job: job.phase,
}

SortKey = tuple[str, str]


class JobOrder(NamedTuple):
    """An order of jobs by one field of PhJobOrderByInput; equal jobs are ordered by id."""

    field: str
    descending: bool

    def sort_key(self, job: Job) -> SortKey:
        """Return the job's sort key."""
        return _SORT_VALUES[self.field](job), job.id

    def sort(self, jobs: Iterable[Job]) -> list[Job]:
        """Return the jobs in this order."""
        return sorted(jobs, key=self.sort_key, reverse=self.descending)

    def count_before(self, jobs: Sequence[Job], key: SortKey, *, inclusive: bool = False) -> int:
        """Count the jobs before the key, or up to the key if `inclusive`. `jobs` must be in this order."""

        def is_after(job: Job) -> bool:
            job_key = self.sort_key(job)
            if job_key == key:
                return not inclusive
            return job_key < key if self.descending else job_key > key

        return bisect_left(jobs, True, key=is_after)


NEWEST_FIRST = JobOrder("createTime", descending=True)
