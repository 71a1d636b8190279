"""The command `cleanup`: run the cleanup once, or print what it would remove."""

import argparse
from collections.abc import Iterable
from typing import TextIO

from api.cleanup.blocked import BlockedFolders
from api.cleanup.cleaner import Cleaner
from api.cleanup.survey import Candidate, CleanupPlan
from api.errors import ApiError, BadInput
from api.jobs.job import format_time
from api.retention.record import FOREVER

_HEADINGS = ("GROUP", "JOB", "EXPIRES", "DUE", "REASON")


def add_cleanup_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to `parser`."""
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--once", action="store_true", help="remove the job folders that are due, then exit")
    mode.add_argument("--dry-run", action="store_true", help="list the job folders and reasons without removing any")
    parser.add_argument(
        "--force", action="store_true", help="run even if a clock is wrong or the limits of one run are exceeded"
    )
    parser.add_argument("--group", action="append", metavar="NAME", help="only this group; can be repeated")


def run_cleanup(cleaner: Cleaner, options: argparse.Namespace, out: TextIO) -> int:
    """Run the command and return its exit code.

    The code is 1 if the run was refused or failed, or not all folders could be removed, and 2 if a group's name is
    invalid or the store has no such group. Folders that their owners closed are printed and do not change the code.
    """
    try:
        if missing := cleaner.missing_groups(options.group or ()):
            raise BadInput(f"no such group in the store: {', '.join(missing)}")
        if options.dry_run:
            return _print_plan(cleaner.plan(options.group), out)
        result = cleaner.clean(options.group, force=options.force)
    except ApiError as error:
        print(f"cleanup failed: {error}", file=out)
        return 2 if isinstance(error, BadInput) else 1
    print(
        f"removed {result.removed} of {result.plan.examined_count} jobs, {result.files} files, {result.bytes} bytes; "
        f"{result.failed} failed",
        file=out,
    )
    _print_blocked(result.blocked, out)
    return 1 if result.failed else 0


def _print_plan(plan: CleanupPlan, out: TextIO) -> int:
    rows = [_HEADINGS, *_rows(plan.due), *_rows(plan.kept)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), file=out)
    print(f"{len(plan.due)} of {plan.examined_count} jobs would be removed", file=out)
    _print_blocked(plan.blocked, out)
    if plan.refusal:
        print(f"a run would be refused: {plan.refusal}", file=out)
    return 1 if plan.refusal else 0


def _print_blocked(blocked: BlockedFolders, out: TextIO) -> None:
    for folder in blocked.first:
        print(f"blocked by its owner: {_printable(folder)}", file=out)
    if blocked.count > len(blocked.first):
        print(f"and {blocked.count - len(blocked.first)} more", file=out)


def _rows(candidates: Iterable[Candidate]) -> Iterable[tuple[str, ...]]:
    for candidate in candidates:
        at = candidate.expires_at
        expires = "" if at is None else format_time(min(max(at, 0), FOREVER))
        due = "yes" if candidate.is_due else "no"
        yield candidate.group, candidate.job, expires, due, _printable(candidate.reason)


def _printable(text: str) -> str:
    """Replace control characters: the text contains users' names and goes to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
