"""What the user is told at the end: a report and a listing in, lines of text out. Pure.

Names come from the job, so nothing of them may reach a terminal as a control sequence.
"""

import time
from typing import Any

from artifacts.report import REASONS, STATES, Report, Skipped
from local.collected import Listing
from local.phjob import PhJob
from sidecar.verdict import files_and_size, size_text

FILES_SHOWN = 20
_PATHS_SHOWN = 3


def describe(phjob: PhJob, report: Report | None, listing: Listing, place: str) -> list[str]:
    """The job's end, what was kept and where until when, and what was not kept and why.

    `place` is the job folder. No report: collecting was switched off.
    """
    status = phjob["status"]
    lines = [f"{phjob['metadata']['name']}: {status['phase']}, {status['message']}"]
    if report is None:
        return [*lines, "artifacts: not collected, as PHJOB_ARTIFACT_ENABLED is false"]
    lines.append(f"artifacts: {report.state} - {printable(report.message or STATES[report.state])}")
    if listing.total.files:
        lines += _kept(listing)
        lines.append(f"  in {place}/, {_until(report.expired_at)}")
    if report.skipped:
        lines.append("not kept:")
        for reason, skipped in sorted(report.skipped.items()):
            lines += _not_kept(reason, skipped)
    return lines


def progress_line(words: dict[str, Any] | None) -> str:
    """The last sync's progress from the sidecar's words so far, or nothing where there is none to tell."""
    if not words or not words.get("todoFiles"):
        return ""
    return f"collecting artifacts: {files_and_size(words['todoFiles'], words.get('todoBytes', 0))} to go"


def printable(text: str) -> str:
    """The text with everything that is no printable character as its Python escape."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _kept(listing: Listing) -> list[str]:
    lines = [f"  {size_text(size):>10}  {printable(path)}" for path, size in listing.first]
    more = listing.total.files - len(listing.first)
    return lines + ([f"  {'':>10}  ... and {more} more"] if more else [])


def _not_kept(reason: str, skipped: Skipped) -> list[str]:
    because = f"{reason}: {printable(skipped.detail)}" if skipped.detail else reason
    lines = [f"  {files_and_size(skipped.files, skipped.bytes)}: {REASONS[reason]} ({because})"]
    lines += [f"    {printable(path)}" for path in skipped.paths[:_PATHS_SHOWN]]
    more = skipped.files - min(len(skipped.paths), _PATHS_SHOWN)
    return lines + ([f"    ... and {more} more"] if more > 0 and skipped.paths else [])


def _until(expired_at: int) -> str:
    if not expired_at:
        return "without expiry"
    return time.strftime("kept until %Y-%m-%d %H:%M UTC", time.gmtime(expired_at))
