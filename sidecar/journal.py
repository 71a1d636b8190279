"""What the sidecar says in the store about its own work: expiry and report, and the numbers behind the metrics.

The expiry is there before the first file (a crash leaves nothing that never expires) and kept ahead of now while
the job runs; the report is written last, so that a sealed one means that everything before it is there.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from artifacts import __version__
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, REPORT, format_expiry
from artifacts.log import get_logger
from artifacts.report import Report, format_report, read_main
from artifacts.settings import SidecarSettings
from sidecar.method import Method
from sidecar.pool import run_all
from sidecar.store import Store

log = get_logger(__name__)


@dataclass
class Totals:
    """What this process has done since its start."""

    syncs: int = 0
    sync_seconds: float = 0.0
    copied_files: int = 0
    copied_bytes: int = 0
    removed_files: int = 0
    store_errors: int = 0
    last_sync_at: float = 0.0


class Journal:
    """Expiry and report of one job. `begun`: something of it is in the store."""

    def __init__(self, settings: SidecarSettings, store: Store, method: Method) -> None:
        self.settings, self._store = settings, store
        self._threads = 3 if method.remote else 1
        self._expiry_written = 0
        self._written: set[str] = set()
        self._started: float | None = None
        self._report_written = b""
        self._lock = threading.Lock()  # one report at a time, in the order in which they are true
        self._ended_at = 0.0
        self.begun = False
        self.totals = Totals()
        self.report = Report(
            job=settings.job,
            group=settings.group,
            pod_uid=settings.pod_uid,
            version=__version__,
            started_at=time.time(),
            over_limit=settings.over_limit,
            limit_files=settings.limit_files,
            limit_bytes=settings.limit_size_bytes,
        )

    @property
    def has_ended(self) -> bool:
        """Whether main has."""
        return self._ended_at > 0

    def begin(self) -> None:
        """Write the expiry, before the first file."""
        if not self.begun:
            self._store.remove_temporaries()
            self._write(self._expiry())
            self.begun = True
            if not self.has_ended:
                self._store.make_temporary_folders()

    def forget_if_lost(self) -> bool:
        """Whether the job folder has gone since it was begun: then it is to be begun anew."""
        if not self.begun or self._store.size(EXPIRED_AT) is not None:
            return False
        self.begun = False
        self._written.clear()
        self._report_written = b""
        return True

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count a sync, and the time it takes."""
        self._started = time.perf_counter()
        try:
            yield
        finally:
            self.totals.sync_seconds = self._sync_seconds()
            self._started = None
            self.totals.syncs += 1
            self.totals.last_sync_at = time.time()

    def _sync_seconds(self) -> float:
        running = time.perf_counter() - self._started if self._started is not None else 0.0
        return self.totals.sync_seconds + running

    def tidy(self) -> None:
        """Remove what failed copies left half-written, but nothing that an announcement is writing."""
        with self._lock:
            self._store.remove_temporaries()

    def refresh_expiry(self) -> float:
        """Write the expiry again when half of the retention has passed; seconds until then."""
        left = self._expiry_written - time.time() - self.settings.retention_seconds / 2
        if self.begun and left <= 0:
            self._write(self._expiry())
            left = self.settings.retention_seconds / 2
        return max(1.0, left) if self.begun else 3600.0

    def end(self, ended_at: float) -> None:
        """Main ended at `ended_at` (UNIX seconds): from here the expiry is final."""
        self._ended_at = ended_at
        self.report.main = _read_main_status(self.settings.main_status)

    def announce(self) -> None:
        """Say in the store that main has ended and the last sync is not done: what a killed pod leaves behind."""
        with self._lock:
            if self.begun and not self.report.sealed_at:
                said = replace(self.report, state="incomplete", expired_at=self._expiry_at(), updated_at=time.time())
                self._write(self._expiry() | {REPORT: format_report(said)})

    def write_report(self) -> None:
        """Write the report as it stands, unless nothing but the time has changed."""
        said = format_report(replace(self.report, updated_at=0.0, duration_seconds=0.0))
        with self._lock:
            if said != self._report_written:
                self.report.updated_at = time.time()
                self.report.duration_seconds = self._sync_seconds()
                self._write({REPORT: format_report(self.report)})
                self._report_written = said

    def seal(self, state: str, message: str) -> None:
        """Write the expiry, if it is not there yet, and the report that says the sync was the last."""
        report = self.report
        with self._lock:  # from here an announcement that comes late says nothing
            report.state, report.message, report.sealed_at = state, message, time.time()
        if not self.begun:
            return
        if self._expiry_written != self._expiry_at():
            self._write(self._expiry())
        report.expired_at = self._expiry_written
        self.write_report()

    def _expiry_at(self) -> int:
        return int((self._ended_at or time.time()) + self.settings.retention_seconds)

    def _expiry(self) -> dict[str, bytes]:
        content = format_expiry(self._expiry_at())
        return {EXPIRED_AT: content, LEGACY_EXPIRED_AT: content}

    def _write(self, contents: dict[str, bytes]) -> None:
        """Write small files, side by side where the store is slow; raise the first StoreError."""

        def write(path: str) -> StoreError | None:
            try:
                self._store.write_bytes(path, contents[path], exists=path in self._written)
            except StoreError as error:
                return error
            return None

        errors = [item[1] for item in run_all(write, list(contents), self._threads, lambda: False) if item]
        failed = next((error for error in errors if error), None)
        if failed:
            raise failed
        self._written.update(contents)
        if EXPIRED_AT in contents:
            self._expiry_written = self.report.expired_at = int(contents[EXPIRED_AT])

    def count_copy(self, size: int) -> None:
        self.totals.copied_files += 1
        self.totals.copied_bytes += size


def _read_main_status(path: str) -> dict[str, Any]:
    """How main ended, where whoever started it has written that down. In a pod nobody does."""
    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            return read_main(json.loads(file.read(4096)))
    except (OSError, ValueError, RecursionError) as error:
        log.warning("cannot read how main ended", path=path, error=error)
        return {}
