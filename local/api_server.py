"""Serves the API and the page for the data directory, on loopback, to clients with the token of this start.

The API runs commands, so it must refuse requests from web sites that the user happens to visit: the server binds to
loopback, checks Host and Origin, and requires a token that a web page can neither guess nor make a browser send.
Cookies do not distinguish ports, though: if the user opens a page that another user serves on this machine, that user
receives the token.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from api.app import create_app
from api.auth.caller import Caller
from api.auth.tokens import Authenticators
from api.cleanup.locks import FileLock
from api.compose import compose
from api.errors import NotAuthenticated
from api.settings import PREFIX, ApiSettings
from local.jobs import LocalJobs
from local.phjob_files import StartError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HOST = "127.0.0.1"
GROUP = "local"
_LISTEN_BACKLOG = 128


class ApiServer:
    """The API over the data directory `data`, from `start` to `stop`, on `port` (0: any free port)."""

    def __init__(self, data: Path, port: int, user: str, environ: Mapping[str, str]) -> None:
        """Raises StartError if the port cannot be used, and ConfigError for invalid settings."""
        self.token = secrets.token_urlsafe(32)
        self._data = data
        jobs = LocalJobs(data)
        (data / "phfs").mkdir(exist_ok=True)
        self._socket = _listen(port)
        try:
            self.port = self._socket.getsockname()[1]
            settings = ApiSettings.from_env(_api_environ(environ, data, self.port))
            self._parts = compose(settings, jobs, FileLock(data / ".cleanup-lock"))
        except BaseException:
            self._socket.close()
            raise
        authenticators = Authenticators(opaque=_StartToken(self.token, user, jobs))
        self._server = _make_server(self._socket, create_app(self._parts.services, authenticators, is_local=True))
        self._thread = threading.Thread(target=self._server.serve_forever, name="api", daemon=True)

    @property
    def url(self) -> str:
        """The server's origin."""
        return f"http://{HOST}:{self.port}"

    @property
    def sign_in_url(self) -> str:
        """The page's address that signs in. The token is in the fragment, which browsers do not send."""
        return f"{self.url}/#token={self.token}"

    @property
    def _address(self) -> str:
        return json.dumps({"url": self.url, "token": self.token}) + "\n"

    def start(self) -> None:
        """Start to serve requests and to clean up on schedule, and write the address file."""
        self._parts.start()
        self._thread.start()
        _write_private(address_file(self._data), self._address)

    def stop(self) -> None:
        """Stop, and remove the address file unless it is that of another server for the same data directory."""
        path = address_file(self._data)
        with contextlib.suppress(OSError):
            if path.read_text() == self._address:
                path.unlink()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._parts.stop()


def address_file(data: Path) -> Path:
    """Return the path of the file with a running server's URL and token, which only this user can read."""
    return data / "serve.json"


class _StartToken:
    """Authenticates the token of this start. Its holder acts as the user who started the server, as administrator."""

    def __init__(self, token: str, user: str, jobs: LocalJobs) -> None:
        self._digest, self._user, self._jobs = _digest(token), user, jobs

    def authenticate(self, token: str) -> Caller:
        """Return the caller. Raises NotAuthenticated."""
        if not hmac.compare_digest(_digest(token), self._digest):
            raise NotAuthenticated("invalid token: use the one that `serve` printed when it started")
        groups = sorted({GROUP, *(job.group for job in self._jobs.all())})
        return Caller(self._user, self._user, groups, is_admin=True)


class _RequestHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        """Return a Server header without versions."""
        return "phjobs"

    def make_environ(self) -> "WSGIEnvironment":
        """Return the request's environment with the path's own bytes; werkzeug replaces those that are not UTF-8."""
        environ = super().make_environ()
        if self.path.startswith("/"):
            environ["PATH_INFO"] = unquote_to_bytes(self.path.partition("?")[0]).decode("latin-1")
        return environ

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing: the API logs what matters itself."""


def _make_server(listening: socket.socket, app: Any) -> BaseWSGIServer:
    server = make_server(HOST, 0, app, threaded=True, request_handler=_RequestHandler, fd=listening.detach())
    server.daemon_threads = True  # type: ignore[attr-defined]  # a running download must not delay the exit
    return server


def _listen(port: int) -> socket.socket:
    try:
        listening = socket.create_server((HOST, port), backlog=_LISTEN_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"cannot listen on {HOST}:{port}: {reason}. Choose another --port, or 0") from error
    return listening


def _api_environ(environ: Mapping[str, str], data: Path, port: int) -> dict[str, str]:
    """Return the user's environment with the settings that local mode fixes."""
    return dict(environ) | {
        PREFIX + "STORE": f"{data}/phfs",
        PREFIX + "LISTEN": f"{HOST}:{port}",
        PREFIX + "AUTH": "none",
    }


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(text)
    temporary.rename(path)
