"""Downloads in progress: limits their number, and counts and logs each one when it ends.

If a body fails midway, the connection must break, so that the client does not take the file for complete.
"""

import contextlib
import errno
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from api.auth.caller import Caller
from api.errors import ServiceUnavailable
from api.folder import JobFolder
from api.metrics import ApiMetrics
from artifacts.errors import ArtifactError
from artifacts.log import Fields, get_logger

logger = get_logger(__name__)


class DownloadLimiter:
    """Allows at most `limit` downloads at a time: each occupies a thread, and other requests need threads too."""

    def __init__(self, limit: int, metrics: ApiMetrics) -> None:
        self._free = threading.Semaphore(limit)
        self._metrics = metrics

    @contextlib.contextmanager
    def acquire(self, kind: str) -> Iterator[None]:
        """Count a download of `kind` (file or zip) while the block runs. Raises ServiceUnavailable at the limit."""
        if not self._free.acquire(blocking=False):
            self._metrics.downloads.labels(kind, "refused").inc()
            raise ServiceUnavailable("too many downloads are in progress: retry in a few seconds")
        self._metrics.downloads_active.inc()
        try:
            yield
        finally:
            self._metrics.downloads_active.dec()
            self._free.release()


@dataclass(frozen=True)
class DownloadInfo:
    """What the metrics and the log record of a download. `kind` is file or zip."""

    kind: str
    folder: JobFolder
    path: str
    caller: Caller
    range: str = ""

    @property
    def log_fields(self) -> Fields:
        """The fields that identify the download in the log."""
        folder, user = self.folder, self.caller.username or self.caller.id
        return {"group": folder.group, "job": folder.job, "path": self.path, "user": user, "range": self.range}


class Download:
    """The body of a response: the server iterates and closes it. `resources` are closed at the end."""

    def __init__(
        self, chunks: Iterator[bytes], info: DownloadInfo, metrics: ApiMetrics, resources: contextlib.ExitStack
    ) -> None:
        self._chunks, self._info, self._metrics, self._resources = chunks, info, metrics, resources
        self._first: bytes | None = None
        self._pending_bytes = 0  # passed to the server, but not yet sent for certain
        self._sent_bytes = 0
        self._has_ended = False

    def start(self) -> None:
        """Read the first block, while an error can still become an error response. Raises what reading raises."""
        try:
            self._first = next(self._chunks, b"")
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._sent_bytes, self._pending_bytes = self._sent_bytes + self._pending_bytes, 0
        chunk = self._next_chunk()
        self._pending_bytes = len(chunk)
        return chunk

    def close(self) -> None:
        """End the download, as aborted if it is incomplete."""
        self._end("aborted")

    def _next_chunk(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._chunks)
        except StopIteration:
            self._end("complete")
            raise
        except (ArtifactError, OSError) as error:
            logger.warning("download failed", **self._info.log_fields, error=str(error) or type(error).__name__)
            # The server closes the connection for any error, but logs no traceback for a connection reset.
            raise ConnectionResetError(errno.ECONNRESET, "the download failed midway") from error

    def _end(self, result: str) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        self._resources.close()
        self._metrics.downloads.labels(self._info.kind, result).inc()
        self._metrics.download_bytes.inc(self._sent_bytes)
        logger.info("download ended", **self._info.log_fields, bytes=self._sent_bytes, result=result)
