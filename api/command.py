"""The command line: `serve`, `cleanup`, `schema`. Arguments and environment in, exit code out."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

import flask

from api.app import create_app
from api.auth.signin import what_lacks
from api.cleanup.command import add_cleanup_options, run_cleanup
from api.cluster import Cluster, compose_cluster, find_cluster
from api.schema.schema import SCHEMA
from api.server import Server
from api.settings import SETTINGS_TABLE, ApiSettings, unknown_settings
from artifacts import __version__
from artifacts.environment import Setting, configured_settings
from artifacts.errors import ConfigError
from artifacts.log import LOG_FORMAT, configure_log, get_logger

logger = get_logger("api")

_CONFIG_ERROR = 2
_SYNC_SECONDS = 30.0
_ABOUT = "Lists, serves and cleans up what jobs left in the shared store. Told by environment variables:"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code 2: settings that are wrong."""
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
    _tell_start(settings, environ)
    found = find_cluster(settings)  # here, so that what is wrong ends the command
    served: list[Cluster] = []

    def start() -> flask.Flask:
        """In the process that serves: neither threads nor connections live through a fork."""
        cluster = compose_cluster(settings, *found)
        served.append(cluster)
        cluster.start()
        return create_app(cluster.parts.services, cluster.authenticators)

    def stop() -> None:
        for cluster in served:
            cluster.stop()

    Server(settings.listen, settings.threads, start, stop).run()
    return 0


def _cleanup(settings: ApiSettings, options: argparse.Namespace) -> int:
    cluster = compose_cluster(settings, *find_cluster(settings))
    cluster.jobs.start()
    try:
        cluster.jobs.wait(_SYNC_SECONDS)
        return run_cleanup(cluster.parts.cleaner, options, sys.stdout)
    finally:
        cluster.jobs.stop()


def _tell_start(settings: ApiSettings, environ: Mapping[str, str]) -> None:
    for name in unknown_settings(environ):
        logger.warning("unknown setting, it has no effect", name=name)
    logger.info("starting", version=__version__)
    for name, text in configured_settings(SETTINGS_TABLE, environ):
        logger.info("setting", name=name, value=text)
    for name in what_lacks(settings):
        logger.warning("nobody can sign in at the issuer, the page takes tokens", not_set=name)


def _default(row: Setting) -> str:
    return "required" if row.default is None else row.default or "empty"


def _parser() -> argparse.ArgumentParser:
    settings = "\n".join(
        f"  {row.env}\n      {row.help} ({'required' if row.default is None else row.default or 'empty'})"
        for row in SETTINGS_TABLE
    )
    parser = argparse.ArgumentParser(
        prog="python -m api",
        description=_ABOUT,
        epilog=f"settings, by environment (of a secret, _FILE may name the file):\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(dest="command", required=True, metavar="serve | cleanup | schema")
    parts.add_parser("serve", help="run the service, in a cluster", description="Run the service until SIGTERM.")
    cleanup = parts.add_parser("cleanup", help="remove what has expired, or show what would go")
    add_cleanup_options(cleanup)
    parts.add_parser("schema", help="print the GraphQL schema")
    return parser
