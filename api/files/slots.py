"""How many downloads go on at once: each holds a thread, and the others are to be served too."""

import contextlib
import threading
from collections.abc import Iterator

from api.errors import Unavailable
from api.metrics import Metrics


class Slots:
    """At most `most` downloads; one more is refused at once."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._free = threading.Semaphore(most)
        self._metrics = metrics

    @contextlib.contextmanager
    def taken(self, kind: str) -> Iterator[None]:
        """Hold a slot for a download of `kind` (file or zip). Raises Unavailable where none is free."""
        if not self._free.acquire(blocking=False):
            self._metrics.downloads.labels(kind, "refused").inc()
            raise Unavailable("too many downloads are under way; try again in a few seconds")
        self._metrics.downloads_active.inc()
        try:
            yield
        finally:
            self._metrics.downloads_active.dec()
            self._free.release()
