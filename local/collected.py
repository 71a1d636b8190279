"""What the collector left of one job: its last words, its report, and the files in the job folder.

The job folder is the job's to write to, so links and FIFOs may lie where files are looked for: nothing here
follows the ones or waits for the others.
"""

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api.listing import is_reserved
from artifacts import report, summary
from artifacts.errors import InvalidDocument
from artifacts.layout import REPORT
from artifacts.report import Count, Report, Skipped
from local.documents import read_regular
from local.places import Places


@dataclass(frozen=True)
class Listing:
    """The files in a job folder: how many, their bytes, and the first of them in the order of their paths."""

    total: Count
    first: list[tuple[str, int]]


def list_files(folder: Path, most: int) -> Listing:
    """The artifacts in the job folder, without the collector's own files; `most` of them by name.

    What cannot be looked at is left out.
    """
    total = Count()

    def counted() -> Iterator[tuple[str, int]]:
        for path, size in _walk(folder):
            total.files += 1
            total.bytes += size
            yield path, size

    return Listing(first=heapq.nsmallest(most, counted()), total=total)


def read_termination(path: Path) -> dict[str, Any] | None:
    """The sidecar's last words so far, or None where it has not said any."""
    try:
        return summary.read_summary(read_regular(path, 2 * summary.MAX_BYTES))
    except (OSError, InvalidDocument):
        return None


def read_outcome(places: Places, uid: str) -> Report:
    """What became of this run's (`uid`) artifacts, now that it is over: the report, else the last words."""
    found = _read_report(places.store / REPORT, uid) or _from_termination(places)
    if found.state == "syncing":
        return replace(found, state="incomplete", message=_no_end(places))
    return found


def _read_report(path: Path, uid: str) -> Report | None:
    try:
        found = report.read_report(read_regular(path, report.MAX_BYTES))
    except (OSError, InvalidDocument):
        return None
    return found if found.pod_uid == uid else None


def _from_termination(places: Places) -> Report:
    words = read_termination(places.termination_log)
    if words is None:
        return Report(places.job, state="incomplete", message=_no_end(places))
    return Report(
        places.job,
        state=words["state"],
        message=words["message"],
        expired_at=words.get("expiredAt", 0),
        limit_exceeded=words["limitExceeded"],
        found=Count(words.get("foundFiles", 0), words.get("foundBytes", 0)),
        collected=Count(words.get("files", 0), words.get("bytes", 0)),
        skipped={reason: Skipped(files) for reason, files in words.get("skipped", {}).items()},
    )


def _no_end(places: Places) -> str:
    return f"the collector ended before its last sync: see {places.sidecar_log}"


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    if os.path.islink(folder):
        return
    for parent, folders, names in os.walk(folder):
        if parent == str(folder):
            folders[:] = [name for name in folders if not is_reserved(name)]
        for name in names:
            path = os.path.join(parent, name)
            try:
                status = os.lstat(path)
            except OSError:  # the job may have closed the folder; the rest is listed all the same
                continue
            if stat.S_ISREG(status.st_mode):
                yield os.path.relpath(path, folder), status.st_size
