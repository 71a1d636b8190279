"""A coordination.k8s.io Lease, which at most one of several processes holds.

The protocol is client-go's. A holder that could not renew for two thirds of the lease's duration has lost the lease.
Others take over after they have observed no renewal for the whole duration, by their own monotonic clocks. The API
server lets only one of them write.

Anybody with the right can write the record, so its numbers are believed only within bounds: no record can keep
contenders waiting for ever.
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

# A duration in the record that is longer than this and than our own is not believed.
MAX_DURATION_SECONDS = 600.0
_MAX_TRANSITIONS = 2**31 - 1  # the field's type is int32


@dataclass(frozen=True)
class LeaseTiming:
    """The duration of a lease in seconds, and the clocks.

    A process that tries only once cannot observe how long the lease has not been renewed. With `stale_seconds`, it also
    takes over a lease that expired this long ago by the wall clock, or whose renewal is that far in the future. So the
    clocks of all processes must agree to within that time. None disables this.
    """

    seconds: float = 15.0
    stale_seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


ELECTION_TIMING = LeaseTiming()


class Lease:
    """One contender for the lease of that name. Thread-safe. Every contender needs an `identity` of its own."""

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, timing: LeaseTiming = ELECTION_TIMING
    ) -> None:
        self.name, self.identity, self.seconds = name, identity, timing.seconds
        self._valid_seconds = timing.seconds * 2 / 3  # of our renewal; others wait for all of `seconds`
        resource = Resource("coordination.k8s.io", "v1", "leases", namespace)
        self._objects = ResourceClient(client, resource, timeout=self._valid_seconds / 2)
        self._stale_seconds, self._clock, self._wall = timing.stale_seconds, timing.clock, timing.wall
        self._lock = Lock()
        self._renewed_at: float | None = None
        self.term = 0  # how often the lease was acquired; a renewal after a lapse begins a new term
        self._observed: tuple[Any, float] | None = None  # another holder's spec, and since when it is unchanged

    @property
    def is_held(self) -> bool:
        """Whether this contender holds the lease. Exact even if the process was suspended."""
        renewed_at = self._renewed_at
        return renewed_at is not None and self._clock() - renewed_at < self._valid_seconds

    @property
    def other_holder(self) -> str:
        """The other contender that held the lease at the last attempt, or ""."""
        observed = self._observed
        return _holder({"spec": observed[0]}) if observed else ""

    @property
    def silent_seconds(self) -> float:
        """The time for which no renewal by another holder was observed; 0 if no other contender holds the lease."""
        observed = self._observed
        return self._clock() - observed[1] if observed else 0.0

    def acquire(self) -> bool:
        """Try once to acquire or renew the lease. Returns whether this contender holds it.

        Raises:
            KubeError: the API server refused or did not answer.
        """
        with self._lock:
            asked_at = self._clock()
            lease = self._read()
            if not self._is_available(lease):
                self._renewed_at = None
                return False
            try:
                self._write(lease, self.identity)
            except (errors.Conflict, errors.AlreadyExists):
                return self.is_held and _holder(self._read()) == self.identity
            before, self._renewed_at, self._observed = self._renewed_at, asked_at, None
            if before is None or self._clock() - before >= self._valid_seconds:
                self.term += 1
            return True

    def release(self) -> None:
        """Give up the lease if this contender holds it, so that another can acquire it at once.

        Raises:
            KubeError: the API server refused or did not answer.
        """
        with self._lock:
            self._renewed_at = None
            lease = self._read()
            if lease and _holder(lease) == self.identity:
                try:
                    self._write(lease, "")
                except (errors.Conflict, errors.NotFound):
                    return

    def _read(self) -> Document | None:
        try:
            return self._objects.get(self.name)
        except errors.NotFound:
            return None

    def _is_available(self, lease: Document | None) -> bool:
        if lease is None or _holder(lease) in ("", self.identity):
            self._observed = None
            return True
        spec, now = _spec(lease), self._clock()
        if self._observed is None or self._observed[0] != spec:
            self._observed = (spec, now)
        return now - self._observed[1] >= self._duration(spec) or self._is_stale(spec)

    def _duration(self, spec: Mapping[str, Any]) -> float:
        written = _positive_int(spec.get("leaseDurationSeconds")) or self.seconds
        return min(written, max(self.seconds, MAX_DURATION_SECONDS))

    def _is_stale(self, spec: Mapping[str, Any]) -> bool:
        renewed_at = _parse_time(spec.get("renewTime"))
        if self._stale_seconds is None or renewed_at is None:
            return False
        age = self._wall() - renewed_at
        return age >= self._stale_seconds + self._duration(spec) or age <= -self._stale_seconds

    def _write(self, lease: Document | None, holder: str) -> None:
        before, now = _spec(lease) if lease else {}, _format_time(self._wall())
        is_renewal = _holder(lease) == holder
        transitions = _positive_int(before.get("leaseTransitions")) % _MAX_TRANSITIONS
        transitions += bool(lease and holder and not is_renewal)
        spec = {
            **({"holderIdentity": holder} if holder else {}),
            "leaseDurationSeconds": max(1, round(self.seconds)),
            "acquireTime": (is_renewal and before.get("acquireTime")) or now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        if lease:
            self._objects.replace(self.name, {**lease, "spec": spec})
        else:
            document = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name}}
            self._objects.create({**document, "spec": spec})


def _spec(lease: Document) -> Mapping[str, Any]:
    spec = lease.get("spec")
    return spec if isinstance(spec, dict) else {}


def _holder(lease: Document | None) -> str:
    holder = _spec(lease).get("holderIdentity") if lease else None
    return holder if isinstance(holder, str) else ""


def _positive_int(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse_time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
