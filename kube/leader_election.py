"""Holds leases and renews them in a thread: for one run of a task, or while this process leads."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kube import errors
from kube.client import Client
from kube.lease import Lease, LeaseTiming

logger = logging.getLogger(__name__)

RUN_TIMING = LeaseTiming(seconds=30.0, stale_seconds=300.0)


@contextmanager
def hold_lease(
    client: Client, namespace: str, name: str, holder: str, timing: LeaseTiming = RUN_TIMING
) -> Iterator[Lease | None]:
    """Hold the lease while the block runs; yield None if another holder has it. Does not wait.

    The block must check `lease.is_held` before each step that only one process may take. Every call has its own
    identity, which begins with `holder`, so two calls in one process exclude each other. If the process dies, another
    can acquire the lease five minutes after it has expired (with `RUN_TIMING`), because clocks may differ.

    Raises:
        KubeError: the API server refused or did not answer.
    """
    lease = Lease(client, namespace, name, f"{holder}_{uuid.uuid4()}", timing)
    if not lease.acquire():
        yield None
        return
    stop = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(lease, stop), name=f"lease {name}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()
        _release(lease)


class LeaderElection:
    """Competes for `lease` between `start` and `stop`; the process that holds it leads.

    `on_change(is_leader)` is called in this object's thread, and can lag behind the property `is_leader`, which is
    always exact.
    """

    def __init__(self, lease: Lease, on_change: Callable[[bool], None]) -> None:
        self._lease, self._on_change = lease, on_change
        self._reported_term = 0  # last term passed to on_change; 0: not leading
        self._error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"election {lease.name}", daemon=True)

    @property
    def is_leader(self) -> bool:
        """Whether this process leads."""
        return self._lease.is_held

    def problem(self) -> str:
        """Return why it is not certain that any process leads, or ""."""
        lease = self._lease
        if lease.is_held:
            return ""
        if self._error:
            return f"the Lease {lease.name} cannot be acquired: {self._error}"
        if lease.silent_seconds <= lease.seconds:
            return ""
        return (
            f"no replica leads: the Lease {lease.name} belongs to {lease.other_holder[:100]!a}, who has not renewed it "
            f"for {lease.silent_seconds:.0f} s"
        )

    def start(self) -> None:
        """Start to compete for the lease."""
        self._thread.start()

    def stop(self) -> None:
        """Resign, so that the next leader need not wait for the lease to expire, and join the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._error = _renew(self._lease)
            self._report(self._lease.is_held)
            self._stop.wait(_renewal_interval(self._lease))
        self._report(False)  # before another process can lead
        if self._lease.is_held:
            _release(self._lease)

    def _report(self, is_leader: bool) -> None:
        term = self._lease.term if is_leader else 0
        if term == self._reported_term:
            return
        if term and self._reported_term:
            self._report(False)  # the lease lapsed between two renewals: work queued in between was dropped
        self._reported_term = term
        logger.info(
            "leading" if is_leader else "no longer leading",
            extra={"fields": {"lease": self._lease.name, "identity": self._lease.identity}},
        )
        try:
            self._on_change(is_leader)
        except Exception:
            logger.exception("leadership handler failed", extra={"fields": {"lease": self._lease.name}})


def _renew_until(lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(_renewal_interval(lease)):
        if not lease.is_held:
            logger.warning("lease lost", extra={"fields": {"lease": lease.name, "identity": lease.identity}})
            return
        _renew(lease)


def _renew(lease: Lease) -> str:
    """Try to acquire or renew the lease; return the error, or ""."""
    try:
        lease.acquire()
    except errors.KubeError as error:
        logger.warning("lease not renewed", extra={"fields": {"lease": lease.name, "error": error}})
        return str(error)
    return ""


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except errors.KubeError as error:
        logger.warning("lease not released", extra={"fields": {"lease": lease.name, "error": error}})


def _renewal_interval(lease: Lease) -> float:
    return lease.seconds * 2 / 15  # as in client-go: every 2 s for a lease of 15 s
