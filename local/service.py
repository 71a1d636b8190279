"""The API on one machine: the same service over the data directory, on loopback, for whoever holds this start's token.

It runs commands for whoever can post to it, so a web site that the user visits must not be able to: the service is
bound to loopback, checks Host and Origin, and wants the token, which no page can guess or make a browser send. Cookies
know no ports, though: who opens a page that another user serves on this machine shows that user the token.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from api.app import create_app
from api.auth.caller import Caller
from api.auth.tokens import Authenticators
from api.cleanup.locks import FileLock
from api.compose import compose
from api.errors import NotAuthenticated
from api.settings import PREFIX, ApiSettings
from local.jobs import LocalJobs
from local.phjobs import NotStarted

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
GROUP = "local"
_MOST_WAITING = 128


class Service:
    """The API over `data`, answering from `start` to `stop` on `port` (0: any that is free)."""

    def __init__(self, data: Path, port: int, user: str, environ: Mapping[str, str]) -> None:
        """Raises NotStarted where the port cannot be had, ConfigError for settings that are wrong."""
        self.token = secrets.token_urlsafe(32)
        self._data = data
        jobs = LocalJobs(data)
        (data / "phfs").mkdir(exist_ok=True)
        self._socket = _listen(port)
        try:
            self.port = self._socket.getsockname()[1]
            settings = ApiSettings.from_env(_environ(environ, data, self.port))
            self._parts = compose(settings, jobs, FileLock(data / ".cleanup-lock"))
        except BaseException:
            self._socket.close()
            raise
        authenticators = Authenticators(opaque=_Token(self.token, user, jobs))
        self._server = _make_server(self._socket, create_app(self._parts.services, authenticators, is_local=True))
        self._thread = threading.Thread(target=self._server.serve_forever, name="api", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def page(self) -> str:
        """The address that signs in whoever opens it. A browser keeps what follows the # to itself."""
        return f"{self.url}/#token={self.token}"

    @property
    def _address(self) -> str:
        return json.dumps({"url": self.url, "token": self.token}) + "\n"

    def start(self) -> None:
        """Answer, clean up by schedule, and leave word of where for other programs of this user."""
        self._parts.start()
        self._thread.start()
        _write_private(address_file(self._data), self._address)

    def stop(self) -> None:
        """Answer no more. Another service's address stays: several may serve one data directory."""
        path = address_file(self._data)
        with contextlib.suppress(OSError):
            if path.read_text() == self._address:
                path.unlink()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._parts.stop()


def address_file(data: Path) -> Path:
    """Where a service leaves its URL and token, for this user alone."""
    return data / "serve.json"


class _Token:
    """This start's token; whoever has it is the user who started the service, and may do everything."""

    def __init__(self, token: str, user: str, jobs: LocalJobs) -> None:
        self._digest, self._user, self._jobs = _digest(token), user, jobs

    def authenticate(self, token: str) -> Caller:
        if not hmac.compare_digest(_digest(token), self._digest):
            raise NotAuthenticated("this is not the token of this start: it is printed when the service starts")
        groups = sorted({GROUP, *(job.group for job in self._jobs.all())})
        return Caller(self._user, self._user, groups, is_admin=True)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        """No versions for whoever asks."""
        return "phjobs"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing: what matters is logged where it happens."""


def _make_server(listening: socket.socket, app: Any) -> BaseWSGIServer:
    server = make_server(HOST, 0, app, threaded=True, request_handler=_Quiet, fd=listening.detach())
    server.daemon_threads = True  # type: ignore[attr-defined]  # a download does not hold the end
    return server


def _listen(port: int) -> socket.socket:
    try:
        listening = socket.create_server((HOST, port), backlog=_MOST_WAITING)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise NotStarted(f"cannot listen on {HOST}:{port}: {why}. Choose another --port, or 0") from error
    return listening


def _environ(environ: Mapping[str, str], data: Path, port: int) -> dict[str, str]:
    """The user's settings, and over them what one machine decides."""
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
