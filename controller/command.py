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
from controller.reconcile.settings import SETTINGS_TABLE, ReconcilerSettings
from kube.client import Client
from kube.config import load_configuration, own_namespace
from kube.errors import NotConfigured

logger = get_logger("controller")

_CONFIG_ERROR = 2
_OTHER_CONNECTIONS = 5  # the first list of two informers, the Lease, the periodic tasks, the resync
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 2 if settings are invalid."""
    options = _parser().parse_args(arguments)
    configure_log(os.environ.get(LOG_FORMAT.env, ""))
    try:
        return _reconcile(os.environ) if options.command == "reconcile" else _serve_webhook(os.environ)
    except (ConfigError, NotConfigured) as error:
        for problem in str(error).split("\n"):
            logger.error("not started", problem=problem)
        return _CONFIG_ERROR


def _reconcile(environ: Mapping[str, str]) -> int:
    settings = ReconcilerSettings.from_env(environ)
    if not settings.namespace:
        settings = replace(settings, namespace=own_namespace())
    logger.info("starting", version=__version__, namespace=settings.namespace)
    for name, text in configured_settings(SETTINGS_TABLE, environ):
        logger.info("setting", name=name, value=text)
    signal.pthread_sigmask(signal.SIG_BLOCK, _END_SIGNALS)  # before any thread starts, so that sigwait receives them
    client = Client(
        load_configuration(),
        agent=f"phjob-artifacts-controller/{__version__}",
        max_connections=settings.workers + _OTHER_CONNECTIONS,
    )
    try:
        controller = Controller(client, settings, f"{socket.gethostname()}_{uuid.uuid4()}")
        try:
            controller.start()
        except OSError as error:
            raise ConfigError([f"cannot listen on {settings.listen}: {error.strerror}"]) from error
        logger.info("ending", signal=signal.Signals(signal.sigwait(_END_SIGNALS)).name)
        controller.stop()
    finally:
        client.close()
    return 0


def _serve_webhook(environ: Mapping[str, str]) -> int:
    from controller.serve import serve_webhook  # noqa: PLC0415 - gunicorn and Flask, which the reconciler does not need

    return serve_webhook(environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m controller", description="Inject artifact collectors into the pods of PhJobs, and run PhJobs."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "reconcile",
        help="run PhJobs, or watch them if another controller runs them, and report the status of their artifacts",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=_settings_help(SETTINGS_TABLE),
    )
    commands.add_parser("webhook", help="serve the admission webhook that injects the collector into pods")
    return parser


def _settings_help(table: Sequence[Setting]) -> str:
    rows = [f"  {row.env:<42} {row.help} (default: {row.default or 'none'})" for row in table]
    return "\n".join(["Environment variables:", *rows])
