"""Exponential backoff with jitter."""

import random


class Backoff:
    """Delays that double from `initial_seconds` to `max_seconds`. Each is randomly shortened by up to a half."""

    def __init__(self, initial_seconds: float = 0.5, max_seconds: float = 30.0) -> None:
        self._initial_seconds, self._max_seconds, self._attempts = initial_seconds, max_seconds, 0

    def next(self) -> float:
        """Return the next delay in seconds."""
        delay = min(self._max_seconds, self._initial_seconds * 2.0 ** min(self._attempts, 30))
        self._attempts += 1
        return delay * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again from the initial delay, after a success."""
        self._attempts = 0
