"""Decides in the webhook whether a pod gets its sidecar while injection is paused or on probation.

On probation, each process injects one pod of an owner every few minutes. If it has the same fault as before, only that
pod is held up; an owner cannot use up the attempts of others.
"""

import threading
import time
from collections.abc import Callable

from controller.injection_pauses import ALL, MAX_ENTRIES, Pauses

PROBE_SECONDS = 300.0


class PauseGate:
    """`pauses` returns the current entries, `now` UNIX seconds. Thread-safe."""

    def __init__(self, pauses: Callable[[], Pauses], now: Callable[[], float] = time.time) -> None:
        self._pauses, self._now = pauses, now
        self._lock = threading.Lock()
        self._probed_at: dict[str, float] = {}

    def may_inject(self, owner: str) -> bool:
        """Whether a pod of the owner gets a sidecar now."""
        pauses, now = self._pauses(), self._now()
        entries = [pauses[key] for key in (ALL, owner) if key in pauses]
        if any(entry.is_active(now) for entry in entries):
            return False
        return not entries or self._may_probe(owner, now)

    def _may_probe(self, owner: str, now: float) -> bool:
        with self._lock:
            if abs(now - self._probed_at.get(owner, 0.0)) < PROBE_SECONDS:
                return False
            while len(self._probed_at) >= MAX_ENTRIES:
                del self._probed_at[next(iter(self._probed_at))]
            self._probed_at.pop(owner, None)
            self._probed_at[owner] = now
            return True
