"""A bucket on a real HTTP server (moto), which can kill its client before a request that changes something."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Bucket:
    """`url`: the server's. POST /fuse?pid=...&number=... has that process killed before its changing request of that
    number, which is not carried out."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self.url, self._fuse, self._victim = "", 0, 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/fuse":
            told = parse_qs(environ["QUERY_STRING"])
            self._victim, self._fuse = int(told["pid"][0]), int(told["number"][0])
            start("204 No Content", [])
            return []
        if environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE") and self._blows():
            os.kill(self._victim, signal.SIGKILL)
            start("503 Slow Down", [])
            return []
        answer: Iterable[bytes] = self._app(environ, start)
        return answer

    def _blows(self) -> bool:
        with self._lock:
            self._fuse -= 1
            return self._fuse == 0


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """The server's own log is none of the test's."""


@contextmanager
def bucket_server() -> Iterator[Bucket]:
    """A server until the end of the block."""
    bucket = Bucket()
    server = make_server("127.0.0.1", 0, bucket, threaded=True, request_handler=_Quiet)
    bucket.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
