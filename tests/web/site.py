"""Serves the API over made-up jobs on a loopback port, for three users whose tokens are their names."""

import io
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
from tests.web.job_data import GROUP, JobData

CALLERS = {
    "alice": Caller("alice", "alice", [GROUP, "speech"]),
    "root": Caller("root", "root", is_admin=True),
    "robot": Caller("robot", "robot", is_service=True),
}


class Users:
    """An authenticator whose tokens are user names. `accepted`: the users that can sign in now."""

    def __init__(self) -> None:
        self.accepted = dict(CALLERS)

    def authenticate(self, token: str) -> Caller:
        if token not in self.accepted:
            raise NotAuthenticated("the token is not accepted: it may have expired")
        return self.accepted[token]


class SharedServer:
    """An HTTP server that all sites share in turn, so that a browser's cache of the page's files stays valid."""

    def __init__(self, server: BaseWSGIServer) -> None:
        self._server = server
        self.port = server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, app: flask.Flask) -> None:
        """Serve `app` from now on."""
        self._server.app = app


@dataclass(frozen=True)
class Site:
    """A service with its jobs and users."""

    data: JobData
    users: Users
    app: flask.Flask
    server: SharedServer

    @property
    def url(self) -> str:
        return self.server.url

    def activate(self) -> None:
        """Make the shared server serve this site."""
        self.server.serve(self.app)


class _Input(io.BufferedReader):
    """werkzeug reads the rest of a request before it closes the response: an error there would leave its file open."""

    def read(self, size: int | None = -1) -> bytes:
        """Return b"" if the client has reset the connection."""
        try:
            return super().read(size)
        except ConnectionError:
            return b""


class _Quiet(WSGIRequestHandler):
    def setup(self) -> None:
        super().setup()
        assert isinstance(self.rfile, io.BufferedReader)
        self.rfile = _Input(self.rfile.detach())

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: a page consists of sixty files."""


@contextmanager
def shared_server() -> Iterator[SharedServer]:
    """Start a server without a site."""
    server = make_server("127.0.0.1", 0, flask.Flask("empty"), threaded=True, request_handler=_Quiet)
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="server")
    thread.start()
    try:
        yield SharedServer(server)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_site(data: Path, server: SharedServer, is_local: bool = False) -> Site:
    """Return a service over the data directory. With `is_local` the page can run commands, as in local mode."""
    (data / "phfs").mkdir(parents=True, exist_ok=True)
    users = Users()
    environ = {
        "PHJOB_API_STORE": str(data / "phfs"),
        "PHJOB_API_AUTH": "none",
        "PHJOB_API_LISTEN": f"127.0.0.1:{server.port}",
        "PHJOB_CLEANUP_ENABLED": "false",
    }
    parts = compose(ApiSettings.from_env(environ), LocalJobs(data), FileLock(data / ".cleanup-lock"))
    app = create_app(parts.services, Authenticators(opaque=users), is_local=is_local)
    site = Site(JobData(data), users, app, server)
    site.activate()
    return site
