"""An S3 server (moto) that can kill its client before a given changing request."""

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


class KillingBucket:
    """The server's application. POST /kill?pid=...&number=... makes it kill that process at its n-th changing request.

    That request is not carried out.
    """

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self.url, self._remaining, self._pid = "", 0, 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/kill":
            query = parse_qs(environ["QUERY_STRING"])
            self._pid, self._remaining = int(query["pid"][0]), int(query["number"][0])
            start("204 No Content", [])
            return []
        if environ["REQUEST_METHOD"] in ("PUT", "POST", "DELETE") and self._is_last():
            os.kill(self._pid, signal.SIGKILL)
            start("503 Slow Down", [])
            return []
        response: Iterable[bytes] = self._app(environ, start)
        return response

    def _is_last(self) -> bool:
        with self._lock:
            self._remaining -= 1
            return self._remaining == 0


class _SilentHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def bucket_server() -> Iterator[KillingBucket]:
    """Run the server while the block runs."""
    bucket = KillingBucket()
    server = make_server("127.0.0.1", 0, bucket, threaded=True, request_handler=_SilentHandler)
    bucket.url = f"http://127.0.0.1:{server.port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
