"""The downloads behind a real HTTP server on loopback, over real parts, and a raw client for them."""

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
        """What the one error body says; fails for any other body."""
        body = json.loads(self.body)
        assert list(body) == ["error"]
        assert body["error"]["status"] == self.status
        assert self.headers["X-Content-Type-Options"] == "nosniff"
        return dict(body["error"])


class DownloadServer:
    """A running server: the env behind it, and what a client asks of it."""

    def __init__(self, env: StoreEnvironment, root: Path, port: int) -> None:
        self.env, self.root, self.port = env, root, port

    def link(self, path: str, archive: bool = False, download: bool = False) -> str:
        """A link that alice made."""
        target = DownloadTarget("team-a", "job-1", path, archive, download)
        return LinkSigner(KEY, 300, self.env.clock).sign(CALLERS["alice"], target)

    def get(
        self, path: str = "", user: str = "alice", method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> DownloadResponse:
        """Ask for a path as it is: absolute, or below the job's. A body that breaks off raises IncompleteRead."""
        with self.opened(path, user, method, headers) as response:
            return DownloadResponse(response.status, response.headers, response.read())

    @contextmanager
    def opened(
        self,
        path: str = "",
        user: str = "alice",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer of which only the headers have been read."""
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
        """Put a file where a job's file lies, by its key."""
        self.env.store.write(FOLDER + path, content)
        return self.root / FOLDER / path

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.env.metrics.registry.get_sample_value(f"phjob_artifact_{name}", labels) or 0.0

    def ended(self, kind: str, result: str) -> float:
        """How many downloads ended so."""
        return self.counted("downloads_total", kind=kind, result=result)

    def is_idle(self) -> bool:
        """Whether no download holds a slot."""
        return self.counted("downloads_active") == 0


def make_app(env: StoreEnvironment, port: int) -> flask.Flask:
    """The application over the env's parts, as it listens on `port`. A caller's token is the name in CALLERS."""
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
    return create_app(services, Authenticators(opaque=_ByName()))


@contextmanager
def serving(env: StoreEnvironment, root: Path) -> Iterator[DownloadServer]:
    """A server over `env`, whose store's directory is `root`."""
    server = make_server("127.0.0.1", 0, flask.Flask("none yet"), threaded=True)
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


class _ByName:
    def authenticate(self, token: str) -> Caller:
        if token not in CALLERS:
            raise NotAuthenticated("who are you?")
        return CALLERS[token]
