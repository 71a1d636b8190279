"""The paths of a job's files below the data directory. Computes paths only, does not touch the disk.

phjobs/<job>.json                the PhJob
phfs/groups/<group path>/        the group's PHFS, at the same path as in an object store
jobs/<job>/home/                 the working directory, as /home/jovyan in a pod
jobs/<job>/lock                  locked (flock) while the job's runner lives
jobs/<job>/main.log              main's output, if the job was queued
jobs/<job>/{sidecar.log,termination-log,main-status.json}
"""

from dataclasses import dataclass
from pathlib import Path

from artifacts.errors import InvalidName
from artifacts.layout import job_folder
from artifacts.names import MAX_NAME_BYTES, check_job_name, group_path

_MAX_JOB_NAME_LENGTH = MAX_NAME_BYTES - len(".json")


@dataclass(frozen=True)
class JobPaths:
    """The paths of one job. `data` must be absolute and without links."""

    data: Path
    group: str
    job: str

    def __post_init__(self) -> None:
        """Raise InvalidName if the group or the job has an invalid name."""
        group_path(self.group)
        if len(check_job_name(self.job)) > _MAX_JOB_NAME_LENGTH:
            reason = f"it is part of a file name: use at most {_MAX_JOB_NAME_LENGTH} characters"
            raise InvalidName("job", self.job, reason)

    @property
    def phjob(self) -> Path:
        """The PhJob's file."""
        return self.data / "phjobs" / f"{self.job}.json"

    @property
    def phfs(self) -> Path:
        """The group's shared folder."""
        return self.data / "phfs" / "groups" / group_path(self.group)

    @property
    def job_folder(self) -> Path:
        """The job folder in the store, with the copies of the artifacts."""
        return self.phfs / job_folder(self.job)

    @property
    def run_folder(self) -> Path:
        """The folder that the runner creates for the job; its existence claims the name."""
        return self.data / "jobs" / self.job

    @property
    def home(self) -> Path:
        """Main's working directory."""
        return self.run_folder / "home"

    @property
    def artifacts(self) -> Path:
        """The artifacts folder, which main creates if it has artifacts."""
        return self.home / "artifacts"

    @property
    def lock(self) -> Path:
        """The runner's lock."""
        return self.run_folder / "lock"

    @property
    def reserved_paths(self) -> tuple[Path, ...]:
        """The paths of which none may exist when a new job with this name is created."""
        return (self.phjob, self.run_folder, self.job_folder)

    @property
    def main_log(self) -> Path:
        """Main's output, if the job was queued."""
        return self.run_folder / "main.log"

    @property
    def sidecar_log(self) -> Path:
        """The sidecar's log."""
        return self.run_folder / "sidecar.log"

    @property
    def termination_log(self) -> Path:
        """The sidecar's termination summary."""
        return self.run_folder / "termination-log"

    @property
    def main_status(self) -> Path:
        """The file from which the sidecar learns how main ended."""
        return self.run_folder / "main-status.json"
