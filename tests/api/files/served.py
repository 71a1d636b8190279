"""The downloads behind a real HTTP server on loopback, over real parts, and a raw client for them."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from api.auth.browser import protect
from api.auth.caller import Caller
from api.auth.links import Links
from api.auth.origins import Origins
from api.errors import ApiError, NotAuthenticated, Unavailable, error_body
from api.files.target import Target
from api.files.view import files_blueprint
from api.services import Services
from api.store.store import Store
from artifacts.errors import StoreError
from tests.api.cleanup.worlds import World

KEY = b"k" * 32
HOUR = 3600.0
CALLERS = {
    "alice": Caller("1", "alice", ["Team_A"]),
    "bob": Caller("2", "bob", ["b"]),
    "root": Caller("3", "root", is_admin=True),
    'eve"\n result=complete': Caller("4", 'eve"\n result=complete', ["Team_A"]),
}
FOLDER = "groups/team-a/jobArtifacts/job-1/"
ROOT = f"/api/files/{FOLDER}"


@dataclass(frozen=True)
class Answer:
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


class Served:
    """A running server: the world behind it, and what a client asks of it."""

    def __init__(self, world: World, root: Path, port: int) -> None:
        self.world, self.root, self.port = world, root, port

    def link(self, path: str, archive: bool = False, download: bool = False) -> str:
        """A link that alice made."""
        target = Target("team-a", "job-1", path, archive, download)
        return Links(KEY, 300, self.world.clock).url(CALLERS["alice"], target)

    def get(
        self, path: str = "", user: str = "alice", method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask for a path as it is: absolute, or below the job's. A body that breaks off raises IncompleteRead."""
        with self.opened(path, user, method, headers) as response:
            return Answer(response.status, response.headers, response.read())

    @contextmanager
    def opened(
        self, path: str = "", user: str = "alice", method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer of which only the headers have been read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest(method, path if path.startswith("/") else ROOT + path)
            for name, value in {"X-Caller": user.encode("unicode-escape").decode(), **(headers or {})}.items():
                connection.putheader(name, value)
            connection.endheaders()
            with connection.getresponse() as response:
                yield response

    def write(self, path: str, content: bytes = b"content") -> Path:
        """Put a file where a job's file lies, by its key."""
        self.world.store.write(FOLDER + path, content)
        return self.root / FOLDER / path

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.world.metrics.registry.get_sample_value(f"phjob_artifact_{name}", labels) or 0.0

    def ended(self, kind: str, result: str) -> float:
        """How many downloads ended so."""
        return self.counted("downloads_total", kind=kind, result=result)

    def is_idle(self) -> bool:
        """Whether no download holds a slot."""
        return self.counted("downloads_active") == 0


def services_of(world: World, store: Store) -> Services:
    """The world's parts as the API's."""
    return Services(
        world.settings,
        world.jobs,
        store,
        world.terms,
        world.cleaner,
        Links(KEY, 300, world.clock),
        world.metrics,
        world.clock,
    )


def make_app(services: Services, address: tuple[str, int]) -> flask.Flask:
    """The downloads, with the application's protection and form of errors. A header says who calls."""
    app = flask.Flask("tested", static_folder=None)
    protect(app, Origins(address, "", ()))
    app.register_blueprint(files_blueprint(services, _caller))

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> tuple[flask.Response, int]:
        return flask.jsonify(error_body(error.status, error.code, str(error))), error.status

    @app.errorhandler(StoreError)
    def store_failed(_: StoreError) -> tuple[flask.Response, int]:
        return refused(Unavailable("the store fails"))

    @app.errorhandler(HTTPException)
    def not_served(error: HTTPException) -> tuple[flask.Response, int]:
        status = error.code or 500
        return flask.jsonify(error_body(status, error.name.upper().replace(" ", "_"), str(error.description))), status

    return app


@contextmanager
def serving(world: World, root: Path) -> Iterator[Served]:
    """A server over `world`, whose store's directory is `root`."""
    server = make_server("127.0.0.1", 0, flask.Flask("none yet"), threaded=True)
    server.app = make_app(services_of(world, world.store), ("127.0.0.1", server.server_port))
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="service")
    thread.start()
    try:
        yield Served(world, root, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _caller() -> Caller:
    name = flask.request.headers.get("X-Caller", "").encode().decode("unicode-escape")
    if name not in CALLERS:
        raise NotAuthenticated("who are you?")
    return CALLERS[name]
