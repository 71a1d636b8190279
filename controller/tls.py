"""The certificate that is served, read anew when its files change: no restart, and no connection is disturbed.

Each state of the files gets a TLS context of its own, which is never changed while connections use it. What cannot be
read, or is half-written, leaves the one before in place.
"""

import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from artifacts.log import get_logger

logger = get_logger(__name__)

CERTIFICATE, KEY = "tls.crt", "tls.key"
# Seconds a peer may go without a byte in the middle of a handshake or a request: it holds a thread meanwhile.
STALLED_SECONDS = 5.0


class PatientSocket(ssl.SSLSocket):
    """A connection whose "for ever" has an end: whoever stalls is let go."""

    def settimeout(self, value: float | None) -> None:
        super().settimeout(STALLED_SECONDS if value is None else value)

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except TimeoutError as error:
            raise ssl.SSLError(ssl.SSL_ERROR_EOF, "the peer stalled in the handshake") from error

    def shutdown(self, how: int) -> None:
        """What gunicorn calls before it waits for the peer to close too: seconds, in the one thread that accepts."""
        self.close()


@dataclass(frozen=True)
class _Served:
    context: ssl.SSLContext
    expires_at: float


class ServedCertificate:
    """The newest good certificate in `folder`, as kubelet mounts a Secret. Safe to use from several threads."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._served: _Served | None = None
        self._seen: object = None
        self._complaint = ""

    def context(self) -> ssl.SSLContext:
        """For the next connection. Raises ssl.SSLError while there is none."""
        served = self._newest()
        if served is None:
            raise ssl.SSLError(f"there is no certificate in {self._folder} yet")
        return served.context

    def expires_at(self) -> float:
        """UNIX seconds; 0 while there is none."""
        served = self._newest()
        return served.expires_at if served else 0.0

    def problem(self) -> str:
        """Why nothing can be served, or ""."""
        return "" if self._newest() else f"there is no certificate in {self._folder} yet"

    def _newest(self) -> _Served | None:
        with self._lock:
            try:
                self._look()
            except (OSError, ValueError) as error:  # an SSLError is an OSError
                self._complain(str(error))
            return self._served

    def _look(self) -> None:
        # Looked at before they are read: what is replaced in between does not fit together, or is read once more.
        files = self._folder / CERTIFICATE, self._folder / KEY
        seen = [(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) for found in map(os.stat, files)]
        if seen == self._seen:
            return
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.sslsocket_class = PatientSocket
        self._seen = seen
        context.load_cert_chain(*files)
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        self._served = _Served(context, certificate.not_valid_after_utc.timestamp())
        self._complaint = ""
        logger.info("certificate loaded", expires=certificate.not_valid_after_utc.isoformat())

    def _complain(self, complaint: str) -> None:
        """Once for each trouble: connections come all the time."""
        if complaint != self._complaint:
            logger.warning("certificate cannot be used", folder=self._folder, error=complaint)
        self._complaint = complaint
