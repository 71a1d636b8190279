"""The termination message: a summary that Kubernetes keeps in the container's status when the pod has gone."""

import contextlib
import os
import threading
import time

from artifacts.report import Count, Report
from artifacts.summary import format_summary

_LEAST_SECONDS = 1.0


class Termination:
    """Writes the summary to `path`, whole at every moment: it is mounted alone, so it cannot be renamed over."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0.0
        self._lock = threading.Lock()  # the syncing thread tells of its progress, the main one of the end

    def write(self, report: Report, todo: Count | None = None, lag_seconds: float | None = None) -> None:
        """Replace the summary. Where it cannot be written, nobody will read it either: that is no error."""
        content = format_summary(report, todo, lag_seconds)
        self._written = time.monotonic()
        with self._lock, contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(fd, content.ljust(os.fstat(fd).st_size), 0)
            finally:
                os.close(fd)

    def write_progress(self, report: Report, todo: Count) -> None:
        """The same, at most once a second."""
        if time.monotonic() - self._written >= _LEAST_SECONDS:
            self.write(report, todo)
