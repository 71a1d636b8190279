"""The application behind a real HTTP server on loopback, and visitors who keep cookies as browsers do."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask
import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import create_app
from api.auth.caller import Caller
from api.auth.tokens import Authenticators, make_authenticators
from api.cleanup.locks import FileLock
from api.compose import compose
from api.errors import NotAuthenticated
from api.settings import ApiSettings
from tests.api.auth.oidc_server import CLIENT, CLIENT_SECRET, OidcServer
from tests.api.cleanup.environment import FakeJobs

PATIENCE_SECONDS = 20.0
CALLERS = {"alice": Caller("1", "alice", ["Team_A"]), "root": Caller("2", "root", is_admin=True)}
KEY = "k" * 32

logging.getLogger("urllib3").setLevel(logging.WARNING)  # the visitors' requests have codes in their URLs


class NameAuthenticator:
    """An authenticator in which a user's name is the token. Tests can add to `tokens`."""

    def __init__(self) -> None:
        self.tokens = dict(CALLERS)

    def authenticate(self, token: str) -> Caller:
        if token not in self.tokens:
            raise NotAuthenticated("the token is not accepted")
        return self.tokens[token]


class Clock:
    """The current time plus `ahead` seconds."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Visitor:
    """A browser on the service's own page. Does not follow redirects."""

    url: str
    cookies: requests.Session

    def ask(self, method: str, path: str, headers: Mapping[str, str | None] = {}, **more: Any) -> requests.Response:
        """Send a request of the page's script. `headers` override those of a browser; None omits one."""
        own = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}
        if method != "GET":
            own |= {"Origin": self.url, "Content-Type": "application/json"}
        sent = {name: value for name, value in (own | dict(headers)).items() if value is not None}
        self.cookies.trust_env = False
        url = path if "://" in path else self.url + path
        return self.cookies.request(method, url, headers=sent, allow_redirects=False, timeout=PATIENCE_SECONDS, **more)

    def open(self, path: str, site: str = "cross-site") -> requests.Response:
        """Follow a link. `site`: the value of Sec-Fetch-Site."""
        shown = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
        return self.ask("GET", path, shown | {"Sec-Fetch-Site": site})

    def session(self) -> Any:
        """Return the session."""
        answer = self.ask("GET", "/api/session")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def graphql(self, query: str = "{ phJobs { id } }") -> requests.Response:
        return self.ask("POST", "/api/graphql", json={"query": query})

    def enter(self, token: str) -> requests.Response:
        """Sign in with a token."""
        return self.ask("POST", "/api/session", json={"token": token})

    def to_callback(self, then: str = "/") -> str:
        """Sign in at the issuer, and return the callback URL that it redirects to."""
        login = self.ask("GET", "/api/session/login", params={"next": then})
        assert login.status_code == 303, login.text
        back = self.open(login.headers["Location"])
        assert back.status_code == 302, back.text
        return back.headers["Location"]

    def sign_in(self, then: str = "/") -> requests.Response:
        """Sign in at the issuer, and return the response of the callback."""
        return self.open(self.to_callback(then))

    def stored_cookies(self) -> dict[str, str]:
        """Return the browser's cookies."""
        return {cookie.name: cookie.value or "" for cookie in self.cookies.cookies}


@dataclass(frozen=True)
class Web:
    """A running service. `clock`: its clock."""

    url: str
    clock: Clock
    open: contextlib.ExitStack

    def visitor(self) -> Visitor:
        """Return a visitor with a new browser."""
        return Visitor(self.url, self.open.enter_context(requests.Session()))


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing, for the same reason."""


@contextmanager
def serving(
    folder: Path,
    configured: Mapping[str, str] = {},
    authenticators: Authenticators | None = None,
    is_local: bool = False,
) -> Iterator[Web]:
    """Run the service. `authenticators` override those of the settings. `PORT` in settings is replaced by its port."""
    server = make_server("127.0.0.1", 0, flask.Flask("placeholder"), threaded=True, request_handler=_Quiet)
    server.daemon_threads, server.block_on_close = False, True  # type: ignore[attr-defined]
    environ = {
        "PHJOB_API_STORE": str(folder),
        "PHJOB_API_AUTH": "none",
        "PHJOB_API_LISTEN": "127.0.0.1:PORT",
        "PHJOB_API_LINK_KEY": KEY,
        "PHJOB_CLEANUP_ENABLED": "false",
    }
    port = str(server.server_port)
    settings = ApiSettings.from_env(
        {name: text.replace("PORT", port) for name, text in (environ | dict(configured)).items()}
    )
    clock = Clock()
    parts = compose(settings, FakeJobs(), FileLock(folder / ".lock"), clock)
    server.app = create_app(parts.services, authenticators or make_authenticators(settings, None), is_local)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="web")
    thread.start()
    try:
        with contextlib.ExitStack() as open:
            yield Web(f"http://127.0.0.1:{port}", clock, open)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def oidc_settings(oidc: OidcServer, **more: str) -> dict[str, str]:
    """Return settings for sign-in at the issuer."""
    return {
        "PHJOB_API_AUTH": "oidc",
        "PHJOB_API_OIDC_ISSUER": oidc.issuer,
        "PHJOB_API_OIDC_AUDIENCES": CLIENT,
        "PHJOB_API_OIDC_CLIENT_ID": CLIENT,
        "PHJOB_API_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "PHJOB_API_ORIGIN": "http://127.0.0.1:PORT",
    } | more
