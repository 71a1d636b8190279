"""Clients that occupy a server: silent ones, ones that send a byte now and then, and ones that never read."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

COUNT_OF_EACH = 8
_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


@contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Connect 24 slow clients until the end of the block. Those that the server drops connect again."""
    stop = threading.Event()
    with ExitStack() as stack:
        for sent in [b""] * COUNT_OF_EACH + [_REQUEST + b"\r\n"] * COUNT_OF_EACH:
            stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(sent)
        dawdlers = [threading.Thread(target=_dawdle, args=(port, stop)) for _ in range(COUNT_OF_EACH)]
        for thread in dawdlers:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in dawdlers:
                thread.join()


def _dawdle(port: int, stop: threading.Event) -> None:
    while not stop.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(_REQUEST)
            while not stop.wait(0.05):
                client.sendall(b"x")
        stop.wait(0.05)
