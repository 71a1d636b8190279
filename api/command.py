"""The command line: `serve`, `cleanup` and `schema`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

import flask

from api.app import create_app
from api.auth.signin import missing_settings
from api.cleanup.command import add_cleanup_options, run_cleanup
from api.cluster import ClusterApi, compose_cluster, find_cluster
from api.schema.schema import SCHEMA
from api.server import HttpServer
from api.settings import SETTINGS_TABLE, ApiSettings, unknown_settings
from artifacts import __version__
from artifacts.environment import configured_settings
from artifacts.errors import ConfigError
from artifacts.log import LOG_FORMAT, configure_log, get_logger

logger = get_logger("api")

_CONFIG_ERROR = 2
_SYNC_SECONDS = 30.0
_DESCRIPTION = "List, serve and clean up the artifacts of jobs in the shared store. Environment variables configure it:"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 2 if settings are wrong."""
    options = _parser().parse_args(arguments)
    if options.command == "schema":
        print(SCHEMA)
        return 0
    configure_log(os.environ.get(LOG_FORMAT.env, ""))
    try:
        settings = ApiSettings.from_env(os.environ)
        return _serve(settings, os.environ) if options.command == "serve" else _cleanup(settings, options)
    except ConfigError as error:
        for problem in error.problems:
            logger.error("not started", problem=problem)
        return _CONFIG_ERROR


def _serve(settings: ApiSettings, environ: Mapping[str, str]) -> int:
    _log_start(settings, environ)
    access = find_cluster(settings)  # before the fork, so that an error ends the command
    running: list[ClusterApi] = []

    def start() -> flask.Flask:
        # In the worker process: threads and connections do not survive a fork.
        cluster = compose_cluster(settings, *access)
        running.append(cluster)
        cluster.start()
        return create_app(cluster.components.services, cluster.authenticators)

    def stop() -> None:
        for cluster in running:
            cluster.stop()

    HttpServer(settings.listen, settings.threads, start, stop).run()
    return 0


def _cleanup(settings: ApiSettings, options: argparse.Namespace) -> int:
    cluster = compose_cluster(settings, *find_cluster(settings))
    cluster.jobs.start()
    try:
        cluster.jobs.wait(_SYNC_SECONDS)
        return run_cleanup(cluster.components.cleaner, options, sys.stdout)
    finally:
        cluster.jobs.stop()


def _log_start(settings: ApiSettings, environ: Mapping[str, str]) -> None:
    for name in unknown_settings(environ):
        logger.warning("unknown setting ignored", name=name)
    logger.info("starting", version=__version__)
    for name, text in configured_settings(SETTINGS_TABLE, environ):
        logger.info("setting", name=name, value=text)
    for name in missing_settings(settings):
        logger.warning("sign-in at the issuer disabled", missing_setting=name)


def _parser() -> argparse.ArgumentParser:
    settings = "\n".join(
        f"  {row.env}\n      {row.help} ({'required' if row.default is None else row.default or 'empty'})"
        for row in SETTINGS_TABLE
    )
    parser = argparse.ArgumentParser(
        prog="python -m api",
        description=_DESCRIPTION,
        epilog=f"environment variables (for a secret, NAME_FILE can name a file that contains it):\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="serve | cleanup | schema")
    commands.add_parser("serve", help="run the service in a cluster", description="Run the service until SIGTERM.")
    cleanup = commands.add_parser("cleanup", help="remove expired artifacts, or list what would be removed")
    add_cleanup_options(cleanup)
    commands.add_parser("schema", help="print the GraphQL schema")
    return parser
