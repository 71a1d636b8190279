"""How long to wait before the next try: longer each time, never the same for two processes."""

import random


class Backoff:
    """Delays that double from `first` to `most` seconds; each is shortened by up to a half, by chance."""

    def __init__(self, first: float = 0.5, most: float = 30.0) -> None:
        self._first, self._most, self._tries = first, most, 0

    def next(self) -> float:
        """The next delay, in seconds."""
        delay = min(self._most, self._first * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return delay * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """All is well: the next delay is the first again."""
        self._tries = 0
