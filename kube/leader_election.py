"""Holding a lease: for one run of a task, or for as long as this process leads. Renewals happen in a thread."""

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
    """Hold the lease while the block runs; None where another holds it. Does not wait. Raises what is in kube.errors.

    The block looks at the lease's `held` before each step that only one may take. `holder`: shown to people. Every
    call is a holder of its own, so two in one process keep each other out. One that died is outlived by its lease,
    and by five minutes more that clocks may differ.
    """
    lease = Lease(client, namespace, name, f"{holder}_{uuid.uuid4()}", timing)
    if not lease.acquire():
        yield None
        return
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, done), name=f"lease {name}", daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        done.set()
        keeper.join()
        _release(lease)


class LeaderElection:
    """Strives to hold `lease` from `start` to `stop`: whoever holds it leads.

    `on_change(leading)` is called in the election's thread; `is_leader` is exact at any moment.
    """

    def __init__(self, lease: Lease, on_change: Callable[[bool], None]) -> None:
        self._lease, self._on_change = lease, on_change
        self._term = 0  # the one that was told of; 0: that we do not lead
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"election {lease.name}", daemon=True)

    @property
    def is_leader(self) -> bool:
        """Whether this process leads now."""
        return self._lease.is_held

    def start(self) -> None:
        """Begin to strive for it."""
        self._thread.start()

    def stop(self) -> None:
        """Resign, so that another need not wait, and come back when all is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            _renew(self._lease)
            self._tell(self._lease.is_held)
            self._stop.wait(_pause(self._lease))
        self._tell(False)  # before another may lead
        if self._lease.is_held:
            _release(self._lease)

    def _tell(self, leads: bool) -> None:
        term = self._lease.term if leads else 0
        if term == self._term:
            return
        if term and self._term:
            self._tell(False)  # it lapsed between two looks: what came meanwhile was left to a leader
        self._term = term
        if leads:
            logger.info("leading", extra={"fields": {"lease": self._lease.name, "identity": self._lease.identity}})
        else:
            logger.info(
                "no longer leading", extra={"fields": {"lease": self._lease.name, "identity": self._lease.identity}}
            )
        try:
            self._on_change(leads)
        except Exception:
            logger.exception("handler failed", extra={"fields": {"lease": self._lease.name}})


def _keep(lease: Lease, done: threading.Event) -> None:
    while not done.wait(_pause(lease)):
        if not lease.is_held:
            logger.warning("lost", extra={"fields": {"lease": lease.name, "identity": lease.identity}})
            return
        _renew(lease)


def _renew(lease: Lease) -> None:
    try:
        lease.acquire()
    except errors.KubeError as error:
        logger.warning("not renewed", extra={"fields": {"lease": lease.name, "error": error}})


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except errors.KubeError as error:
        logger.warning("not released", extra={"fields": {"lease": lease.name, "error": error}})


def _pause(lease: Lease) -> float:
    return lease.seconds * 2 / 15  # client-go: 2 s of 15
