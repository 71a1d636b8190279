"""Links that a browser can follow without a token: signed, short-lived, bound to one path of one job."""

import secrets
from collections.abc import Callable


class Links:
    """Signs and checks links. `key`: the same on every replica; empty: one of this process's own."""

    def __init__(self, key: bytes, seconds: int, clock: Callable[[], float]) -> None:
        self._key, self._seconds, self._clock = key or secrets.token_bytes(32), seconds, clock
