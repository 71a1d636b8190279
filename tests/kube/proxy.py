"""A TCP proxy that can stall or cut connections, as networks do."""

import socket
import threading
from contextlib import suppress


class Proxy:
    """Forwards connections to `address` until `close`. While `frozen` is set, nothing is forwarded and nothing ends."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.frozen = threading.Event()
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """Close all connections."""
        for sock in list(self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the proxy and all connections, and join the threads."""
        self._closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for sock in (*self._sockets, self._listener):
            sock.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._address)
            except OSError:
                return
            self._sockets += [client, server]
            self._start(self._pump, client, server)
            self._start(self._pump, server, client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self.frozen.is_set():  # the data is delayed, or lost with the connection
                    if self._closing.wait(0.05):
                        return
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _start(self, work: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, name="proxy")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
