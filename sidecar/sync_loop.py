"""Schedules the syncs: by a timer, sooner after file events, at once on preStop, and for the last time on SIGTERM.

The interval is at least a thousand times the duration of a scan, so an idle folder costs almost no CPU.
"""

import threading
import time
from typing import TYPE_CHECKING

from artifacts.log import get_logger
from sidecar.scan import Scan
from sidecar.source import PathRefused
from sidecar.sync import Syncer

if TYPE_CHECKING:
    from sidecar.watch import FolderWatch

logger = get_logger(__name__)

# The delay is at least this many times the duration of the last scan or sync.
_SCANS_PER_TIMER = 1000  # at most 0.1 % of a CPU for scans if nothing changes
_SCANS_PER_EVENT = 50  # at most 2 % if files change all the time
_SYNCS = 10  # at most a tenth of the time for copying while main runs
_MIN_DELAY_SECONDS = 0.5


def compute_delay(
    interval_seconds: float, quiet_seconds: float, scan_seconds: float, sync_seconds: float, has_changed: bool
) -> float:
    """Return the seconds from the end of one sync to the start of the next.

    `scan_seconds` and `sync_seconds` are the durations of the last ones.
    """
    timer = max(interval_seconds, _SCANS_PER_TIMER * scan_seconds, _SYNCS * sync_seconds)
    after_event = max(_MIN_DELAY_SECONDS, quiet_seconds + 0.1, _SCANS_PER_EVENT * scan_seconds, _SYNCS * sync_seconds)
    return min(timer, after_event) if has_changed else timer


class SyncLoop(threading.Thread):
    """The thread that syncs. `done` is set when the last sync has been sealed or has failed."""

    def __init__(self, syncer: Syncer, interval_seconds: float, quiet_seconds: float) -> None:
        super().__init__(name="sync", daemon=True)
        self._syncer = syncer
        self._interval_seconds, self._quiet_seconds = interval_seconds, quiet_seconds
        self._wake = threading.Condition()
        self._has_changed = self._is_eager = False
        self._deadline: float | None = None
        self._main_until = 0.0
        self._watch: FolderWatch | None = None
        self.done = threading.Event()

    def notify_change(self) -> None:
        """Bring the next sync forward, because something changed in the artifacts folder."""
        if not self._has_changed:
            with self._wake:
                self._has_changed = True
                self._wake.notify()

    def sync_now(self) -> None:
        """Sync at once and copy all files, even those that were just written: the pod is about to end."""
        with self._wake:
            self._is_eager = True
            self._wake.notify()

    def finish(self, deadline: float, main_until: float) -> None:
        """Start the last sync, which may take until `deadline` (monotonic seconds).

        If main may still run until a later time `main_until`, a second last sync follows then. The first one is not
        skipped, because the time may not suffice for the second.
        """
        with self._wake:
            self._deadline, self._main_until = deadline, main_until
            self._wake.notify()
        if self._watch is not None:
            # Remove the watches concurrently: otherwise the kernel takes 10 ms for it at the exit.
            threading.Thread(target=self._watch.pause, name="unwatch", daemon=True).start()

    def run(self) -> None:
        """Sync until `finish` is called, then run the last sync."""
        try:
            self._run()
        except Exception:
            logger.exception("last sync failed")
            self._syncer.report.state = "incomplete"
            self._syncer.report.message = "the last sync failed because of an internal error of the collector"
        finally:
            self.done.set()

    def _run(self) -> None:
        while self._deadline is None:
            self._watch_folder()
            started = time.monotonic()
            with self._wake:
                eager, self._is_eager, self._has_changed = self._is_eager, False, False
            try:
                self._syncer.sync(eager)
            except Exception:  # a job's files can be anything: after any error, the next sync retries
                logger.exception("sync failed")
            sync_seconds = time.monotonic() - started
            if self._watch is None:
                from sidecar.watch import FolderWatch  # noqa: PLC0415 - takes 50 ms, which would delay the first sync

                self._watch = FolderWatch(self.notify_change)
            self._watch_folder()
            self._sleep(self._syncer.scan, sync_seconds)
        self._syncer.finish(self._deadline, main_has_ended=time.monotonic() >= self._main_until)
        if (remaining := self._main_until - time.monotonic()) > 0:
            self._syncer.report_progress()
            time.sleep(remaining)
            self._syncer.finish(self._deadline)

    def _watch_folder(self) -> None:
        """Watch the folder of the last scan. Called before each scan, and after it in case the folder was replaced."""
        if self._watch is not None and self._deadline is None:
            scan = self._syncer.scan
            try:
                self._watch.follow(scan.folder_id if scan.exists else None, self._open_folder)
            except Exception:  # events are optional
                logger.exception("cannot watch folder, timer still runs")

    def _open_folder(self) -> int:
        try:
            return self._syncer.source.open_folder("")[0]
        except PathRefused as refused:
            raise OSError(refused.reason) from refused

    def _sleep(self, scan: Scan, sync_seconds: float) -> None:
        """Wait until the next sync is due, or until the expiry must be refreshed."""
        started = time.monotonic()
        refresh_seconds = self._syncer.refresh_expiry()
        # Without a folder, a sync costs nothing, however long it took on a busy node, and no event ends the wait.
        scan_seconds, sync_seconds = (scan.duration_seconds, sync_seconds) if scan.exists else (0.0, 0.0)
        with self._wake:
            while not self._is_eager and self._deadline is None:
                has_changed = self._has_changed or self._syncer.has_deferred_files
                delay = compute_delay(
                    self._interval_seconds, self._quiet_seconds, scan_seconds, sync_seconds, has_changed
                )
                remaining = started + min(delay, refresh_seconds) - time.monotonic()
                if remaining <= 0:
                    return
                self._wake.wait(remaining)
