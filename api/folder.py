"""Resolves job folders: the only module of the API that relates groups, PhJobs and callers to folders in the store.

A job belongs to its PhJob's group or, if the PhJob is gone, to its folder's group. Jobs that do not exist and jobs that
the caller may not see get the same error.
"""

from dataclasses import dataclass

from api.auth.caller import Caller
from api.errors import NotAuthorized, job_not_found
from api.jobs.job import Job
from api.jobs.source import JobSource
from artifacts.errors import InvalidName
from artifacts.layout import JOB_ARTIFACTS, job_prefix
from artifacts.names import check_job_name, group_path


@dataclass(frozen=True)
class JobFolder:
    """One job's folder in the store. `group` is a group path; `phjob` is None if the PhJob is gone."""

    group: str
    job: str
    phjob: Job | None = None

    @property
    def prefix(self) -> str:
        """The folder's key prefix in the store; ends with a slash."""
        return job_prefix(self.group, self.job)


def group_path_or_none(group: str) -> str | None:
    """Return the group path of a group's name, or None if the name is invalid."""
    try:
        return group_path(group)
    except InvalidName:
        return None


def job_folders_prefix(group: str) -> str:
    """Return the key prefix of all job folders of a group path; ends with a slash."""
    return f"groups/{group}/{JOB_ARTIFACTS}/"


def visible_group(caller: Caller, group: str) -> str:
    """Return the group path. Raises NotAuthorized if the caller may not see the group, or its name is invalid."""
    path = group_path_or_none(group)
    if path is None or not caller.can_see(group):
        raise NotAuthorized("user not auth: the group is not one of yours")
    return path


def visible_job(jobs: JobSource, caller: Caller, job: str) -> Job:
    """Return the PhJob. Raises NotFoundError if it does not exist or the caller may not see it."""
    phjob = jobs.get(job)
    if phjob is None or not caller.can_see(phjob.group):
        raise job_not_found(job)
    return phjob


def folder_of_phjob(phjob: Job) -> JobFolder | None:
    """Return the PhJob's folder, or None if its group or name is invalid; such a job has no artifacts."""
    try:
        return JobFolder(group_path(phjob.group), check_job_name(phjob.id), phjob)
    except InvalidName:
        return None


def folder_by_id(jobs: JobSource, caller: Caller, job: str) -> JobFolder:
    """Return the folder of the PhJob `job`. Raises NotFoundError if it does not exist or the caller may not see it."""
    folder = folder_of_phjob(visible_job(jobs, caller, job))
    if folder is None:
        raise job_not_found(job)
    return folder


def folder_by_group(jobs: JobSource, caller: Caller, group: str, job: str) -> JobFolder:
    """Return the folder of `job` in `group` (a name or a path), even if the PhJob is gone.

    Does not check that the folder exists in the store. Raises NotFoundError if the caller may not see it, or the PhJob
    belongs to another group.
    """
    try:
        path, phjob = group_path(group), jobs.get(check_job_name(job))
    except InvalidName as error:
        raise job_not_found(job) from error
    if (phjob is not None and not _is_of_group(phjob, path)) or not caller.can_see(group):
        raise job_not_found(job)
    return JobFolder(path, job, phjob)


def stored_folder(jobs: JobSource, group: str, job: str) -> JobFolder:
    """Return the folder at a group path and a job name found in the store. Does not check permissions.

    Its `phjob` is None if the PhJob is gone, or the PhJob of that name belongs to another group.
    """
    phjob = jobs.get(job)
    return JobFolder(group, job, phjob if phjob is not None and _is_of_group(phjob, group) else None)


def _is_of_group(phjob: Job, path: str) -> bool:
    return group_path_or_none(phjob.group) == path
