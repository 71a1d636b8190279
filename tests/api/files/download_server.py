"""A real HTTP server on loopback with the downloads, and an HTTP client for it."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flask
from werkzeug.serving import make_server

from api.app import create_app
from api.auth.caller import Caller
from api.auth.links import LinkSigner
from api.auth.tokens import Authenticators
from api.errors import NotAuthenticated
from api.files.target import DownloadTarget
from api.services import Services
from tests.api.cleanup.environment import StoreEnvironment

KEY = b"k" * 32
HOUR = 3600.0
CALLERS = {
    "alice": Caller("1", "alice", ["Team_A"]),
    "bob": Caller("2", "bob", ["b"]),
    "root": Caller("3", "root", is_admin=True),
    "eve": Caller("4", 'eve"\n result=complete', ["Team_A"]),
}
FOLDER = "groups/team-a/jobArtifacts/job-1/"
ROOT = f"/api/files/{FOLDER}"


@dataclass(frozen=True)
class DownloadResponse:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """Return the error of the body. Fails if the body is not an error."""
        body = json.loads(self.body)
        assert list(body) == ["error"]
        assert body["error"]["status"] == self.status
        assert self.headers["X-Content-Type-Options"] == "nosniff"
        return dict(body["error"])


class DownloadServer:
    """A running server, its environment, and a client."""

    def __init__(self, env: StoreEnvironment, root: Path, port: int) -> None:
        self.env, self.root, self.port = env, root, port

    def link(self, path: str, archive: bool = False, download: bool = False) -> str:
        """Return a link signed by alice."""
        target = DownloadTarget("team-a", "job-1", path, archive, download)
        return LinkSigner(KEY, 300, self.env.clock).sign(CALLERS["alice"], target)

    def get(
        self, path: str = "", user: str = "alice", method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> DownloadResponse:
        """Request an absolute path, or a path below the job's. An interrupted body raises IncompleteRead."""
        with self.open(path, user, method, headers) as response:
            return DownloadResponse(response.status, response.headers, response.read())

    @contextmanager
    def open(
        self,
        path: str = "",
        user: str = "alice",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Iterator[http.client.HTTPResponse]:
        """Yield a response of which only the headers have been read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path if path.startswith("/") else ROOT + path)
            own = {"Authorization": f"Bearer {user}"} if user else {}
            for name, value in (own | dict(headers or {})).items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            with connection.getresponse() as response:
                yield response

    def write(self, path: str, content: bytes = b"content") -> Path:
        """Write a file of the job. Returns its path in the directory."""
        self.env.store.write(FOLDER + path, content)
        return self.root / FOLDER / path

    def metric(self, name: str, **labels: str) -> float:
        """Return a metric's value."""
        return self.env.metrics.registry.get_sample_value(f"phjob_artifact_{name}", labels) or 0.0

    def downloads_ended(self, kind: str, result: str) -> float:
        """Return how many downloads ended with this result."""
        return self.metric("downloads_total", kind=kind, result=result)

    def is_idle(self) -> bool:
        """Return whether no download is active."""
        return self.metric("downloads_active") == 0


def make_app(env: StoreEnvironment, port: int) -> flask.Flask:
    """Make the application that listens on `port`. A caller's token is the name in CALLERS."""
    services = Services(
        replace(env.settings, listen=("127.0.0.1", port)),
        env.jobs,
        env.store,
        env.retention,
        env.cleaner,
        LinkSigner(KEY, 300, env.clock),
        env.metrics,
        env.clock,
    )
    return create_app(services, Authenticators(opaque=_NameAuthenticator()))


@contextmanager
def serving(env: StoreEnvironment, root: Path) -> Iterator[DownloadServer]:
    """Run a server over `env`, whose store is the directory `root`."""
    server = make_server("127.0.0.1", 0, flask.Flask("replaced below"), threaded=True)
    server.app = make_app(env, server.server_port)
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="service")
    thread.start()
    try:
        yield DownloadServer(env, root, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _NameAuthenticator:
    def authenticate(self, token: str) -> Caller:
        if token not in CALLERS:
            raise NotAuthenticated("unknown token")
        return CALLERS[token]
