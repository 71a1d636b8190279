"""Reads the results of one job: the collector's report, its termination summary, and the files in the job folder.

The job can write to its job folder and replace any file by a link or a FIFO, so this module does not follow links and
does not wait for FIFOs.
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
from local.paths import JobPaths


@dataclass(frozen=True)
class JobFileListing:
    """The files in a job folder. `total` counts all files; `first` has path and size of the first files by path."""

    total: Count
    first: list[tuple[str, int]]


def list_files(folder: Path, limit: int) -> JobFileListing:
    """List the artifacts in a job folder, without the collector's own files. `first` has at most `limit` files.

    Files in unreadable folders are left out.
    """
    total = Count()

    def counted_files() -> Iterator[tuple[str, int]]:
        for path, size in _walk(folder):
            total.files += 1
            total.bytes += size
            yield path, size

    return JobFileListing(first=heapq.nsmallest(limit, counted_files()), total=total)


def read_summary(path: Path) -> dict[str, Any] | None:
    """Return the sidecar's termination summary, or None if it has not written a valid one yet."""
    try:
        return summary.read_summary(read_regular(path, 2 * summary.MAX_BYTES))
    except (OSError, InvalidDocument):
        return None


def read_result(paths: JobPaths, uid: str) -> Report:
    """Return the final report of the run with that `uid`.

    Call it after the sidecar has ended. If there is no sealed report, for example because the store is full, the
    termination summary counts. Without that too, a report that is still `syncing` becomes `incomplete`.
    """
    found = _read_report(paths.job_folder / REPORT, uid)
    if found is None or (not found.sealed_at and read_summary(paths.termination_log)):
        found = _report_from_summary(paths)
    if found.state == "syncing":
        return replace(found, state="incomplete", message=_unfinished_message(paths))
    return found


def _read_report(path: Path, uid: str) -> Report | None:
    try:
        found = report.read_report(read_regular(path, report.MAX_BYTES))
    except (OSError, InvalidDocument):
        return None
    return found if found.pod_uid == uid else None


def _report_from_summary(paths: JobPaths) -> Report:
    fields = read_summary(paths.termination_log)
    if fields is None:
        return Report(paths.job, state="incomplete", message=_unfinished_message(paths))
    return Report(
        paths.job,
        state=fields["state"],
        message=fields["message"],
        expired_at=fields.get("expiredAt", 0),
        limit_exceeded=fields["limitExceeded"],
        found=Count(fields.get("foundFiles", 0), fields.get("foundBytes", 0)),
        collected=Count(fields.get("files", 0), fields.get("bytes", 0)),
        skipped={
            reason: Skipped(files, fields.get("skippedBytes", {}).get(reason, 0))
            for reason, files in fields.get("skipped", {}).items()
        },
    )


def _unfinished_message(paths: JobPaths) -> str:
    return f"the collector ended before its last sync: see {paths.sidecar_log}"


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
            except OSError:  # the job may have made one folder unreadable; list the others
                continue
            if stat.S_ISREG(status.st_mode):
                yield os.path.relpath(path, folder), status.st_size
