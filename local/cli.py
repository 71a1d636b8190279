"""The command line of local mode: arguments in, exit code out."""

import argparse
import contextlib
import getpass
import logging
import os
import secrets
import shutil
import signal
import string
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from artifacts.errors import ArtifactError
from artifacts.settings import PREFIX, TABLE, unknown_settings
from local.collected import list_files
from local.demo import run_demo
from local.phjob import Order
from local.printout import FILES_SHOWN, describe
from local.runner import Result, Runner

logger = logging.getLogger("local")

USAGE_ERROR = 2
_CLEAR_LINE = "\r\x1b[K"
_SHOWN_SETTINGS = ("limit_size_mb", "limit_files", "over_limit", "retention_seconds", "include", "exclude")

_ABOUT = """\
Run jobs as PrimeHub does, on this machine alone. Whatever a job leaves in the folder
`artifacts` of its working directory is kept when it ends, however it ends."""

_RUN = """\
Run one command as a job, in a fresh working directory. What it leaves in ./artifacts (a folder, or a
symbolic link to one) is copied to the group's shared file system, which the job sees as ./phfs."""

_RUN_MORE = """\
examples:
  python -m local run -- python train.py --epochs 3
  python -m local run --group research -- 'mkdir artifacts; date > artifacts/now.txt'

One argument after -- is a command line for the shell (sh -c); several are a program and its arguments.
A terminal is not passed on as the job's input; a pipe or a file is.
Ctrl-C cancels the job: it gets SIGTERM, and SIGKILL after the grace period or at a second Ctrl-C; what
is in the artifacts folder by then is kept. Processes that the job leaves behind are killed when it ends.
What was kept is told on stderr, so that stdout is the command's own.

exit code:
  the command's; 128 + n when signal n killed it, or cancelled it although it ended well; 127 or 126 when
  it could not be started; 2 when the job was not started at all, because of wrong arguments or settings

files below the data directory:
  phfs/groups/<group>/jobArtifacts/<name>/  what was kept
  phjobs/<name>.json                        the job and how it ended (phase, reason, times)
  jobs/<name>/                              its working directory (home) and the collector's log

settings (environment variables; all of them are in docs/contract.md):
"""

_DEMO = """\
Run some small jobs in a temporary data directory and check what is kept of them: the first steps, a linked
folder, limits, a job that fails. Exits with 0 if all was as promised. Takes a few seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Split here, so that a command may have any arguments, a second `--` among them.
    at = given.index("--") if "--" in given else len(given)
    parser = _parser()
    options = parser.parse_args(given[:at])
    _log_to_stderr()
    if options.subcommand == "demo":
        return _demo(options.keep)
    command = given[at + 1 :]
    if not command or not command[0].strip():
        parser.error("no command: put it after `--`, such as: python -m local run -- python train.py")
    return _run(options, command)


def _demo(keep: bool) -> int:
    try:
        return run_demo(keep)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(options: argparse.Namespace, command: list[str]) -> int:
    environ = dict(os.environ)
    if options.grace is not None:
        environ[PREFIX + "GRACE_SECONDS"] = options.grace
    for unknown in unknown_settings(environ):
        logger.warning("%s is no setting and has no effect; see python -m local run --help", unknown)
    name = _new_name() if options.name is None else options.name
    order = Order(name, options.group, str(uuid.uuid4()), _user(), command)
    try:
        runner = Runner(order, options.data, environ, _redraw if sys.stderr.isatty() else _ignore)
        logger.info("job %s in %s", order.job, runner.places.home)
        result = runner.run()
    except ArtifactError as error:
        logger.error("the job was not started: %s", error)
        return USAGE_ERROR
    _print_end(result, runner.places.store)
    return result.exit_code


def _print_end(result: Result, store: Path) -> None:
    # A reader that has gone (`2>&1 | head`) does not make the job fail.
    with contextlib.suppress(OSError):
        for line in describe(result.phjob, result.report, list_files(store, FILES_SHOWN), str(store)):
            print(line, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="subcommand", required=True, metavar="run | demo")
    run = parts.add_parser(
        "run",
        help="run one command as a job and keep its artifacts",
        usage="python -m local run [options] -- COMMAND...",
        description=_RUN,
        epilog=_RUN_MORE + _settings_help(os.environ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "--data", type=_data_directory, default=_default_data(os.environ), help="data directory (%(default)s)"
    )
    run.add_argument("--group", default="local", help="the group that owns the job (%(default)s)")
    run.add_argument("--name", help="name of the job (job-<time>-<random>)")
    run.add_argument(
        "--grace",
        metavar="SECONDS",
        help="time for the command to end when cancelled, and then for the last sync (30)",
    )
    demo = parts.add_parser("demo", help="show what is kept of some small jobs, and check it", description=_DEMO)
    demo.add_argument("--keep", action="store_true", help="do not remove the temporary data directory at the end")
    return parser


def _settings_help(environ: Mapping[str, str]) -> str:
    rows = [row for row in TABLE if row.field in _SHOWN_SETTINGS]
    return "\n".join(f"  {row.env + '=' + (row.default or ''):42} {row.help}" for row in rows)


def _data_directory(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if ":" in str(path):
        raise argparse.ArgumentTypeError(f"{str(path)!r} has a ':', which separates paths: choose another directory")
    return path


def _default_data(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME", "")
    return os.path.join(base if base.startswith("/") else "~/.local/share", "phjobs")


def _new_name() -> str:
    """A name such as PrimeHub gives."""
    random = "".join(secrets.choice(string.digits + string.ascii_lowercase) for _ in range(6))
    return time.strftime(f"job-%Y%m%d%H%M-{random}", time.gmtime())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())


def _log_to_stderr() -> None:
    start = _CLEAR_LINE if sys.stderr.isatty() else ""
    logging.basicConfig(format=f"{start}local: %(message)s", level=logging.INFO, stream=sys.stderr)


def _redraw(line: str) -> None:
    with contextlib.suppress(OSError):
        print(_CLEAR_LINE + line[: shutil.get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)


def _ignore(line: str) -> None:
    pass
