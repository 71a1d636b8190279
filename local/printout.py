"""Formats a job's result for the console: PhJob, report and file listing in, lines of text out. Pure.

Names and messages come from the job, so control characters are escaped before they reach a terminal.
"""

import time
from typing import Any

from artifacts.report import REASONS, STATES, Report, Skipped
from local.phjob import EXIT_MESSAGE_PREFIX, PhJob
from local.results import JobFileListing
from sidecar.outcome import format_files_and_size, format_size

MAX_FILES_SHOWN = 20
_MAX_PATHS_SHOWN = 3

# Explanations that differ from those for a pod.
_LOCAL_REASONS = {
    "not_reached": "collecting ended before they were copied; --grace limits the time; the default is no limit",
    "outside_volumes": "links to files outside the job's working directory and ./phfs, which are not collected",
}


def format_result(phjob: PhJob, report: Report | None, listing: JobFileListing, job_folder: str) -> list[str]:
    """Return lines about the job's end, its artifacts, and the files that were not collected.

    `report` is None if collecting is switched off.
    """
    status = phjob["status"]
    ending = status["message"].removeprefix(EXIT_MESSAGE_PREFIX)
    lines = [f"{phjob['metadata']['name']}: {status['phase']} ({ending})"]
    if report is None:
        return [*lines, "artifacts: not collected, because PHJOB_ARTIFACT_ENABLED is false"]
    lines.append(f"artifacts ({report.state}): {printable(report.message or STATES[report.state])}")
    if listing.total.files:
        lines += _format_files(listing)
        lines.append(f"  stored in {job_folder}/, {_format_expiry(report.expired_at)}")
    if report.skipped:
        lines.append("not collected:")
        for reason, skipped in sorted(report.skipped.items()):
            lines += _format_skipped(reason, skipped)
    return lines


def format_progress(summary: dict[str, Any] | None) -> str:
    """Return a line on the progress of the last sync, or "" if the summary has none."""
    if not summary or not summary.get("todoFiles"):
        return ""
    return f"collecting artifacts: {format_files_and_size(summary['todoFiles'], summary.get('todoBytes', 0))} remaining"


def printable(text: str) -> str:
    """Escape characters that are not printable, as Python does in a string literal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _format_files(listing: JobFileListing) -> list[str]:
    lines = [f"  {format_size(size):>10}  {printable(path)}" for path, size in listing.first]
    more = listing.total.files - len(listing.first)
    return lines + ([f"  {'':>10}  ... and {more} more"] if more else [])


def _format_skipped(reason: str, skipped: Skipped) -> list[str]:
    key = f"{reason}: {printable(skipped.detail)}" if skipped.detail else reason
    explanation = _LOCAL_REASONS.get(reason, REASONS[reason])
    lines = [f"  {format_files_and_size(skipped.files, skipped.bytes)}: {explanation} ({key})"]
    lines += [f"    {printable(path)}" for path in skipped.paths[:_MAX_PATHS_SHOWN]]
    more = skipped.files - min(len(skipped.paths), _MAX_PATHS_SHOWN)
    return lines + ([f"    ... and {more} more"] if more > 0 and skipped.paths else [])


def _format_expiry(expired_at: int) -> str:
    if not expired_at:
        return "no expiry"
    return time.strftime("expires at %Y-%m-%d %H:%M UTC", time.gmtime(expired_at))
