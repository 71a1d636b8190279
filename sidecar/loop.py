"""When to sync: a timer that always runs, hastened by hints, at once on preStop, and for the last time on SIGTERM.

An idle folder costs nothing worth measuring: the interval is at least a thousand times what a look at it costs.
"""

import threading
import time
from typing import TYPE_CHECKING

from artifacts.log import get_logger
from sidecar.scan import Scan
from sidecar.source import Refused
from sidecar.sync import Syncer

if TYPE_CHECKING:
    from sidecar.watch import Watch

log = get_logger(__name__)

_SCANS_PER_TIMER = 1000  # at most 0.1 % of a CPU for looking, where nothing changes
_SCANS_PER_HINT = 50  # at most 2 % where files come and go
_SYNCS = 10  # at most a tenth of the time for copying while main runs
_LEAST_SECONDS = 0.5


def next_sync(settings_seconds: float, quiet_seconds: float, scan: float, sync: float, hinted: bool) -> float:
    """Seconds from the end of one sync to the start of the next. `scan`, `sync`: what the last one took."""
    timer = max(settings_seconds, _SCANS_PER_TIMER * scan, _SYNCS * sync)
    hint = max(_LEAST_SECONDS, quiet_seconds + 0.1, _SCANS_PER_HINT * scan, _SYNCS * sync)
    return min(timer, hint) if hinted else timer


class Loop(threading.Thread):
    """The thread that syncs. `done` is set when the last sync is sealed, or could not be."""

    def __init__(self, syncer: Syncer, sync_seconds: float, quiet_seconds: float) -> None:
        super().__init__(name="sync", daemon=True)
        self._syncer = syncer
        self._sync_seconds, self._quiet_seconds = sync_seconds, quiet_seconds
        self._wake = threading.Condition()
        self._hinted = self._eager = False
        self._deadline: float | None = None
        self._main_until = 0.0
        self._watch: Watch | None = None
        self.done = threading.Event()

    def hint(self) -> None:
        """Something changed in the folder."""
        if not self._hinted:
            with self._wake:
                self._hinted = True
                self._wake.notify()

    def hasten(self) -> None:
        """Copy everything now, quiet or not: the pod is about to go."""
        with self._wake:
            self._eager = True
            self._wake.notify()

    def finish(self, deadline: float, main_until: float) -> None:
        """Main has ended: one last sync, until `deadline`. Where main may go on until `main_until`, another one then,
        for what it still does; the first, as nobody knows whether there will be time for it. Monotonic seconds."""
        with self._wake:
            self._deadline, self._main_until = deadline, main_until
            self._wake.notify()
        if self._watch is not None:
            # Nothing is to be learned any more, and the kernel takes 10 ms to take down watches at the exit.
            threading.Thread(target=self._watch.rest, name="rest", daemon=True).start()

    def run(self) -> None:
        try:
            self._run()
        except Exception:
            log.exception("the last sync failed")
            self._syncer.report.state = "incomplete"
            self._syncer.report.message = "the last sync failed by a fault of the collector"
        finally:
            self.done.set()

    def _run(self) -> None:
        while self._deadline is None:
            self._listen()
            started = time.monotonic()
            with self._wake:
                eager, self._eager, self._hinted = self._eager, False, False
            try:
                self._syncer.sync(eager)
            except Exception:  # the job's files are anything: whatever they break, the next sync tries again
                log.exception("sync failed")
            took = time.monotonic() - started
            if self._watch is None:
                from sidecar.watch import Watch  # noqa: PLC0415 - 50 ms that a first sync need not wait for

                self._watch = Watch(self.hint)
            self._listen()
            self._sleep(self._syncer.scan, took)
        self._syncer.finish(self._deadline)
        if (left := self._main_until - time.monotonic()) > 0:
            self._syncer.tell()
            time.sleep(left)
            self._syncer.finish(self._deadline)

    def _listen(self) -> None:
        """Before a look: to the folder as it was known last; after it: to the one that has taken its place."""
        if self._watch is not None and self._deadline is None:
            scan = self._syncer.scan
            try:
                self._watch.follow(scan.folder if scan.exists else None, self._open_folder)
            except Exception:  # hints are not worth a sync
                log.exception("cannot watch, the timer goes on")

    def _open_folder(self) -> int:
        try:
            return self._syncer.source.open_folder("")[0]
        except Refused as refused:
            raise OSError(refused.reason) from refused

    def _sleep(self, scan: Scan, took: float) -> None:
        """Until the next sync is due, sooner after a hint, at once when asked to."""
        slept = time.monotonic()
        refresh = self._syncer.refresh()
        with self._wake:
            while not self._eager and self._deadline is None:
                hinted = self._hinted or self._syncer.is_waiting
                due = next_sync(self._sync_seconds, self._quiet_seconds, scan.seconds, took, hinted)
                left = slept + min(due, refresh) - time.monotonic()
                if left <= 0:
                    return
                self._wake.wait(left)
