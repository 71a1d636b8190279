"""Where local mode keeps things below its data directory.

Paths only; nothing is touched here.

    phjobs/<job>.json                the PhJob
    phfs/groups/<group path>/        the group's PHFS, at the same place as in an object store
    jobs/<job>/home/                 the working directory, a pod's /home/jovyan
    jobs/<job>/lock                  held (flock) for as long as the job's runner lives
    jobs/<job>/main.log              what main says, where nobody waits to hear it
    jobs/<job>/{sidecar.log,termination-log,main-status.json}
"""

from dataclasses import dataclass
from pathlib import Path

from artifacts.errors import InvalidName
from artifacts.layout import job_folder
from artifacts.names import MAX_NAME_BYTES, check_job_name, group_path

_MAX_JOB_NAME = MAX_NAME_BYTES - len(".json")


@dataclass(frozen=True)
class Places:
    """The places of one job. `data` is an absolute path without links."""

    data: Path
    group: str
    job: str

    def __post_init__(self) -> None:
        """Raise InvalidName for a group or job that may not be one."""
        group_path(self.group)
        if len(check_job_name(self.job)) > _MAX_JOB_NAME:
            raise InvalidName("job", self.job, f"its PhJob is kept in a file: use at most {_MAX_JOB_NAME} characters")

    @property
    def phjob(self) -> Path:
        return self.data / "phjobs" / f"{self.job}.json"

    @property
    def phfs(self) -> Path:
        return self.data / "phfs" / "groups" / group_path(self.group)

    @property
    def store(self) -> Path:
        """The job folder: where the artifacts go."""
        return self.phfs / job_folder(self.job)

    @property
    def folder(self) -> Path:
        return self.data / "jobs" / self.job

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def artifacts(self) -> Path:
        return self.home / "artifacts"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def traces(self) -> tuple[Path, ...]:
        """Where a job of this name would have left something."""
        return (self.phjob, self.folder, self.store)

    @property
    def main_log(self) -> Path:
        return self.folder / "main.log"

    @property
    def sidecar_log(self) -> Path:
        return self.folder / "sidecar.log"

    @property
    def termination_log(self) -> Path:
        return self.folder / "termination-log"

    @property
    def main_status(self) -> Path:
        return self.folder / "main-status.json"
