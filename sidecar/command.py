"""The command line for people: one sync by hand, or a look at what it would do. A pod needs none of it."""

import argparse
import os
import sys
import time
from collections.abc import Mapping

from artifacts.errors import ArtifactError, ConfigError
from artifacts.report import INCOMPLETE_REASONS, REASONS, Skipped
from artifacts.settings import SETTINGS_TABLE, SidecarSettings
from sidecar.plan import Plan
from sidecar.process import log_to_stderr, make_syncer
from sidecar.scan import Scan, merge_skipped
from sidecar.stamp import size_of
from sidecar.sync import Syncer
from sidecar.verdict import files_and_size, size_text

_SHOWN = 20

_DESCRIPTION = """\
Copies what a job leaves in its artifacts folder to the job folder in the shared store, within the limits.

Without arguments it runs as the sidecar of a job: it syncs while the job runs, SIGUSR1 makes it sync at once, and
SIGTERM means that the job is over: it syncs for the last time, seals the report and exits 0. Start it as
  env --block-signal=TERM,USR1 python3 -m sidecar
so that no signal is lost while Python starts.

commands:
  sync-now [PID]     ask the running sidecar (process 1, or PID) to sync at once, as `kill -USR1` does: for preStop
"""


def run_command(arguments: list[str]) -> int:
    """`--once`, `--dry-run`, `--help`. Exit code 0: done; 1: something could not be stored; 2: settings are wrong;
    130: interrupted."""
    options = _parser().parse_args(arguments)
    log_to_stderr(os.environ, "warning")
    try:
        settings = SidecarSettings.from_env(os.environ)
        syncer = make_syncer(settings)
        return _dry_run(settings, syncer) if options.dry_run else _once(settings, syncer)
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
        epilog="settings, by environment:\n" + settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--once", action="store_true", help="sync and seal now, as at the job's end, and exit")
    action.add_argument("--dry-run", action="store_true", help="print what --once would do; write nothing")
    return parser


def settings_help() -> str:
    """Every setting, its default and its meaning, as lines for --help."""
    return "\n".join(
        f"  {row.env}\n      {row.help} ({'required' if row.default is None else row.default or 'empty'})"
        for row in SETTINGS_TABLE
    )


def _once(settings: SidecarSettings, syncer: Syncer) -> int:
    syncer.end(time.time())
    syncer.finish(time.monotonic() + settings.grace_seconds)
    report = syncer.report
    print(f"{report.state}: {report.message}")
    _print_skipped(report.skipped)
    return 1 if report.state == "incomplete" else 0


def _dry_run(settings: SidecarSettings, syncer: Syncer) -> int:
    scan, plan = syncer.preview()
    print(f"{settings.path} -> {settings.store}/jobArtifacts/{settings.job}")
    found = files_and_size(plan.found.files, plan.found.bytes)
    print(f"found {found}, allowed {files_and_size(settings.limit_files, settings.limit_size_bytes)}")
    if plan.rejected:
        print("over the limit: nothing would be kept")
    _print_plan(scan, plan)
    skipped: dict[str, Skipped] = {}
    for rows in (scan.skipped, plan.skipped):
        for reason, row in rows.items():
            merge_skipped(skipped.setdefault(reason, Skipped()), row)
    _print_skipped(skipped)
    return 0


def _print_plan(scan: Scan, plan: Plan) -> None:
    for word, paths in (("copy", plan.copy), ("remove", plan.clear + plan.remove)):
        for path in paths[:_SHOWN]:
            size = f" ({size_text(size_of(scan.files[path]))})" if path in scan.files else ""
            print(f"  {word} {path}{size}")
        if len(paths) > _SHOWN:
            print(f"  {word} {len(paths) - _SHOWN} more")


def _print_skipped(skipped: Mapping[str, Skipped]) -> None:
    for reason, row in sorted(skipped.items()):
        mark = "!" if reason in INCOMPLETE_REASONS else "-"
        print(f"  {mark} {reason}: {files_and_size(row.files, row.bytes)}: {REASONS[reason]}")
        for path in row.paths[:_SHOWN]:
            print(f"      {path}")
