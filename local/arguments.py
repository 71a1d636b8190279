"""Defines the command line's arguments and help texts. `cli` runs the subcommands."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from artifacts.environment import number
from artifacts.settings import SETTINGS_TABLE

_RUN_QUEUED = "run-queued"
_HELP_SETTINGS = ("limit_size_mb", "limit_files", "over_limit", "links", "retention_seconds", "include", "exclude")

_ABOUT = """\
Run PrimeHub jobs on this machine, without a cluster. A job writes its results to the folder
`artifacts` in its working directory. When the job ends, whether it succeeds or not, the files in
that folder are collected: they are copied to a store below the data directory, with a report."""

_RUN = """\
Run one command as a job, in a new working directory, and collect its artifacts: the files in
./artifacts (a folder, or a symbolic link to one). The job finds its group's shared files in ./phfs."""

_RUN_DETAILS = """\
examples:
  python -m local run -- python "$PWD/train.py" --epochs 3
  python -m local run --group research -- 'mkdir artifacts; date > artifacts/now.txt'

The job starts in an empty folder, so use absolute paths for your code.
One argument after -- is a shell command line (sh -c); several are a program and its arguments.
The job can read stdin if it is a pipe or a file, but not a terminal.
Ctrl-C cancels the job: it receives SIGTERM, and SIGKILL after the grace period or at a second Ctrl-C.
Its artifacts are collected all the same. Background processes of the job are killed when it ends.
The result is printed on stderr; stdout has only the command's own output.

exit code:
  that of the command; 128 + N if signal N killed it or cancelled it; 127 or 126 if the command could not
  be started; 2 if the job was not started because an argument, a setting or the data directory is wrong

files below the data directory:
  phfs/groups/<group>/jobArtifacts/<name>/  the collected artifacts
  phjobs/<name>.json                        the job and its status (phase, reason, times)
  jobs/<name>/                              its working directory (home/) and logs; delete it yourself

settings (environment variables; docs/contract.md lists all):
"""

_CREATE = """\
Add one command to the queue as a job, and print its name. `serve` runs queued jobs, the oldest first.
One argument after -- is a shell command line (sh -c); several are a program and its arguments.
The job starts in an empty folder, so use absolute paths for your code.
The job's file, phjobs/<name>.json in the data directory, shows its status. To cancel the job, set
"cancel": true in the "spec" of that file."""

_SERVE = """\
Run the jobs in the queue, the oldest first, and serve the web page and the API on 127.0.0.1 until Ctrl-C.
Anyone with the token printed at the start can run commands as you. Expired artifacts are removed daily.
A job's output goes to jobs/<name>/main.log in the data directory. Settings are environment variables:
see `python -m local run --help`. Ctrl-C cancels the running jobs and collects their artifacts; a second
Ctrl-C kills them. Queued jobs stay in the queue."""

_DEMO = """\
Run five small jobs in a temporary data directory and check which of their files are collected: a simple
job, a linked folder, two jobs over a limit, and a job that fails. Then use the API to list and download
the artifacts of one job, let them expire and clean them up. Takes a few seconds. Exits with 0 if
everything is as expected, else with 1."""


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options, and the command of `run` and `create` (else empty). Exits if the arguments are invalid."""
    # Split before argparse does, so that a command may have any arguments, even a second `--`.
    if list(arguments[:1]) == [_RUN_QUEUED]:
        return _parse_run_queued(arguments[1:]), []
    separator = list(arguments).index("--") if "--" in arguments else len(arguments)
    parser, subparsers = _make_parsers()
    options, unknown = parser.parse_known_args(arguments[:separator])
    subparser, command = subparsers[options.subcommand], list(arguments[separator + 1 :])
    takes_command = options.subcommand in ("run", "create")
    if unknown:
        advice = "; put the command after `--`" if takes_command and separator == len(arguments) else ""
        subparser.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
    if takes_command and (not command or not command[0].strip()):
        example = f'python -m local {options.subcommand} -- python "$PWD/train.py" --epochs 3'
        subparser.error(f"no command: put it after `--`, such as: {example} (the job starts in an empty folder)")
    return options, command


def _parse_run_queued(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the internal subcommand that `serve` starts for each job; the help does not list it."""
    parser = argparse.ArgumentParser(prog=f"python -m local {_RUN_QUEUED}")
    parser.set_defaults(subcommand=_RUN_QUEUED)
    _add_data(parser)
    parser.add_argument("name")
    return parser.parse_args(arguments)


def _make_parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="python -m local", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="run | create | serve | demo")
    _add_run(subparsers)
    _add_create(subparsers)
    _add_serve(subparsers)
    demo = subparsers.add_parser(
        "demo",
        help="run some example jobs and check the results",
        description=_DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument("--keep", action="store_true", help="do not delete the temporary data directory at the end")
    return parser, subparsers.choices


def _add_run(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = subparsers.add_parser(
        "run",
        help="run one command as a job and collect its artifacts",
        usage="python -m local run [options] -- COMMAND...",
        description=_RUN,
        epilog=_RUN_DETAILS + _settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(run)
    _add_names(run)
    run.add_argument(
        "--grace",
        type=_grace_seconds,
        metavar="SECONDS",
        help="seconds in which a cancelled command must end (default: 30), and in which collecting must end after that "
        "(default: no limit; press Ctrl-C twice to stop collecting)",
    )


def _add_create(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    create = subparsers.add_parser(
        "create",
        help="add one command to the queue as a job",
        usage="python -m local create [options] -- COMMAND...",
        description=_CREATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(create)
    _add_names(create)


def _add_serve(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    serve = subparsers.add_parser(
        "serve",
        help="run the queued jobs, and serve the page and the API",
        description=_SERVE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(serve)
    max_jobs = max(2, os.cpu_count() or 0)
    serve.add_argument(
        "--jobs",
        type=_job_count,
        metavar="N",
        default=max_jobs,
        help="maximum number of jobs that run at the same time (default: %(default)s)",
    )
    serve.add_argument(
        "--port",
        type=_port,
        default=8080,
        help="port of the page and the API; 0 chooses a free one (default: %(default)s)",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=_data_directory,
        metavar="DIRECTORY",
        default=_default_data(os.environ),
        help="data directory (default: %(default)s)",
    )


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", default="local", help="group that owns the job (default: %(default)s)")
    parser.add_argument("--name", help="name of the job (default: job-<time>-<random>)")


def _grace_seconds(text: str) -> str:
    try:
        number(1, 86400, float)(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: {error}") from error
    return text


def _job_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"invalid number of jobs {text!r}: use 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"invalid port {text!r}: use 0 to 65535")
    return int(text)


def _settings_help() -> str:
    rows = [row for row in SETTINGS_TABLE if row.field in _HELP_SETTINGS]
    return "\n".join(f"  {row.env + '=' + (row.default or ''):42} {row.help}" for row in rows)


def _data_directory(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if ":" in str(path):
        raise argparse.ArgumentTypeError(
            f"{str(path)!r} contains a ':', which the collector uses to separate paths: choose another directory"
        )
    return path


def _default_data(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME", "")
    return os.path.join(base if base.startswith("/") else "~/.local/share", "phjobs")
