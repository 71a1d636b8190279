"""Writes the termination message, a summary that Kubernetes stores in the container's status."""

import contextlib
import os
import threading
import time

from artifacts.report import Count, Report
from artifacts.summary import format_summary

_MIN_INTERVAL_SECONDS = 1.0


class TerminationMessage:
    """Writes the summary to `path`, so that a reader always finds a complete one.

    The file is a mount of its own, so it cannot be replaced by a rename.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._written_at = 0.0  # on the monotonic clock
        self._lock = threading.Lock()  # the sync thread writes progress, the main thread the end

    def write(self, report: Report, todo: Count | None = None, lag_seconds: float | None = None) -> None:
        """Replace the summary. Errors are ignored, since Kubernetes cannot read a file that cannot be written."""
        content = format_summary(report, todo, lag_seconds)
        self._written_at = time.monotonic()
        with self._lock, contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(fd, content.ljust(os.fstat(fd).st_size), 0)
            finally:
                os.close(fd)

    def write_progress(self, report: Report, todo: Count) -> None:
        """Replace the summary, but at most once a second."""
        if time.monotonic() - self._written_at >= _MIN_INTERVAL_SECONDS:
            self.write(report, todo)
