"""An in-memory copy of a resource's objects, kept current by list and watch in a thread.

It handles watches that end, connections that die silently, expired resource versions, and an API server that is down,
overloaded or refuses requests. Every retry is delayed. Readers can judge by `seconds_since_activity` how current the
objects are.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kube import errors
from kube.backoff import Backoff
from kube.client import Stream, parse_json
from kube.garbage import paused_collection
from kube.indexer import IndexedObject, Indexer, is_older
from kube.objects import ResourceClient

T = TypeVar("T")
logger = logging.getLogger(__name__)
_JOIN_SECONDS = 10.0  # the thread may be in a request or in a handler


@dataclass(frozen=True)
class InformerTiming:
    """Times of an informer.

    The server sends a bookmark every minute, so a connection that is silent for `idle_seconds` is dead. The duration of
    each watch is chosen randomly from `watch_seconds`. A watch that lasted `stable_seconds` resets the backoff. After
    `relist_seconds` without activity, all objects are listed again.
    """

    page_size: int = 500
    idle_seconds: float = 75.0
    watch_seconds: tuple[int, int] = (240, 300)
    stable_seconds: float = 10.0
    relist_seconds: float = 240.0
    initial_delay_seconds: float = 0.5
    max_delay_seconds: float = 30.0


_DEFAULT_TIMING = InformerTiming()


class Informer(Generic[T]):
    """The objects that `selectors` (labelSelector, fieldSelector) match, each reduced by `trim`.

    Read them from `objects`. An informer can be started once; all other methods are thread-safe.
    """

    def __init__(
        self,
        source: ResourceClient,
        trim: Callable[[Mapping[str, Any]], T],
        *,
        selectors: Mapping[str, str] | None = None,
        timing: InformerTiming = _DEFAULT_TIMING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.objects: Indexer[T] = Indexer(trim, str(source.resource))
        self.error: errors.KubeError | None = None
        self._source, self._selectors, self._timing, self._clock = source, dict(selectors or {}), timing, clock
        self._backoff = Backoff(timing.initial_delay_seconds, timing.max_delay_seconds)
        self._version = ""
        self._active_at = clock()
        self._synced, self._stop = threading.Event(), threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"informer {source.resource}", daemon=True)

    @property
    def has_synced(self) -> bool:
        """Whether all objects have been listed at least once."""
        return self._synced.is_set()

    def wait_for_sync(self, seconds: float) -> bool:
        """Wait until all objects have been listed once. Returns False if that takes longer than `seconds`."""
        return self._synced.wait(seconds)

    @property
    def seconds_since_activity(self) -> float:
        """Seconds since the server last sent a list page, a change or a bookmark; before the first, since creation."""
        return self._clock() - self._active_at

    def start(self) -> None:
        """Start listing and watching."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listing and watching. The objects stay readable."""
        self._stop.set()
        if stream := self._stream:
            stream.interrupt()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            started_at = self._clock()
            delay = self._list_and_watch()
            if self._clock() - started_at >= self._timing.stable_seconds:
                self._backoff.reset()
                if delay is None:
                    continue
            self._stop.wait(max(self._backoff.next(), min(delay or 0.0, self._timing.max_delay_seconds)))

    def _list_and_watch(self) -> float | None:
        """List if necessary, then watch until the stream ends.

        Returns None if nothing failed, else the minimum delay in seconds before the next attempt.
        """
        try:
            if not self._version or self.seconds_since_activity >= self._timing.relist_seconds:
                with nullcontext() if self.has_synced else paused_collection():
                    self._list()
            self._watch()
        except errors.Gone as error:
            self._version = ""
            logger.info("version expired", extra={"fields": {"resource": self._source.resource, "error": error}})
        except errors.KubeError as error:
            return self._handle_failure(error)
        except Exception:
            self._version = ""
            logger.exception("watch crashed", extra={"fields": {"resource": self._source.resource}})
        else:
            return None
        return 0.0

    def _handle_failure(self, error: errors.KubeError) -> float:
        if self._stop.is_set():
            return 0.0
        self.error = error
        if not isinstance(error, errors.Unreachable | errors.Busy):
            self._version = ""  # the resource version may be the reason for the failure
        logger.warning("watch failed", extra={"fields": {"resource": self._source.resource, "error": error}})
        return error.retry_after if isinstance(error, errors.StatusError) else 0.0

    def _list(self) -> None:
        self._version = ""
        self.objects.begin_list()
        listed: dict[str, IndexedObject[T]] = {}
        version = ""
        for page in self._source.pages(self._selectors, self._timing.page_size):
            listed |= self.objects.index(page.items)
            version = page.version
            self._active_at = self._clock()
            if self._stop.is_set():
                return
        self.objects.replace(listed, version)
        self._version, self.error = version, None
        self._synced.set()

    def _watch(self) -> None:
        if self._stop.is_set():
            return
        seconds = random.randint(*self._timing.watch_seconds)
        with self._source.watch(self._selectors, self._version, seconds, self._timing.idle_seconds) as stream:
            self._stream = stream
            try:
                if self._stop.is_set():  # `stop` may have run before it could see the stream
                    return
                self.error = None
                for line in stream:
                    self._handle_event(line)
                    if self._stop.is_set():
                        return
            finally:
                self._stream = None

    def _handle_event(self, line: bytes) -> None:
        """Apply one event. Raises the error of an ERROR event."""
        event = _parse_event(line)
        kind, document = event.get("type"), event.get("object")
        if kind == "ERROR":
            status = document if isinstance(document, dict) else {}
            code = status.get("code")
            raise errors.status_error(code if isinstance(code, int) else 500, status)
        if kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            version = self.objects.apply_event(kind, document)
            self._active_at = self._clock()
            if is_older(version, self._version):
                raise errors.Gone(410, "Expired", f"versions went back from {self._version} to {version}")
            self._version = version or self._version


def _parse_event(line: bytes) -> dict[str, Any]:
    event = parse_json(line)
    if not isinstance(event, dict):
        raise json.JSONDecodeError("an event is not a JSON object", "", 0)
    return event
