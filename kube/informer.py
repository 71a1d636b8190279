"""A picture of a resource's objects in memory, kept true by list and watch in a thread of its own.

What it is built for: watches that end, connections that die without a word, versions that are forgotten, an API server
that is down, overloaded or refuses. It never asks in a hot loop, never shows what is gone for longer than it must, and
tells how long ago the server last said something, so that whoever reads can judge.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kube import errors
from kube.backoff import Backoff
from kube.client import Stream, parse_json
from kube.indexer import IndexedObject, Indexer, is_older
from kube.objects import ResourceClient

T = TypeVar("T")
logger = logging.getLogger(__name__)
_JOIN_SECONDS = 10.0  # it may be in a request or in a handler


@dataclass(frozen=True)
class InformerTiming:
    """Seconds, unless said otherwise. The server sends a bookmark a minute: silence for `idle` is a dead connection.

    A watch that lived for `steady` was a success. After `silence` without a word, all is listed anew.
    """

    page_size: int = 500  # objects
    idle_seconds: float = 75.0
    watch_seconds: tuple[int, int] = (240, 300)
    stable_seconds: float = 10.0
    relist_seconds: float = 240.0
    initial_delay_seconds: float = 0.5
    max_delay_seconds: float = 30.0


_USUAL = InformerTiming()


class Informer(Generic[T]):
    """The objects that `selectors` (labelSelector, fieldSelector) select, each as `trim` has it.

    Read it by `objects`. It may be started once; all else may be called from any thread.
    """

    def __init__(
        self,
        source: ResourceClient,
        trim: Callable[[Mapping[str, Any]], T],
        *,
        selectors: Mapping[str, str] | None = None,
        timing: InformerTiming = _USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.objects: Indexer[T] = Indexer(trim, str(source.resource))
        self.error: errors.KubeError | None = None
        self._source, self._selectors, self._timing, self._clock = source, dict(selectors or {}), timing, clock
        self._backoff = Backoff(timing.initial_delay_seconds, timing.max_delay_seconds)
        self._version = ""
        self._heard_at = clock()
        self._synced, self._stop = threading.Event(), threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"cache of {source.resource}", daemon=True)

    @property
    def has_synced(self) -> bool:
        """Whether all objects have been listed once."""
        return self._synced.is_set()

    def wait_for_sync(self, seconds: float) -> bool:
        """Wait for that, and tell whether it came."""
        return self._synced.wait(seconds)

    @property
    def seconds_since_activity(self) -> float:
        """Since the server last listed, changed or confirmed anything; since it was made, before that."""
        return self._clock() - self._heard_at

    def start(self) -> None:
        """Begin to list and watch."""
        self._thread.start()

    def stop(self) -> None:
        """End it. What is known stays readable."""
        self._stop.set()
        if stream := self._stream:
            stream.interrupt()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = self._clock()
            delay = self._round()
            if self._clock() - began >= self._timing.stable_seconds:
                self._backoff.reset()
                if delay is None:
                    continue
            self._stop.wait(max(self._backoff.next(), min(delay or 0.0, self._timing.max_delay_seconds)))

    def _round(self) -> float | None:
        """List if need be, and watch to the end. Returns None when all went well, else the least delay."""
        try:
            if not self._version or self.seconds_since_activity >= self._timing.relist_seconds:
                self._list()
            self._watch()
        except errors.Gone as error:
            self._version = ""
            logger.info("version forgotten", extra={"fields": {"resource": self._source.resource, "error": error}})
        except errors.KubeError as error:
            return self._failed(error)
        except Exception:
            self._version = ""
            logger.exception("watch broke", extra={"fields": {"resource": self._source.resource}})
        else:
            return None
        return 0.0

    def _failed(self, error: errors.KubeError) -> float:
        if self._stop.is_set():
            return 0.0
        self.error = error
        if not isinstance(error, errors.Unreachable | errors.Busy):
            self._version = ""  # it may be the version that the server cannot bear
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
            self._heard_at = self._clock()
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
                if self._stop.is_set():  # it may not have seen the stream
                    return
                self.error = None
                for line in stream:
                    self._take(line)
                    if self._stop.is_set():
                        return
            finally:
                self._stream = None

    def _take(self, line: bytes) -> None:
        """Take in one event. Raises the error that it tells."""
        event = _event(line)
        kind, document = event.get("type"), event.get("object")
        if kind == "ERROR":
            status = document if isinstance(document, dict) else {}
            code = status.get("code")
            raise errors.status_error(code if isinstance(code, int) else 500, status)
        if kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            version = self.objects.apply_event(kind, document)
            self._heard_at = self._clock()
            if is_older(version, self._version):
                raise errors.Gone(410, "Expired", f"versions went back from {self._version} to {version}")
            self._version = version or self._version


def _event(line: bytes) -> dict[str, Any]:
    event = parse_json(line)
    if not isinstance(event, dict):
        raise json.JSONDecodeError("an event is no object", "", 0)
    return event
