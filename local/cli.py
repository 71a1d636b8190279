"""Runs the subcommands of `python -m local`: arguments in, exit code out."""

import argparse
import contextlib
import getpass
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from api import settings as api_settings
from api.jobs.job import new_job_name
from artifacts.errors import ArtifactError
from artifacts.log import LOG_FORMAT, configure_log, get_logger
from artifacts.settings import PREFIX, SidecarSettings, unknown_settings
from local.api_server import ApiServer, address_file
from local.arguments import parse
from local.demo import run_demo
from local.documents import read_document
from local.environment import sidecar_environ
from local.paths import JobPaths
from local.phjob import JobSpec, make_phjob
from local.phjob_files import NameTaken, StartError, add_phjob
from local.printout import MAX_FILES_SHOWN, format_result
from local.processes import block_signals
from local.queue import read_phjob
from local.results import list_files
from local.runner import JobResult, Runner
from local.scheduler import JobScheduler

logger = logging.getLogger("local")

USAGE_ERROR = 2
_FAILURES = {
    "run": "the job was not started",
    "create": "the job was not queued",
    "serve": "cannot run jobs",
    "run-queued": "not started",
}
_CLEAR_LINE = "\r\x1b[K"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code. The default for `arguments` is the process' own."""
    options, command = parse(sys.argv[1:] if arguments is None else arguments)
    _log_to_stderr(options.name if options.subcommand == "run-queued" else None)
    if options.subcommand == "demo":
        return _demo(options.keep)
    try:
        return _dispatch(options, command)
    except ArtifactError as error:
        for line in str(error).split("\n"):  # one line per invalid setting
            logger.error("%s: %s", _FAILURES[options.subcommand], line)
        return USAGE_ERROR


def _dispatch(options: argparse.Namespace, command: list[str]) -> int:
    if options.subcommand == "run":
        return _run(options, command)
    if options.subcommand == "create":
        return _create(options, command)
    if options.subcommand == "serve":
        return _serve(options)
    return _run_queued(options)


def _demo(keep: bool) -> int:
    try:
        return run_demo(keep)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(options: argparse.Namespace, command: list[str]) -> int:
    environ = dict(os.environ)
    if options.grace is not None:
        environ[PREFIX + "GRACE_SECONDS"] = options.grace
    _warn_of_unknown_settings(environ)
    show_progress = _redraw_line if sys.stderr.isatty() else _discard_line
    runner = Runner(_job_spec(options, command), options.data, environ, show_progress)
    result = runner.run()
    _print_result(result, runner.paths.job_folder)
    return result.exit_code


def _create(options: argparse.Namespace, command: list[str]) -> int:
    spec = _job_spec(options, command)
    paths = JobPaths(options.data, spec.group, spec.job)
    add_phjob(paths, make_phjob(spec, time.time()), paths.reserved_paths)
    print(spec.job, flush=True)
    if address_file(options.data).exists():
        advice = "the running `serve` will start it"
    else:
        advice = f"to run it: {_command_line('serve', options.data)}"
    logger.info("queued as %s; %s", paths.phjob, advice)
    return 0


def _serve(options: argparse.Namespace) -> int:
    _warn_of_unknown_settings(os.environ)
    # Report invalid settings now, instead of once per job.
    SidecarSettings.from_env(sidecar_environ(os.environ, JobPaths(options.data, "local", "job"), ""))
    scheduler = JobScheduler(options.data, options.jobs, os.environ)
    api = ApiServer(options.data, options.port, _user(), os.environ)
    block_signals()  # before threads start: only the scheduler's thread may receive signals
    api.start()
    try:
        logger.info(
            "running the jobs queued in %s, at most %d at the same time, until Ctrl-C", options.data, options.jobs
        )
        logger.info("the API is at %s/api/graphql", api.url)
        if not _is_json():
            _print_instructions(options.data, api)
        scheduler.run()
    finally:
        api.stop()
    return 0


def _print_instructions(data: Path, api: ApiServer) -> None:
    """Print what a person can do next. This is not logged because it contains the token."""
    print(f"to queue a job:\n{_command_line('create', data)} -- COMMAND...", file=sys.stderr)
    print(f"to list the jobs with the API:\n{_curl(api)}", file=sys.stderr)
    print("to use the page, open this address (keep it secret: it lets others run commands as you):", file=sys.stderr)
    print(f"\n    {api.sign_in_url}\n", file=sys.stderr)


def _run_queued(options: argparse.Namespace) -> int:
    try:
        queued = read_phjob(options.name, read_document(options.data / "phjobs" / f"{options.name}.json"))
    except OSError as error:
        raise StartError(f"cannot read its PhJob: {error.strerror}") from error
    runner = Runner(queued.spec, options.data, {**os.environ, **queued.settings}, _discard_line)
    try:
        result = runner.run()
    except NameTaken as error:
        if error.path == runner.paths.run_folder:  # another scheduler was faster
            return USAGE_ERROR
        raise
    _print_result(result, runner.paths.job_folder)
    return result.exit_code


def _job_spec(options: argparse.Namespace, command: list[str]) -> JobSpec:
    name = new_job_name() if options.name is None else options.name
    return JobSpec(name, options.group, str(uuid.uuid4()), _user(), command)


def _warn_of_unknown_settings(environ: Mapping[str, str]) -> None:
    api_names = {row.env for row in api_settings.SETTINGS_TABLE}
    for name in sorted({*unknown_settings(environ), *api_settings.unknown_settings(environ)} - api_names):
        logger.warning("%s is not a setting and has no effect; see python -m local run --help", name)


def _command_line(subcommand: str, data: Path) -> str:
    """Return a command line that works in the current directory."""
    python = min(sys.executable, os.path.relpath(sys.executable), key=len)
    return shlex.join([python, "-m", "local", subcommand, "--data", str(data)])


def _curl(api: ApiServer) -> str:
    """Return an example request. It contains the token."""
    query = json.dumps({"query": "{ phJobs { id phase artifact { items { name size } } } }"})
    headers = [f"Authorization: Bearer {api.token}", "Content-Type: application/json"]
    words = ["curl", *(word for header in headers for word in ("-H", header)), "-d", query]
    return shlex.join([*words, f"{api.url}/api/graphql"])


def _print_result(result: JobResult, job_folder: Path) -> None:
    if _is_json():
        _log_result(result)
        return
    lines = format_result(result.phjob, result.report, list_files(job_folder, MAX_FILES_SHOWN), str(job_folder))
    # If the reader of stderr has exited (`2>&1 | head`), the job must not fail.
    with contextlib.suppress(OSError):
        print("\n".join(lines), file=sys.stderr)  # in one write, because other jobs print to the same stderr


def _log_result(result: JobResult) -> None:
    status, report = result.phjob["status"], result.report
    get_logger("local").info(
        "job ended",
        job=result.phjob["metadata"]["name"],
        group=result.phjob["spec"]["groupName"],
        phase=status["phase"],
        message=status["message"],
        artifact_state=report.state if report else "not collected",
        artifact_message=report.message if report else "",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the uid has no name
        return str(os.getuid())


def _log_to_stderr(job: str | None) -> None:
    """Log sentences for a person, or JSON if PHJOB_LOG_FORMAT asks for it."""
    clear = _CLEAR_LINE if sys.stderr.isatty() else ""
    common = {"job": job} if job and _is_json() else {}
    configure_log(os.environ.get(LOG_FORMAT.env, ""), common=common, start=f"{clear}{job or 'local'}: ")


def _is_json() -> bool:
    return os.environ.get(LOG_FORMAT.env) == "json"


def _redraw_line(line: str) -> None:
    with contextlib.suppress(OSError):
        print(_CLEAR_LINE + line[: shutil.get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)


def _discard_line(line: str) -> None:
    pass
