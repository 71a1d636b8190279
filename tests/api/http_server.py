"""The product's HTTP server on loopback, in a thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.serving.server import HttpServer, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_THREADS = 16


@contextmanager
def serving(make_application: "Callable[[int], WSGIApplication]") -> Iterator[int]:
    """Serve the application that is made for the port, and yield the port."""
    with listen(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = HttpServer(listening, _THREADS, make_application(port), grace_seconds=5)
        server.start()
        try:
            yield port
        finally:
            server.stop()
