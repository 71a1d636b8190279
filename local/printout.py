"""What the user is told at the end: a report and a listing in, lines of text out. Pure.

Names come from the job, so nothing of them may reach a terminal as a control sequence.
"""

import time
from typing import Any

from artifacts.report import REASONS, STATES, Count, Report, Skipped
from local.collected import Listing
from local.phjob import PhJob

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
    lines.append(f"artifacts: {report.state} - {STATES[report.state]}")
    if report.message:
        lines.append(f"  {printable(report.message)}")
    if report.limit_exceeded:
        lines.append(f"  {_limits(report)}")
    if listing.total.files:
        lines += _kept(listing)
        lines.append(f"  {_amount(listing.total)} in {place}/, {_until(report.expired_at)}")
    if report.skipped:
        lines.append("not kept:")
        for reason, skipped in sorted(report.skipped.items()):
            lines += _not_kept(reason, skipped)
    return lines


def progress_line(words: dict[str, Any] | None) -> str:
    """The last sync's progress from the sidecar's words so far, or nothing where there is none to tell."""
    if not words or not words.get("todoFiles"):
        return ""
    return f"collecting artifacts: {_amount(Count(words['todoFiles'], words.get('todoBytes', 0)))} to go"


def printable(text: str) -> str:
    """The text with everything that is no printable character as its Python escape."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def format_size(size: int) -> str:
    """Bytes with the unit that suits them; MB and the others in steps of 1024, as limits count."""
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in ("KB", "MB", "GB", "TB"):
        amount /= 1024
        if amount < 1024 or unit == "TB":
            break
    return f"{amount:.1f} {unit}"


def _kept(listing: Listing) -> list[str]:
    lines = [f"  {format_size(size):>10}  {printable(path)}" for path, size in listing.first]
    more = listing.total.files - len(listing.first)
    return lines + ([f"  {'':>10}  ... and {more} more"] if more else [])


def _not_kept(reason: str, skipped: Skipped) -> list[str]:
    lines = [f"  {_amount(skipped)}: {REASONS[reason]} ({reason})"]
    if skipped.detail:
        lines.append(f"    {printable(skipped.detail)}")
    lines += [f"    {printable(path)}" for path in skipped.paths[:_PATHS_SHOWN]]
    more = skipped.files - min(len(skipped.paths), _PATHS_SHOWN)
    return lines + ([f"    ... and {more} more"] if more > 0 and skipped.paths else [])


def _limits(report: Report) -> str:
    limits = f"{report.limit_files} files and {format_size(report.limit_bytes)}"
    return f"found {_amount(report.found)}; the limits are {limits} (over limit: {report.over_limit})"


def _until(expired_at: int) -> str:
    if not expired_at:
        return "without expiry"
    return time.strftime("kept until %Y-%m-%d %H:%M UTC", time.gmtime(expired_at))


def _amount(count: Count) -> str:
    return f"{count.files} {'file' if count.files == 1 else 'files'}, {format_size(count.bytes)}"
