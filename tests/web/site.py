"""The service over a world of jobs, on a real port of loopback, for three people whose tokens are their names."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from api.app import create_app
from api.auth.caller import Caller
from api.auth.tokens import Authenticators
from api.cleanup.locks import FileLock
from api.compose import compose
from api.errors import NotAuthenticated
from api.settings import ApiSettings
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


class Stage:
    """A server on a port of its own. Sites take turns on it, so that a browser keeps the page's files between them."""

    def __init__(self, server: BaseWSGIServer) -> None:
        self._server = server
        self.port = server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def show(self, app: flask.Flask) -> None:
        """Answer as `app` from now on."""
        self._server.app = app


@dataclass(frozen=True)
class Site:
    """A service on its stage: the world that it shows, and who is let in."""

    world: World
    people: People
    app: flask.Flask
    stage: Stage

    @property
    def url(self) -> str:
        return self.stage.url

    def enter(self) -> None:
        """Have the stage to itself."""
        self.stage.show(self.app)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: sixty files a page."""


@contextmanager
def staging() -> Iterator[Stage]:
    """A stage, empty as yet."""
    server = make_server("127.0.0.1", 0, flask.Flask("none yet"), threaded=True, request_handler=_Quiet)
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="stage")
    thread.start()
    try:
        yield Stage(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_site(data: Path, stage: Stage, is_local: bool = False) -> Site:
    """A service over the data directory. `is_local`: as in local mode, where the page runs commands."""
    (data / "phfs").mkdir(parents=True, exist_ok=True)
    people = People()
    environ = {
        "PHJOB_API_STORE": str(data / "phfs"),
        "PHJOB_API_AUTH": "none",
        "PHJOB_API_LISTEN": f"127.0.0.1:{stage.port}",
        "PHJOB_CLEANUP_ENABLED": "false",
    }
    parts = compose(ApiSettings.from_env(environ), LocalJobs(data), FileLock(data / ".cleanup-lock"))
    app = create_app(parts.services, Authenticators(opaque=people), is_local=is_local)
    site = Site(World(data), people, app, stage)
    site.enter()
    return site
