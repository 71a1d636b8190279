"""The command line for people: runs one sync by hand, or prints what it would do. Pods do not use it."""

import argparse
import math
import os
import sys
import time
from collections.abc import Mapping

from artifacts.errors import ArtifactError, ConfigError
from artifacts.report import INCOMPLETE_REASONS, REASONS, Skipped
from artifacts.settings import PREFIX, SETTINGS_TABLE, SidecarSettings
from sidecar.file_signature import size_of
from sidecar.globs import glob_problems
from sidecar.outcome import format_files_and_size, format_size
from sidecar.plan import SyncPlan
from sidecar.process import create_syncer, log_to_stderr
from sidecar.scan import Scan, merge_skipped
from sidecar.sync import Syncer

_MAX_PATHS = 20

_DESCRIPTION = """\
Copies the files in a job's artifacts folder to the job folder in the shared store, within the limits.

Without arguments, it runs as a job's sidecar: it syncs while the job runs. On SIGUSR1 it syncs at once. On SIGTERM,
which means that the job has ended, it syncs for the last time, seals the report and exits with code 0. Start it as
  env --block-signal=TERM,USR1 python3 -m sidecar
so that no signal is lost while Python starts.

commands:
  sync-now [PID]     make the running sidecar (PID 1 by default) sync at once, like `kill -USR1`; used by preStop
"""


def run_command(arguments: list[str]) -> int:
    """Run `--once`, `--dry-run` or `--help`.

    Returns the exit code: 0 if successful, 1 if files could not be stored, 2 if the settings are invalid or the job's
    volumes or the store cannot be opened, 130 if interrupted.
    """
    options = _parser().parse_args(arguments)
    log_to_stderr(os.environ, "warning")
    try:
        # Nothing kills this process, so there is no grace period unless one is set.
        settings = SidecarSettings.from_env({PREFIX + "GRACE_SECONDS": "0"} | os.environ)
        syncer = create_syncer(settings)
        return _dry_run(settings, syncer) if options.dry_run else _sync_once(settings, syncer)
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print("\n".join(error.problems), file=sys.stderr)
    except (ArtifactError, OSError) as error:
        print(f"{error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sidecar",
        description=_DESCRIPTION,
        epilog="settings (environment variables):\n" + settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--once", action="store_true", help="sync and seal once, as at the job's end, and exit")
    action.add_argument("--dry-run", action="store_true", help="print what --once would do, and write nothing")
    return parser


def settings_help() -> str:
    """Return the lines of --help on the settings: each with its description and default."""
    return "\n".join(
        f"  {row.env}\n      {row.help} ({'required' if row.default is None else row.default or 'empty'})"
        for row in SETTINGS_TABLE
    )


def _sync_once(settings: SidecarSettings, syncer: Syncer) -> int:
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + (settings.grace_seconds or math.inf))
    report = syncer.report
    print(f"{report.state}: {report.message}")
    _print_skipped(report.skipped)
    return 1 if report.state == "incomplete" else 0


def _dry_run(settings: SidecarSettings, syncer: Syncer) -> int:
    for problem in glob_problems(settings.include + settings.exclude):
        print(f"check the globs: {problem}", file=sys.stderr)
    scan, plan = syncer.preview()
    print(f"{settings.path} -> {settings.store}/jobArtifacts/{settings.job}")
    found = format_files_and_size(plan.found.files, plan.found.bytes)
    print(f"found {found}, allowed {format_files_and_size(settings.limit_files, settings.limit_size_bytes)}")
    if plan.is_rejected:
        print("over the limit: no files would be collected")
    _print_plan(scan, plan)
    skipped: dict[str, Skipped] = {}
    for rows in (scan.skipped, plan.skipped):
        for reason, row in rows.items():
            merge_skipped(skipped.setdefault(reason, Skipped()), row)
    _print_skipped(skipped)
    return 0


def _print_plan(scan: Scan, plan: SyncPlan) -> None:
    for action, paths in (("copy", plan.copy), ("remove", plan.remove_first + plan.remove)):
        for path in paths[:_MAX_PATHS]:
            size = f" ({format_size(size_of(scan.files[path]))})" if path in scan.files else ""
            print(f"  {action} {path}{size}")
        if len(paths) > _MAX_PATHS:
            print(f"  {action} {len(paths) - _MAX_PATHS} more")


def _print_skipped(skipped: Mapping[str, Skipped]) -> None:
    for reason, row in sorted(skipped.items()):
        bullet = "!" if reason in INCOMPLETE_REASONS else "-"
        print(f"  {bullet} {reason}: {format_files_and_size(row.files, row.bytes)}: {REASONS[reason]}")
        for path in row.paths[:_MAX_PATHS]:
            print(f"      {path}")
