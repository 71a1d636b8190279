"""The arguments of the command line, and what its help tells.

Apart from `cli`, which does what they ask for.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from artifacts.settings import SETTINGS_TABLE

_RUN_QUEUED = "run-queued"
_SHOWN_SETTINGS = ("limit_size_mb", "limit_files", "over_limit", "retention_seconds", "include", "exclude")

_ABOUT = """\
Run jobs as PrimeHub does, on this machine alone. Whatever a job leaves in the folder
`artifacts` of its working directory is kept when it ends, however it ends."""

_RUN = """\
Run one command as a job, in a fresh working directory. What it leaves in ./artifacts (a folder, or a
symbolic link to one) is copied to the group's shared file system, which the job sees as ./phfs."""

_RUN_MORE = """\
examples:
  python -m local run -- python "$PWD/train.py" --epochs 3
  python -m local run --group research -- 'mkdir artifacts; date > artifacts/now.txt'

The job starts in an empty folder, so paths to code must be absolute.
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
  jobs/<name>/                              its working directory (home) and the logs; remove it by hand

settings (environment variables; all of them are in docs/contract.md):
"""

_CREATE = """\
Queue one command as a job, which serve runs in the order of creation, and print its name. Several arguments
after -- are a program and its arguments, one is a command line for the shell. The job starts in an empty
folder, so paths to code must be absolute. It is a file in the folder phjobs of the data directory, which tells how
the job fares; to cancel it set "cancel": true in its "spec"."""

_SERVE = """\
Run the jobs that are queued in the data directory, and those to come, the oldest first; answer the API's questions
about them on loopback, for whoever has the token that is printed; remove what has expired, daily. What a job says goes
to jobs/<name>/main.log in the data directory. Settings are the environment's, as with run. Ctrl-C cancels the jobs
that run, which keep what is in their artifacts folder; once more kills them. What is queued stays queued."""

_DEMO = """\
Run some small jobs in a temporary data directory and check what is kept of them: the first steps, a linked
folder, limits, a job that fails. Then ask the API for them, download a file, let one expire and clean it up. Exits with
0 if all was as promised. Takes a few seconds."""


def parse(given: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options and the command, which is empty but for `run` and `create`; exits where they cannot be used."""
    # Split here, so that a command may have any arguments, a second `--` among them.
    if list(given[:1]) == [_RUN_QUEUED]:
        return _parse_run_queued(given[1:]), []
    at = list(given).index("--") if "--" in given else len(given)
    parser, subparsers = _make_parsers()
    options, unknown = parser.parse_known_args(given[:at])
    chosen, command = subparsers[options.subcommand], list(given[at + 1 :])
    takes_command = options.subcommand in ("run", "create")
    if unknown:
        advice = "; put the command after `--`" if takes_command and at == len(given) else ""
        chosen.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
    if takes_command and (not command or not command[0].strip()):
        example = f'python -m local {options.subcommand} -- python "$PWD/train.py" --epochs 3'
        chosen.error(f"no command: put it after `--`, such as: {example} (the job starts in an empty folder)")
    return options, command


def _parse_run_queued(given: Sequence[str]) -> argparse.Namespace:
    """Serve's own subcommand, of which people are not told."""
    runner = argparse.ArgumentParser(prog=f"python -m local {_RUN_QUEUED}")
    runner.set_defaults(subcommand=_RUN_QUEUED)
    _add_data(runner)
    runner.add_argument("name")
    return runner.parse_args(given)


def _make_parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="python -m local", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="subcommand", required=True, metavar="run | create | serve | demo")
    _add_run(parts)
    _add_queue(parts)
    demo = parts.add_parser("demo", help="show what is kept of some small jobs, and check it", description=_DEMO)
    demo.add_argument("--keep", action="store_true", help="do not remove the temporary data directory at the end")
    return parser, parts.choices


def _add_run(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = parts.add_parser(
        "run",
        help="run one command as a job and keep its artifacts",
        usage="python -m local run [options] -- COMMAND...",
        description=_RUN,
        epilog=_RUN_MORE + _settings_help(os.environ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(run)
    _add_names(run)
    run.add_argument(
        "--grace",
        type=_grace,
        metavar="SECONDS",
        help="time for the command to end when cancelled, and then for the last sync (30)",
    )


def _add_queue(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    create = parts.add_parser(
        "create",
        help="queue one command as a job, which serve runs",
        usage="python -m local create [options] -- COMMAND...",
        description=_CREATE,
    )
    _add_data(create)
    _add_names(create)
    serve = parts.add_parser("serve", help="run queued jobs until Ctrl-C", description=_SERVE)
    _add_data(serve)
    most = max(2, os.cpu_count() or 0)
    serve.add_argument("--jobs", type=_count, metavar="N", default=most, help="run so many at once (%(default)s)")
    serve.add_argument("--port", type=_port, default=8080, help="port of the API; 0: any that is free (%(default)s)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=_data_directory, default=_default_data(os.environ), help="data directory (%(default)s)"
    )


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--group", default="local", help="the group that owns the job (%(default)s)")
    parser.add_argument("--name", help="name of the job (job-<time>-<random>)")


def _grace(text: str) -> str:
    (row,) = (row for row in SETTINGS_TABLE if row.field == "grace_seconds")
    try:
        row.parse(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r}: {error}") from error
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of jobs: use 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use 0 to 65535")
    return int(text)


def _settings_help(environ: Mapping[str, str]) -> str:
    rows = [row for row in SETTINGS_TABLE if row.field in _SHOWN_SETTINGS]
    return "\n".join(f"  {row.env + '=' + (row.default or ''):42} {row.help}" for row in rows)


def _data_directory(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if ":" in str(path):
        raise argparse.ArgumentTypeError(f"{str(path)!r} has a ':', which separates paths: choose another directory")
    return path


def _default_data(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME", "")
    return os.path.join(base if base.startswith("/") else "~/.local/share", "phjobs")
