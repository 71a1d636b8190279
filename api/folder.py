"""A job's folder in the store as a caller may see it: the one place where group, PhJob and caller meet.

The group of the PhJob decides; where the PhJob is gone, the group of the folder. Absent and foreign look alike.
"""

from dataclasses import dataclass

from api.auth.caller import Caller
from api.errors import no_such_job
from api.jobs.job import Job
from api.jobs.source import Jobs
from artifacts.errors import InvalidName
from artifacts.layout import job_prefix
from artifacts.names import check_job_name, group_path


@dataclass(frozen=True)
class JobFolder:
    """Where one job's artifacts lie. `group` is a group path; `phjob`: None where it is gone."""

    group: str
    job: str
    phjob: Job | None = None

    @property
    def prefix(self) -> str:
        """The folder's prefix in the store, with its closing slash."""
        return job_prefix(self.group, self.job)


def folder_of_job(jobs: Jobs, caller: Caller, job: str) -> JobFolder:
    """The folder of the PhJob `job`. Raises NotFound where it is absent, or the caller may not see it."""
    phjob = jobs.get(job)
    if phjob is None or not caller.may_see(phjob.group):
        raise no_such_job(job)
    try:
        return JobFolder(group_path(phjob.group), check_job_name(phjob.id), phjob)
    except InvalidName as error:
        raise no_such_job(job) from error


def folder_of_group(jobs: Jobs, caller: Caller, group: str, job: str) -> JobFolder:
    """The folder of `job` in `group` (a name or a path), whose PhJob may be gone. Raises NotFound.

    Whether there is such a folder in the store is not looked at.
    """
    try:
        path, phjob = group_path(group), jobs.get(check_job_name(job))
        if phjob is not None and group_path(phjob.group) != path:
            raise no_such_job(job)
    except InvalidName as error:
        raise no_such_job(job) from error
    if not caller.may_see(group):
        raise no_such_job(job)
    return JobFolder(path, job, phjob)
