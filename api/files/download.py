"""A download under way: the body of a response, which is counted and noted in the log when it ends, however it ends.

A body that fails half-way must not look whole, so the connection has to break.
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


@dataclass(frozen=True)
class DownloadInfo:
    """What the log tells of a download. `kind`: file or zip."""

    kind: str
    folder: JobFolder
    path: str
    caller: Caller
    range: str = ""

    @property
    def log_fields(self) -> Fields:
        """Return the fields that name the download in log lines."""
        folder, user = self.folder, self.caller.username or self.caller.id
        return {"group": folder.group, "job": folder.job, "path": self.path, "user": user, "range": self.range}


class Download:
    """The body: iterated by the server, and closed by it. `held` is let go of at the end."""

    def __init__(
        self, chunks: Iterator[bytes], request: DownloadInfo, metrics: ApiMetrics, held: contextlib.ExitStack
    ) -> None:
        self._chunks, self._request, self._metrics, self._held = chunks, request, metrics, held
        self._first: bytes | None = None
        self._under_way = 0  # bytes that the server has taken, but may not have sent
        self._sent = 0
        self._ended = False

    def start(self) -> None:
        """Read the first block, while what goes wrong can still be told in an answer. Raises what reading raises."""
        try:
            self._first = next(self._chunks, b"")
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._sent, self._under_way = self._sent + self._under_way, 0
        chunk = self._next()
        self._under_way = len(chunk)
        return chunk

    def close(self) -> None:
        """End it, as aborted where it is not complete."""
        self._end("aborted")

    def _next(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._chunks)
        except StopIteration:
            self._end("complete")
            raise
        except (ArtifactError, OSError) as error:
            logger.warning("download failed", **self._request.log_fields, error=str(error) or type(error).__name__)
            # The server closes the connection after any error; this one it takes for the client's and adds no trace.
            raise ConnectionResetError(errno.ECONNRESET, "the download failed half-way") from error

    def _end(self, result: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._held.close()
        self._metrics.downloads.labels(self._request.kind, result).inc()
        self._metrics.download_bytes.inc(self._sent)
        logger.info("download", **self._request.log_fields, bytes=self._sent, result=result)


class DownloadLimiter:
    """At most `most` downloads; one more is refused at once."""

    def __init__(self, most: int, metrics: ApiMetrics) -> None:
        self._free = threading.Semaphore(most)
        self._metrics = metrics

    @contextlib.contextmanager
    def taken(self, kind: str) -> Iterator[None]:
        """Hold a slot for a download of `kind` (file or zip). Raises ServiceUnavailable where none is free."""
        if not self._free.acquire(blocking=False):
            self._metrics.downloads.labels(kind, "refused").inc()
            raise ServiceUnavailable("too many downloads are under way; try again in a few seconds")
        self._metrics.downloads_active.inc()
        try:
            yield
        finally:
            self._metrics.downloads_active.dec()
            self._free.release()
