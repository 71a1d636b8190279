"""A Flask application behind a real HTTP server that returns its caller, and a client that sends arbitrary headers."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
from werkzeug.serving import make_server

from api.auth.browser import protect
from api.auth.caller import Authenticator, Caller
from api.auth.origins import Origins
from api.auth.request import request_authenticator
from api.errors import ApiError, NotAuthenticated, error_body
from api.settings import ApiSettings
from tests.api.auth.oidc_server import MADE

SITE = "https://console.example.com"  # another web site, allowed by the settings


def settings(**more: str) -> ApiSettings:
    """ApiSettings as the environment gives them."""
    return ApiSettings.from_env({"PHJOB_API_STORE": "/phfs", "PHJOB_API_AUTH": "none"} | more)


@dataclass
class Spy:
    """An authenticator that records the tokens that it receives."""

    caller: Caller | None = None
    received_tokens: list[str] = field(default_factory=list)

    def authenticate(self, token: str) -> Caller:
        self.received_tokens.append(token)
        if self.caller is None:
            raise NotAuthenticated("no")
        return self.caller


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Service:
    """A running service."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self,
        method: str = "GET",
        path: str = "/me",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        host: str | None = None,
    ) -> Answer:
        """Send a request with exactly these headers, Host and Content-Length."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in [("Host", self.host if host is None else host), *headers]:
                connection.putheader(name, value)
            if body:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        text = answer.body.decode() + str(answer.headers)
        assert not [made for made in MADE if made in text or made.rpartition(".")[2] in text.split()]
        return answer

    def bearer(self, token: str, method: str = "GET", path: str = "/me") -> Answer:
        return self.ask(method, path, [("Authorization", f"Bearer {token}")])


@contextmanager
def serving(
    authenticator: Authenticator, anonymous: Caller | None = None, origin: str = "", others: Sequence[str] = ()
) -> Iterator[Service]:
    """Run a service: `/me` returns the caller, `/change` requires one, `/open` does not."""
    app = flask.Flask("tested", static_folder=None)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    origins = Origins(("127.0.0.1", server.server_port), origin, others)
    authenticate = request_authenticator(authenticator, origins, anonymous)
    protect(app, origins)

    @app.errorhandler(ApiError)
    def refused(error: ApiError) -> tuple[flask.Response, int]:
        return flask.jsonify(error_body(error.status, error.code, str(error))), error.status

    @app.get("/me")
    @app.post("/change", endpoint="change")
    @app.delete("/change", endpoint="remove")
    def me() -> flask.Response:
        caller = authenticate()
        return flask.jsonify(
            id=caller.id,
            username=caller.username,
            groups=list(caller.groups),
            is_admin=caller.is_admin,
            is_service=caller.is_service,
        )

    @app.get("/open")
    def opened() -> flask.Response:
        return flask.Response("open", headers={"Content-Security-Policy": "sandbox", "Vary": "Accept"})

    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="service")
    thread.start()
    try:
        yield Service(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
