"""Creates and updates PhJob files, claims job names, and distinguishes running jobs from abandoned ones by a file lock.

A runner claims a job by creating its run folder, which only one process can do. From then on only that runner writes
the job's files, except for the PhJob's `spec`, which others may change to request something.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from artifacts.errors import ArtifactError, InvalidDocument
from local.documents import lock_documents, read_document, write_document
from local.paths import JobPaths
from local.phjob import PhJob
from local.queue import RunnerState


class StartError(ArtifactError):
    """A job or a server cannot be started. The message contains the reason and what to do."""


class NameTaken(StartError):
    """A job with that name exists or existed: `path` is one of its files."""

    def __init__(self, paths: JobPaths, path: Path) -> None:
        state = "is running" if runner_state(paths) == "running" else "exists already"
        advice = "Choose another --name, or omit it to get a new name"
        super().__init__(f"a job named {paths.job!r} {state} ({path}). {advice}")
        self.path = path


def make_data_directory(data: Path) -> Path:
    """Create the data directory if necessary, and return the folder of the PhJobs' files. Raises StartError."""
    folder = data / "phjobs"
    with _start_errors():
        # Private to this user. Below it, the collector sets the modes.
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
    return folder


def claim(paths: JobPaths, is_queued: bool) -> int:
    """Create the job's folders and lock them. Returns the lock's descriptor, which must stay open.

    Raises:
        NameTaken: a job with that name exists; nothing is overwritten. A queued job may have its PhJob's file.
        StartError: the folders cannot be created; the name is free again.
    """
    make_data_directory(paths.data)
    with _start_errors():
        for parent in (paths.run_folder.parent, paths.phfs):
            parent.mkdir(parents=True, exist_ok=True)
        _check_absent(paths, (paths.run_folder, paths.job_folder) if is_queued else paths.reserved_paths)
        try:
            paths.run_folder.mkdir()
        except FileExistsError as error:
            raise NameTaken(paths, paths.run_folder) from error
        try:
            return _fill_run_folder(paths)
        except OSError:
            release_claim(paths)
            raise


def release_claim(paths: JobPaths) -> None:
    """Remove the run folder of a job that was claimed but does not start, so that its name can be used again."""
    shutil.rmtree(paths.run_folder, ignore_errors=True)


def add_phjob(paths: JobPaths, phjob: PhJob, absent: Sequence[Path]) -> None:
    """Write the file of a new PhJob.

    Raises:
        NameTaken: one of the paths `absent` exists.
        StartError: the file cannot be written.
    """
    folder = make_data_directory(paths.data)
    with _start_errors(), lock_documents(folder):
        _check_absent(paths, absent)
        write_document(paths.phjob, phjob)


def write_status(path: Path, phjob: PhJob) -> None:
    """Write the PhJob's status, and keep changes that others made to the rest of the file. Raises OSError."""
    with lock_documents(path.parent):
        try:
            current = read_document(path)
        except (OSError, InvalidDocument):
            current = phjob
        write_document(path, {**current, "status": phjob["status"]})


def runner_state(paths: JobPaths) -> RunnerState:
    """Return the state of the job's runner from its run folder and lock. The PhJob's own status does not matter."""
    if not os.path.lexists(paths.run_folder):
        return "none"
    try:
        descriptor = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "claimed"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "running"
    finally:
        os.close(descriptor)
    return "abandoned"


def _check_absent(paths: JobPaths, absent: Sequence[Path]) -> None:
    for path in absent:
        if os.path.lexists(path):
            raise NameTaken(paths, path)


def _fill_run_folder(paths: JobPaths) -> int:
    descriptor = _create_lock(paths.lock)
    paths.home.mkdir()
    (paths.home / "phfs").symlink_to(paths.phfs)
    return descriptor


def _create_lock(path: Path) -> int:
    """Create a file that is locked from the moment it appears at `path`, and return its descriptor."""
    temporary = path.with_name(".lock.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    temporary.rename(path)
    return descriptor


@contextlib.contextmanager
def _start_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # The error of a failed write, such as on a full disk, has no file name.
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        raise StartError(f"cannot create the job's folders: {reason}. Choose another directory with --data") from error
