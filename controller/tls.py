"""The served certificate, reloaded when its files change, without a restart or an effect on open connections.

Each version of the files gets its own TLS context; a context in use is never modified. If the files are unreadable or
half-written, the previous certificate stays in use.
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
# Time without a byte in the middle of a handshake or a request, during which a client occupies a thread.
STALL_TIMEOUT_SECONDS = 5.0


class TimeoutSocket(ssl.SSLSocket):
    """A TLS connection that never blocks without a timeout, so that clients that stall are disconnected."""

    def settimeout(self, value: float | None) -> None:
        """Set the timeout in seconds; None means STALL_TIMEOUT_SECONDS."""
        super().settimeout(STALL_TIMEOUT_SECONDS if value is None else value)

    def setblocking(self, flag: bool) -> None:
        """Make the socket non-blocking, or blocking with a timeout."""
        self.settimeout(None if flag else 0.0)

    def do_handshake(self, block: bool = False) -> None:
        """Perform the handshake; a timeout raises SSLError, which gunicorn handles."""
        try:
            super().do_handshake(block)
        except TimeoutError as error:
            raise ssl.SSLError(ssl.SSL_ERROR_EOF, "the client stalled in the handshake") from error

    def shutdown(self, how: int) -> None:
        """Close at once: gunicorn would wait seconds for the client to close, in its only thread that accepts."""
        self.close()


@dataclass(frozen=True)
class _LoadedCertificate:
    context: ssl.SSLContext
    expires_at: float


class ServedCertificate:
    """The newest valid certificate in `folder`, in which the kubelet mounts a Secret. Thread-safe."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._loaded: _LoadedCertificate | None = None
        self._loaded_stats: object = None
        self._logged_error = ""

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for the next connection.

        Raises:
            ssl.SSLError: there is no certificate yet.
        """
        certificate = self._newest()
        if certificate is None:
            raise ssl.SSLError(f"there is no certificate in {self._folder} yet")
        return certificate.context

    def expires_at(self) -> float:
        """Return when the certificate expires in UNIX seconds; 0 without a certificate."""
        certificate = self._newest()
        return certificate.expires_at if certificate else 0.0

    def problem(self) -> str:
        """Return why nothing can be served, or ""."""
        return "" if self._newest() else f"there is no certificate in {self._folder} yet"

    def _newest(self) -> _LoadedCertificate | None:
        with self._lock:
            try:
                self._reload_if_changed()
            except (OSError, ValueError) as error:  # an SSLError is an OSError
                self._log_error(str(error))
            return self._loaded

    def _reload_if_changed(self) -> None:
        # Read the stats before the files: if a file is replaced in between, the pair does not match or is reloaded.
        files = self._folder / CERTIFICATE, self._folder / KEY
        stats = [(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in map(os.stat, files)]
        if stats == self._loaded_stats:
            return
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.sslsocket_class = TimeoutSocket
        self._loaded_stats = stats
        context.load_cert_chain(*files)
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        self._loaded = _LoadedCertificate(context, certificate.not_valid_after_utc.timestamp())
        self._logged_error = ""
        logger.info("certificate loaded", expires_at=certificate.not_valid_after_utc.isoformat())

    def _log_error(self, error: str) -> None:
        """Log the error once, as every connection repeats it."""
        if error != self._logged_error:
            logger.warning("certificate cannot be used", folder=self._folder, error=error)
        self._logged_error = error
