"""PhJobs as files: taking a name, queueing, and the lock that tells a running job from an abandoned one.

Apart from `phjob` because this touches the disk. A job is started by making its folder, which only one runner
can; from then on its files belong to that runner alone, but for what others ask for in the PhJob's `spec`.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from artifacts.errors import ArtifactError, InvalidDocument
from local.documents import changing, read_document, write_document
from local.phjob import PhJob
from local.places import Places
from local.queue import Trace


class NotStarted(ArtifactError):
    """The job cannot be started; the message says why and what to do."""


class Taken(NotStarted):
    """There is, or was, a job of that name: `trace` is what it left."""

    def __init__(self, places: Places, trace: Path) -> None:
        what = "is running" if trace_of(places) == "running" else "was here before"
        advice = "Choose another --name, or leave it out for a new one"
        super().__init__(f"a job named {places.job!r} {what} ({trace}). {advice}")
        self.trace = trace


def make_data(data: Path) -> Path:
    """Make the data directory if needed; returns the folder of the PhJobs' files. Raises NotStarted."""
    folder = data / "phjobs"
    with _telling():
        # Jobs' files are nobody else's business; below, the collector's own modes hold.
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
    return folder


def claim(places: Places, queued: bool) -> int:
    """Make the job's places and take its lock; returns the lock's descriptor, to be kept open.

    Raises Taken where anything of that name is there already, but for a queued job's PhJob: nothing is
    overwritten. Raises NotStarted where the places cannot be made; the name is free again then.
    """
    make_data(places.data)
    with _telling():
        for parent in (places.folder.parent, places.phfs):
            parent.mkdir(parents=True, exist_ok=True)
        _refuse(places, (places.folder, places.store) if queued else places.traces)
        try:
            places.folder.mkdir()
        except FileExistsError as error:
            raise Taken(places, places.folder) from error
        try:
            return _furnish(places)
        except OSError:
            give_back(places)
            raise


def give_back(places: Places) -> None:
    """Remove the folder of a job that was claimed and does not start, so that its name can be used again."""
    shutil.rmtree(places.folder, ignore_errors=True)


def add_phjob(places: Places, phjob: PhJob, traces: Sequence[Path]) -> None:
    """Write a PhJob that is new. Raises Taken where any of `traces` is there, else NotStarted where it fails."""
    folder = make_data(places.data)
    with _telling(), changing(folder):
        _refuse(places, traces)
        write_document(places.phjob, phjob)


def write_status(path: Path, phjob: PhJob) -> None:
    """Write the PhJob's status; the rest stays as others have changed it meanwhile. Raises OSError."""
    with changing(path.parent):
        try:
            found = read_document(path)
        except (OSError, InvalidDocument):
            found = phjob
        write_document(path, {**found, "status": phjob["status"]})


def trace_of(places: Places) -> Trace:
    """What a job's folder tells of it, whatever its PhJob says."""
    if not os.path.lexists(places.folder):
        return "none"
    try:
        descriptor = os.open(places.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return "claimed"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "running"
    finally:
        os.close(descriptor)
    return "left"


def _refuse(places: Places, traces: Sequence[Path]) -> None:
    for trace in traces:
        if os.path.lexists(trace):
            raise Taken(places, trace)


def _furnish(places: Places) -> int:
    descriptor = _make_lock(places.lock)
    places.home.mkdir()
    (places.home / "phfs").symlink_to(places.phfs)
    return descriptor


def _make_lock(path: Path) -> int:
    """Make a lock that is held from the first instant it can be seen; returns its descriptor."""
    temporary = path.with_name(".lock.tmp")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    temporary.rename(path)
    return descriptor


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A write that fails (a full disk) names no file.
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        raise NotStarted(f"cannot make the job's folders: {reason}. Choose another place with --data") from error
