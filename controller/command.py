"""The command line: `reconcile` and `webhook`. Arguments and environment in, exit code out."""

import argparse
import os
import signal
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from artifacts import __version__
from artifacts.environment import Setting, configured_settings
from artifacts.errors import ConfigError
from artifacts.log import LOG_FORMAT, configure_log, get_logger
from controller.reconcile.run import Controller
from controller.reconcile.settings import TABLE, Settings
from kube.client import Client
from kube.config import load_configuration, own_namespace
from kube.errors import NotConfigured

logger = get_logger("controller")

_CONFIG_ERROR = 2
_ENDING = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 2: settings that are wrong."""
    options = _parser().parse_args(arguments)
    configure_log(os.environ.get(LOG_FORMAT.env, ""))
    try:
        return _reconcile(os.environ) if options.command == "reconcile" else _serve_webhook(os.environ)
    except (ConfigError, NotConfigured) as error:
        for problem in str(error).split("\n"):
            logger.error("not started", problem=problem)
        return _CONFIG_ERROR


def _reconcile(environ: Mapping[str, str]) -> int:
    settings = Settings.from_env(environ)
    if not settings.namespace:
        settings = replace(settings, namespace=own_namespace())
    logger.info("starting", version=__version__, namespace=settings.namespace)
    for name, text in configured_settings(TABLE, environ):
        logger.info("setting", name=name, value=text)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # before there are threads: they are waited for here
    client = Client(
        load_configuration(),
        agent=f"phjob-artifacts-controller/{__version__}",
        max_connections=settings.workers + 4,
    )
    try:
        controller = Controller(client, settings, f"{socket.gethostname()}_{uuid.uuid4()}")
        try:
            controller.start()
        except OSError as error:
            raise ConfigError([f"cannot listen on {settings.listen}: {error.strerror}"]) from error
        logger.info("ending", signal=signal.Signals(signal.sigwait(_ENDING)).name)
        controller.stop()
    finally:
        client.close()
    return 0


def _serve_webhook(environ: Mapping[str, str]) -> int:
    from controller.serve import serve_webhook  # noqa: PLC0415 - gunicorn and Flask, which the reconciler does without

    return serve_webhook(environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m controller", description="Puts collectors into PhJobs' pods.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "reconcile",
        help="run PhJobs, or watch them being run, and tell what became of their artifacts",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_told_by(TABLE),
    )
    commands.add_parser("webhook", help="put the collector into pods on their way to the API server")
    return parser


def _told_by(table: Sequence[Setting]) -> str:
    rows = [f"  {row.env:<42} {row.help} (default: {row.default or 'none'})" for row in table]
    return "\n".join(["Told by environment variables:", *rows])
