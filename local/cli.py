"""The command line of local mode: arguments in, exit code out. What they may be is told in `arguments`."""

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

from api import settings as service_settings
from api.jobs.names import new_name
from artifacts.errors import ArtifactError
from artifacts.log import LOG_FORMAT, configure_log, get_logger
from artifacts.settings import PREFIX, SidecarSettings, unknown_settings
from local.arguments import parse
from local.collected import list_files
from local.demo import run_demo
from local.documents import read_document
from local.environment import sidecar_environ
from local.phjob import Order, make_phjob
from local.phjobs import NotStarted, Taken, add_phjob
from local.places import Places
from local.printout import FILES_SHOWN, describe
from local.processes import block_signals
from local.queue import read_phjob
from local.runner import Result, Runner
from local.server import Server
from local.service import Service, address_file

logger = logging.getLogger("local")

USAGE_ERROR = 2
_NOT_DONE = {
    "run": "the job was not started",
    "create": "the job was not queued",
    "serve": "jobs are not run",
    "run-queued": "not started",
}
_CLEAR_LINE = "\r\x1b[K"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options, command = parse(sys.argv[1:] if arguments is None else arguments)
    _log_to_stderr(options.name if options.subcommand == "run-queued" else None)
    if options.subcommand == "demo":
        return _demo(options.keep)
    try:
        return _do(options, command)
    except ArtifactError as error:
        for line in str(error).split("\n"):  # one for each setting that is wrong
            logger.error("%s: %s", _NOT_DONE[options.subcommand], line)
        return USAGE_ERROR


def _do(options: argparse.Namespace, command: list[str]) -> int:
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
    _tell_unknown(environ)
    runner = Runner(_order(options, command), options.data, environ, _redraw if sys.stderr.isatty() else _ignore)
    result = runner.run()
    _print_end(result, runner.places.store)
    return result.exit_code


def _create(options: argparse.Namespace, command: list[str]) -> int:
    order = _order(options, command)
    places = Places(options.data, order.group, order.job)
    add_phjob(places, make_phjob(order, time.time()), places.traces)
    print(order.job, flush=True)
    serving = address_file(options.data).exists()
    who = "it is run by who serves there" if serving else f"this runs it: {_command_line('serve', options.data)}"
    logger.info("queued as %s; %s", places.phjob, who)
    return 0


def _serve(options: argparse.Namespace) -> int:
    _tell_unknown(os.environ)
    # What is wrong with the settings is told now, not once for each job.
    SidecarSettings.from_env(sidecar_environ(os.environ, Places(options.data, "local", "job"), ""))
    server = Server(options.data, options.jobs, os.environ)
    service = Service(options.data, options.port, _user(), os.environ)
    block_signals()  # before there are threads: signals are the server's alone
    service.start()
    try:
        logger.info("jobs queued in %s are run, %d at once, until Ctrl-C", options.data, options.jobs)
        logger.info("the API answers at %s/api/graphql", service.url)
        if not _is_json():
            _greet(options.data, service)
        server.run()
    finally:
        service.stop()
    return 0


def _greet(data: Path, service: Service) -> None:
    """What a person goes on with. No line of a log: it holds the token."""
    print(f"to queue a job: {_command_line('create', data)} -- COMMAND...", file=sys.stderr)
    print(f"to ask the API, for example:\n{_curl(service)}", file=sys.stderr)
    print(f"the page; whoever has its address runs commands as you:\n\n    {service.page}\n", file=sys.stderr)


def _run_queued(options: argparse.Namespace) -> int:
    try:
        filed = read_phjob(options.name, read_document(options.data / "phjobs" / f"{options.name}.json"))
    except OSError as error:
        raise NotStarted(f"cannot read its PhJob: {error.strerror}") from error
    runner = Runner(filed.order, options.data, os.environ, _ignore)
    try:
        result = runner.run()
    except Taken as error:
        if error.trace == runner.places.folder:  # another server was faster
            return USAGE_ERROR
        raise
    _print_end(result, runner.places.store)
    return result.exit_code


def _order(options: argparse.Namespace, command: list[str]) -> Order:
    name = new_name() if options.name is None else options.name
    return Order(name, options.group, str(uuid.uuid4()), _user(), command)


def _tell_unknown(environ: Mapping[str, str]) -> None:
    theirs = {row.env for row in service_settings.SETTINGS_TABLE}
    for unknown in sorted({*unknown_settings(environ), *service_settings.unknown_settings(environ)} - theirs):
        logger.warning("%s is no setting and has no effect; see python -m local run --help", unknown)


def _command_line(subcommand: str, data: Path) -> str:
    """A command to be pasted where this one was given."""
    python = min(sys.executable, os.path.relpath(sys.executable), key=len)
    return shlex.join([python, "-m", "local", subcommand, "--data", str(data)])


def _curl(service: Service) -> str:
    """A request to be pasted. Whoever sees the token may run commands as this user."""
    query = json.dumps({"query": "{ phJobs { id phase artifact { items { name size } } } }"})
    headers = [f"Authorization: Bearer {service.token}", "Content-Type: application/json"]
    words = ["curl", *(word for header in headers for word in ("-H", header)), "-d", query]
    return shlex.join([*words, f"{service.url}/api/graphql"])


def _print_end(result: Result, store: Path) -> None:
    if _is_json():
        _log_end(result)
        return
    lines = describe(result.phjob, result.report, list_files(store, FILES_SHOWN), str(store))
    # A reader that has gone (`2>&1 | head`) does not make the job fail.
    with contextlib.suppress(OSError):
        print("\n".join(lines), file=sys.stderr)  # at once, as other jobs tell their end there too


def _log_end(result: Result) -> None:
    told, report = result.phjob["status"], result.report
    get_logger("local").info(
        "ended",
        job=result.phjob["metadata"]["name"],
        group=result.phjob["spec"]["groupName"],
        phase=told["phase"],
        message=told["message"],
        artifacts=report.state if report else "not collected",
        told=report.message if report else "",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())


def _log_to_stderr(job: str | None) -> None:
    """Sentences for whoever started the command; or JSON, for who collects logs."""
    clear = _CLEAR_LINE if sys.stderr.isatty() else ""
    common = {"job": job} if job and _is_json() else {}
    configure_log(os.environ.get(LOG_FORMAT.env, ""), common=common, start=f"{clear}{job or 'local'}: ")


def _is_json() -> bool:
    return os.environ.get(LOG_FORMAT.env) == "json"


def _redraw(line: str) -> None:
    with contextlib.suppress(OSError):
        print(_CLEAR_LINE + line[: shutil.get_terminal_size().columns - 1], end="", file=sys.stderr, flush=True)


def _ignore(line: str) -> None:
    pass
