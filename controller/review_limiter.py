"""Bounds the memory that large reviews take, and leaves threads for the others.

Parsed, a review takes up to 25 times its bytes. A job's pod has some kilobytes, so large reviews are read and handled
in small numbers; a thread that waits for its turn holds no body.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_BYTES = 3 * 1024 * 1024  # the API server accepts requests of 3 MiB and stores objects of 1.5 MiB
SMALL_BYTES = 64 * 1024
_MAX_LARGE_READS, _MAX_LARGE_REVIEWS = 16, 1
_WAIT_SECONDS = 2.0  # the API server waits 3 s for a response


class Overloaded(Exception):
    """Too many large reviews are being handled."""


class ReviewLimiter:
    """Admits large reviews when their turn has come, and small ones at once. Thread-safe."""

    def __init__(self, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._reads = threading.BoundedSemaphore(_MAX_LARGE_READS)
        self._reviews = threading.BoundedSemaphore(_MAX_LARGE_REVIEWS)

    @contextmanager
    def reading(self, length: int | None) -> Iterator[None]:
        """Hold a turn to read a body of `length` bytes, None if unknown, and to keep it. Raises Overloaded."""
        with self._turn(self._reads, length):
            yield

    @contextmanager
    def reviewing(self, length: int | None) -> Iterator[None]:
        """Hold a turn to parse a body that was read, and to review its pod. Raises Overloaded."""
        with self._turn(self._reviews, length):
            yield

    @contextmanager
    def _turn(self, turns: threading.BoundedSemaphore, length: int | None) -> Iterator[None]:
        if length is not None and length <= SMALL_BYTES:
            yield
            return
        if not turns.acquire(timeout=self._wait_seconds):
            raise Overloaded
        try:
            yield
        finally:
            turns.release()
