"""The cleanup by hand: `cleanup --once`, and `--dry-run`, which shows what would go and why."""

import argparse
from collections.abc import Iterable
from typing import TextIO

from api.cleanup.cleaner import Cleaner
from api.cleanup.survey import Candidate, CleanupPlan
from api.errors import ApiError, BadInput
from api.jobs.job import format_time
from api.retention.record import FOREVER

_HEADINGS = ("GROUP", "JOB", "EXPIRES", "DUE", "WHY")


def add_cleanup_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--once", action="store_true", help="remove what is due now, then end")
    what.add_argument("--dry-run", action="store_true", help="show what would be removed, and why; remove nothing")
    parser.add_argument("--force", action="store_true", help="remove even if it is suspiciously much")
    parser.add_argument("--group", action="append", metavar="NAME", help="only this group; may be given again")


def run_cleanup(cleaner: Cleaner, options: argparse.Namespace, out: TextIO) -> int:
    """Do it. Exit code 1: refused, failed, or not all could be removed; 2: a group that is none, or not there."""
    try:
        if missing := cleaner.missing_groups(options.group or ()):
            raise BadInput(f"there is no such group in the store: {', '.join(missing)}")
        if options.dry_run:
            return _show(cleaner.plan(options.group), out)
        cleaned = cleaner.clean(options.group, force=options.force)
    except ApiError as error:
        print(f"not cleaned: {error}", file=out)
        return 2 if isinstance(error, BadInput) else 1
    print(
        f"removed {cleaned.removed} of {cleaned.plan.looked_at} jobs, {cleaned.files} files, {cleaned.bytes} bytes; "
        f"{cleaned.failed} failed",
        file=out,
    )
    return 1 if cleaned.failed else 0


def _show(plan: CleanupPlan, out: TextIO) -> int:
    rows = [_HEADINGS, *_rows(plan.due), *_rows(plan.kept)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), file=out)
    print(f"{len(plan.due)} of {plan.looked_at} jobs would be removed", file=out)
    if plan.refusal:
        print(f"a run would stop: {plan.refusal}", file=out)
    return 1 if plan.refusal else 0


def _rows(found: Iterable[Candidate]) -> Iterable[tuple[str, ...]]:
    for each in found:
        expires = "" if each.expires_at is None else format_time(min(max(each.expires_at, 0), FOREVER))
        yield each.group, each.job, expires, "yes" if each.due else "no", _printable(each.why)


def _printable(text: str) -> str:
    """People's words in a terminal: no control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
