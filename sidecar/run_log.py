"""Logs the milestones of a run for users, each once: the start, the first files, a limit exceeded, and the outcome.

Files that cannot be stored are logged when the failure changes, and in the last sync for each attempt.
"""

import logging
import math
import time

from artifacts import __version__
from artifacts.log import get_logger
from artifacts.report import INCOMPLETE_REASONS, REASONS, Report, Skipped
from artifacts.settings import SidecarSettings
from sidecar.globs import glob_problems
from sidecar.outcome import format_files_and_size, limit_message

logger = get_logger(__name__)


class RunLog:
    """The log of one job's run."""

    def __init__(self) -> None:
        self._has_files = self._is_over_limit = False

    def log_start(self, settings: SidecarSettings) -> None:
        """Log that the sidecar has started."""
        limit = format_files_and_size(settings.limit_files, settings.limit_size_bytes)
        logger.info(
            "sidecar started", version=__version__, folder=settings.path, limit=limit, over_limit=settings.over_limit
        )
        for problem in glob_problems(settings.include + settings.exclude):
            logger.warning("check the globs", problem=problem)

    def log_progress(self, report: Report) -> None:
        """After a sync while main runs, log that the first files are stored, or that a limit is newly exceeded."""
        files = report.collected.files
        if files and not self._has_files:
            logger.info("first files stored", files=files, bytes=report.collected.bytes)
        if report.limit_exceeded and not self._is_over_limit:
            logger.warning("limit exceeded", policy=report.over_limit, message=limit_message(report))
        self._has_files, self._is_over_limit = self._has_files or files > 0, report.limit_exceeded

    def log_main_ended(self, max_seconds: float) -> None:
        """Log that main has ended and that the last sync, which may take `max_seconds`, has started."""
        max_text = "unlimited" if max_seconds == math.inf else round(max_seconds, 1)
        logger.info("main ended, last sync started", max_seconds=max_text)

    def log_outcome(self, report: Report, lag_seconds: float) -> None:
        """Log the outcome, `lag_seconds` after main's end, and a line for each reason why files were not collected."""
        level = logging.INFO if report.state in ("sealed", "empty") else logging.WARNING
        expires_at = "none"
        if report.expired_at:
            expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(report.expired_at))
        logger.log(
            level,
            "artifacts sealed" if report.sealed_at else "artifacts not sealed",
            state=report.state,
            files=report.collected.files,
            bytes=report.collected.bytes,
            lag_seconds=round(lag_seconds, 3),
            expires_at=expires_at,
            message=report.message,
        )
        for reason, row in sorted(report.skipped.items()):
            _log_skipped(reason, row)


class FailureLog:
    """Logs files that could not be stored but will be tried again."""

    _REASONS = ("source_error", "store_error", "store_conflict", "not_reached")

    def __init__(self) -> None:
        self._logged: list[tuple[str, str]] = []

    def log_change(self, report: Report) -> None:
        """After a sync while main runs, log the failure if the previous sync did not fail in the same way."""
        failure = [(reason, report.skipped[reason].detail) for reason in self._REASONS if reason in report.skipped]
        if failure != self._logged and failure and report.state == "syncing":
            files, reasons, error = self._describe(report)
            logger.warning("files not stored, will be retried", files=files, reason=reasons, error=error)
        self._logged = failure

    def log_attempt(self, report: Report, pause: float | None) -> None:
        """Log that the last sync failed. `pause`: the seconds until the next attempt, or None if there is none."""
        files, reasons, error = self._describe(report)
        if files:
            logger.warning("last sync failed", files=files, reason=reasons, error=error, retry=format_pause(pause))

    def _describe(self, report: Report) -> tuple[int, str, str]:
        rows = {reason: report.skipped[reason] for reason in self._REASONS if reason in report.skipped}
        error = next((row.detail for row in rows.values() if row.detail), "")
        return sum(row.files for row in rows.values()), ",".join(rows), error


def format_pause(seconds: float | None) -> str:
    """Format the seconds until the next attempt."""
    return "no" if seconds is None else f"in {seconds:.1f} s"


def _log_skipped(reason: str, row: Skipped) -> None:
    is_warning = reason in INCOMPLETE_REASONS or reason in ("over_limit", "link_over_limit")
    level = logging.WARNING if is_warning else logging.INFO
    explanation = f"{REASONS[reason]} ({row.detail})" if row.detail else REASONS[reason]
    logger.log(
        level, "files not collected", reason=reason, files=row.files, first_path=row.paths[0], explanation=explanation
    )
