"""A Keycloak on loopback, as its own distribution runs it: the issuer that PrimeHub uses.

`install` (make tools) has built it and initialized a database, so that a start takes 9 seconds of processor time
instead of 46. Each `Keycloak` runs on a copy of that database. Standard library only, because `install` runs without
the tests' packages.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

ADMIN, ADMIN_PASSWORD = "admin", "admin-of-the-tests"
STAMP, CLASSES, DATABASE, LOG = ".installed", ".classes.jsa", ".database", "log"

# A test runs Keycloak for a minute: compiling less and one collector thread save half of the processor time. The
# heap is bounded because tests run beside other tests.
JAVA_OPTIONS = ("-Xmx512m", "-XX:MaxMetaspaceSize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

START_SECONDS = 240.0  # 10 on an idle machine
_STOP_SECONDS = 180.0  # the installation writes 110 MB at the end


class Keycloak:
    """The server of the distribution in `home`. Its data is in the folder `database`, so it survives a restart."""

    def __init__(self, home: Path, database: Path, *, java_options: tuple[str, ...] = ()) -> None:
        self._home, self._database, self._java_options = home, database, java_options
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it signs users in. Raises AssertionError with its log if it does not."""
        command = [
            "setpriv", "--pdeathsig", "TERM", # do not outlive a killed pytest
            str(self._home / "bin/kc.sh"), "start", "--optimized", "--cache=local", "--log-level=warn",
            "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={self._port}", "--hostname-strict=false",
            f"--db-url=jdbc:h2:file:{self._database}/keycloak;NON_KEYWORDS=VALUE",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | {"JAVA_OPTS": " ".join((*JAVA_OPTIONS, *self._java_options))},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._signs_in():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"Keycloak did not start:\n{self._log.read_text()}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def _log(self) -> Path:
        return self._database / LOG

    def _signs_in(self) -> bool:
        """Whether the administrator gets a token. The first request takes seconds, longer than the service waits."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": ADMIN_PASSWORD}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection = HTTPConnection("127.0.0.1", self._port, timeout=START_SECONDS)
        try:
            connection.request("POST", "/realms/master/protocol/openid-connect/token", urlencode(form), headers)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def installed_keycloak(home: Path, folder: Path) -> Keycloak:
    """Return a Keycloak that is not started yet, with an empty database in `folder`."""
    shutil.copytree(home / DATABASE, folder, dirs_exist_ok=True)
    return Keycloak(home, folder, java_options=(f"-XX:SharedArchiveFile={home / CLASSES}",))
