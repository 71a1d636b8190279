"""A coordination.k8s.io Lease: at most one of several processes holds it.

As client-go does it: a holder has lost when it could not renew for two thirds of the lease; others take over when they
have seen no renewal for the whole of it, by their own monotonic clocks; the API server lets only one of them write.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from kube import errors
from kube.client import Client, Document
from kube.objects import Resource, ResourceClient


@dataclass(frozen=True)
class LeaseTiming:
    """For how many seconds a renewal lasts, and the clocks that tell.

    A process that looks only once cannot see for how long nobody has renewed. `stale_seconds` lets it take over when
    the holder's lease ended so long ago by the wall clock, which must then be right to within that; None: never.
    """

    seconds: float = 15.0
    stale_seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


ELECTION = LeaseTiming()


class Lease:
    """One process's hold, or wish for it, on the lease of that name. Thread-safe. `identity`: unlike any other's."""

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, timing: LeaseTiming = ELECTION
    ) -> None:
        self.name, self.identity, self.seconds = name, identity, timing.seconds
        self._patience = timing.seconds * 2 / 3  # for how long we trust a renewal; others wait for all of `seconds`
        resource = Resource("coordination.k8s.io", "v1", "leases", namespace)
        self._objects = ResourceClient(client, resource, timeout=self._patience / 2)
        self._stale_seconds, self._clock, self._wall = timing.stale_seconds, timing.clock, timing.wall
        self._lock = Lock()
        self._renewed_at: float | None = None
        self.term = 0  # how often it came to be held: a renewal that comes after a lapse begins another
        self._seen: tuple[Any, float] | None = None  # another's spec, and since when it has been the same

    @property
    def is_held(self) -> bool:
        """Whether we hold it still. Exact even when this process was stopped for a while."""
        renewed_at = self._renewed_at
        return renewed_at is not None and self._clock() - renewed_at < self._patience

    def acquire(self) -> bool:
        """Try once to acquire or renew it, and tell whether we hold it. Raises what is in kube.errors."""
        with self._lock:
            asked_at = self._clock()
            found = self._read()
            if not self._may_take(found):
                self._renewed_at = None
                return False
            try:
                self._write(found, self.identity)
            except (errors.Conflict, errors.AlreadyExists):
                return self.is_held and self._holder(self._read()) == self.identity
            before, self._renewed_at = self._renewed_at, asked_at
            if before is None or self._clock() - before >= self._patience:
                self.term += 1
            return True

    def release(self) -> None:
        """Let another have it at once, if it is ours. Raises what is in kube.errors."""
        with self._lock:
            self._renewed_at = None
            found = self._read()
            if found and self._holder(found) == self.identity:
                try:
                    self._write(found, "")
                except (errors.Conflict, errors.NotFound):
                    return

    def _read(self) -> Document | None:
        try:
            return self._objects.get(self.name)
        except errors.NotFound:
            return None

    def _may_take(self, found: Document | None) -> bool:
        holder = self._holder(found)
        if found is None or holder in ("", self.identity):
            self._seen = None
            return True
        spec, now = _spec(found), self._clock()
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, now)
        return now - self._seen[1] >= _seconds(spec, self.seconds) or self._is_stale(spec)

    def _is_stale(self, spec: Mapping[str, Any]) -> bool:
        renewed_at = _read_time(spec.get("renewTime"))
        if self._stale_seconds is None or renewed_at is None:
            return False
        return self._wall() - renewed_at >= self._stale_seconds + _seconds(spec, self.seconds)

    def _holder(self, found: Document | None) -> str:
        holder = _spec(found).get("holderIdentity") if found else None
        return holder if isinstance(holder, str) else ""

    def _write(self, found: Document | None, holder: str) -> None:
        before, now = _spec(found) if found else {}, _format_time(self._wall())
        is_renewal = self._holder(found) == holder
        transitions = _whole(before.get("leaseTransitions")) + bool(found and holder and not is_renewal)
        spec = {
            **({"holderIdentity": holder} if holder else {}),
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "acquireTime": (is_renewal and before.get("acquireTime")) or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        if found:
            self._objects.replace(self.name, {**found, "spec": spec})
        else:
            document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name}}
            self._objects.create({**document, "spec": spec})


def _spec(document: Document) -> Mapping[str, Any]:
    spec = document.get("spec")
    return spec if isinstance(spec, dict) else {}


def _seconds(spec: Mapping[str, Any], usual: float) -> float:
    return _whole(spec.get("leaseDurationSeconds")) or usual


def _whole(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
