"""PhJobs as files: taking a name, writing, and the lock that tells a running job from an abandoned one.

Apart from `phjob` because this touches the disk. A job's name is taken by making its folder, which only one
runner can; from then on its files belong to that runner alone.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artifacts.errors import ArtifactError
from local.places import Places


class NotStarted(ArtifactError):
    """The job cannot be started; the message says why and what to do."""


def claim(places: Places) -> int:
    """Make the job's places and take its lock; returns the lock's descriptor, to be kept open.

    Raises NotStarted where anything of that name is there already: nothing is overwritten.
    """
    try:
        _make_parents(places)
        for trace in (places.phjob, places.store):
            if os.path.lexists(trace):
                raise _taken(places, trace)
        try:
            places.folder.mkdir()
        except FileExistsError as error:
            raise _taken(places, places.folder) from error
        descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        places.home.mkdir()
        (places.home / "phfs").symlink_to(places.phfs)
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}"
        raise NotStarted(f"cannot make the job's folders: {reason}. Choose another place with --data") from error
    return descriptor


def is_running(places: Places) -> bool:
    """Whether the job's runner lives, whatever its PhJob says."""
    try:
        descriptor = os.open(places.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Put `document` at `path` as JSON; whoever reads finds the old one or the new one, whole."""
    temporary = path.with_name(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.rename(path)


def _make_parents(places: Places) -> None:
    # Jobs' files are nobody else's business; below, the collector's own modes hold.
    places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for parent in (places.phjob.parent, places.folder.parent, places.phfs):
        parent.mkdir(parents=True, exist_ok=True)


def _taken(places: Places, trace: Path) -> NotStarted:
    what = "is running" if is_running(places) else "was here before"
    return NotStarted(
        f"a job named {places.job!r} {what} ({trace}). Choose another --name, or leave it out for a new one"
    )
