"""What a test has the API server do wrong: to which requests, how, how often."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Request(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and not self.is_watch and "limit" in self.query


@dataclass
class Fault:
    """One fault. `kind`:

    status         answer with `code` and `message` (and `headers`)
    text           answer 200 with `text`, whatever it is
    truncated      send half the body and close the connection
    reset          reset the connection without an answer; a watch: within the line after `events` lines
    half_open      say nothing more after `events` lines of a watch (or before any answer), and keep the connection
    end            end a watch in order after `events` lines
    line           send `text` as a line of a watch, after `events` lines
    slow           wait for `seconds` before the answer
    """

    kind: str
    when: Callable[[Request], bool]
    times: int = 1
    code: int = 500
    message: str = "scripted"
    text: bytes = b""
    events: int = 0
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


class Script:
    """The faults that are still to come, the first at the head. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, kind: str, when: Callable[[Request], bool], **given: Any) -> None:
        """`times` is how many requests meet it: 1 unless said otherwise."""
        with self._lock:
            self._faults.append(Fault(kind, when, **given))

    def take(self, request: Request) -> Fault | None:
        """The fault that this request meets, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.when(request):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
