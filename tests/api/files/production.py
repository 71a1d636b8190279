"""Runs the downloads in the production server in a separate process: `python -m tests.api.files.production`."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.server import HttpServer
from artifacts.log import configure_log
from tests.api.cleanup.environment import directory_environment
from tests.api.files.download_server import DownloadServer, make_app
from tests.sidecar.sidecars import until

REPOSITORY = Path(__file__).parents[3]


class ProductionServer(DownloadServer):
    """A client of the server, with its process's memory usage and log."""

    def __init__(self, root: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        super().__init__(directory_environment(root), root, port)
        self._process, self.log = process, _log_path(root)

    def peak_bytes(self) -> int:
        """Return the worker's peak memory."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        status = Path(f"/proc/{children[0]}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@contextmanager
def run_production_server(root: Path) -> Iterator[ProductionServer]:
    """Run a server over the directory `root` while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.api.files.production", str(root), str(port)]
    with _log_path(root).open("wb") as log, subprocess.Popen(command, cwd=REPOSITORY, stderr=log) as process:
        try:
            until(lambda: process.poll() is not None or _is_listening(port), "the server listens")
            yield ProductionServer(root, port, process)
        finally:
            process.terminate()


def _log_path(root: Path) -> Path:
    return root.with_suffix(".log")


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def main(root: str, port: str) -> None:
    """Serve until SIGTERM."""
    configure_log("text", logging.WARNING, start="")
    env = directory_environment(Path(root))
    HttpServer(("127.0.0.1", int(port)), 8, lambda: make_app(env, int(port)), lambda: None).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
