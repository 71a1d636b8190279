"""Scripted faults of the API server for tests: which requests fail, how, and how often."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Request(NamedTuple):
    """A request that the server received."""

    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never modified

    @property
    def is_watch(self) -> bool:
        return "watch" in self.query

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and not self.is_watch and "limit" in self.query


@dataclass
class Fault:
    """A fault. `kind` is one of:

    status         respond with `code` and `message` (and `headers`)
    text           respond 200 with `text` as the body
    truncated      send half the body and close the connection
    reset          reset the connection without a response; for watches: in the middle of a line, after `events` lines
    half_open      send nothing more after `events` lines of a watch (or no response), and keep the connection open
    end            end a watch normally after `events` lines
    line           send `text` as a line of a watch, after `events` lines
    slow           wait for `seconds` before the response
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
    """The pending faults, in order. Thread-safe."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, kind: str, when: Callable[[Request], bool], **options: Any) -> None:
        """Add a fault for the requests that `when` matches. `times` limits how many requests it affects."""
        with self._lock:
            self._faults.append(Fault(kind, when, **options))

    def next_fault(self, request: Request) -> Fault | None:
        """Return the fault for this request, or None."""
        with self._lock:
            for fault in self._faults:
                if fault.when(request):
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        """Remove all pending faults."""
        with self._lock:
            self._faults.clear()
