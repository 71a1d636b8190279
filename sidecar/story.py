"""What the log tells a user: that the sidecar runs, when the first files are kept, that a limit is passed, how it
ended, and what was left out. A line for each, once; what goes wrong in between is told where it does.
"""

import logging
import time

from artifacts import __version__
from artifacts.log import get_logger
from artifacts.report import INCOMPLETE_REASONS, REASONS, Report, Skipped
from artifacts.settings import SidecarSettings
from sidecar.verdict import files_and_size, over_limit

log = get_logger(__name__)


class Story:
    """Of one job."""

    def __init__(self) -> None:
        self._is_kept = self._is_exceeded = False

    def start(self, settings: SidecarSettings) -> None:
        """The sidecar runs."""
        limit = files_and_size(settings.limit_files, settings.limit_size_bytes)
        log.info("started", version=__version__, folder=settings.path, limit=limit, over_limit=settings.over_limit)

    def look(self, report: Report) -> None:
        """A sync has ended while main runs."""
        kept = report.collected.files
        if kept and not self._is_kept:
            log.info("first files are in the store", files=kept, bytes=report.collected.bytes)
        if report.limit_exceeded and not self._is_exceeded:
            log.warning("a limit is passed, for now", policy=report.over_limit, message=over_limit(report))
        self._is_kept, self._is_exceeded = self._is_kept or kept > 0, report.limit_exceeded

    def end(self, seconds: float) -> None:
        """Main has ended, and the last sync has begun; at most so many seconds are left."""
        log.info("main has ended, the last sync is under way", most_seconds=round(seconds, 1))

    def tell(self, report: Report, seconds: float) -> None:
        """How it ended, so many seconds after main."""
        level = logging.INFO if report.state in ("sealed", "empty") else logging.WARNING
        expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(report.expired_at)) if report.expired_at else "none"
        kept = report.collected
        log.log(
            level,
            "artifacts",
            state=report.state,
            files=kept.files,
            bytes=kept.bytes,
            seconds=round(seconds, 3),
            expires=expiry,
            message=report.message,
        )
        for reason, row in sorted(report.skipped.items()):
            _tell_left_out(reason, row)


def _tell_left_out(reason: str, row: Skipped) -> None:
    level = logging.WARNING if reason in INCOMPLETE_REASONS or reason == "over_limit" else logging.INFO
    why = f"{REASONS[reason]} ({row.detail})" if row.detail else REASONS[reason]
    log.log(level, "left out", reason=reason, files=row.files, first=row.paths[0], why=why)
