"""The service over a world of jobs, on a real port of loopback, for three people who sign in by their names."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import create_app
from api.auth.caller import Caller
from api.auth.tokens import Authenticators
from api.cleanup.locks import FileLock
from api.compose import compose
from api.errors import NotAuthenticated
from api.settings import Settings
from local.jobs import LocalJobs
from tests.web.world import GROUP, World

CALLERS = {
    "alice": Caller("alice", "alice", [GROUP, "speech"]),
    "root": Caller("root", "root", is_admin=True),
    "robot": Caller("robot", "robot", is_service=True),
}


class People:
    """Whose token is accepted: people's names. `known`: who is let in now."""

    def __init__(self) -> None:
        self.known = dict(CALLERS)

    def authenticate(self, token: str) -> Caller:
        if token not in self.known:
            raise NotAuthenticated("the token is not accepted: it may have expired")
        return self.known[token]


@dataclass(frozen=True)
class Site:
    """A running service: the world that it shows, and who is let in."""

    world: World
    people: People
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: sixty files a page."""


@contextmanager
def serving(data: Path, port: int = 0) -> Iterator[Site]:
    """The service over the data directory. `port`: 0 for any that is free."""
    (data / "phfs").mkdir(parents=True, exist_ok=True)
    people = People()
    server = make_server("127.0.0.1", port, flask.Flask("none yet"), threaded=True, request_handler=_Quiet)
    environ = {
        "PHJOB_API_STORE": str(data / "phfs"),
        "PHJOB_API_AUTH": "none",
        "PHJOB_API_LISTEN": f"127.0.0.1:{server.server_port}",
        "PHJOB_CLEANUP_ENABLED": "false",
    }
    parts = compose(Settings.from_env(environ), LocalJobs(data), FileLock(data / ".cleanup-lock"))
    server.app = create_app(parts.services, Authenticators(opaque=people))
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="site")
    thread.start()
    try:
        yield Site(World(data), people, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
