"""Writes the expiry and the report of a job to the store, and counts the work for the metrics.

The expiry is written before the first file, so that no crash leaves files that never expire, and is renewed while the
job runs. The report is written last, so a sealed report implies that all files are in the store.
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
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, REPORT, TEMPORARY, format_expiry
from artifacts.log import get_logger
from artifacts.report import Report, format_report, read_main
from artifacts.settings import SidecarSettings
from sidecar.copy_strategy import CopyStrategy
from sidecar.store import TEMPORARY_FOLDERS, JobFolderStore
from sidecar.thread_pool import map_unordered

logger = get_logger(__name__)


@dataclass
class SyncTotals:
    """What this process has done since its start."""

    syncs: int = 0
    sync_seconds: float = 0.0
    copied_files: int = 0
    copied_bytes: int = 0
    removed_files: int = 0
    store_errors: int = 0
    last_sync_at: float = 0.0


class MetadataWriter:
    """The expiry and the report of one job. `has_begun`: the job folder contains at least the expiry."""

    def __init__(self, settings: SidecarSettings, store: JobFolderStore, strategy: CopyStrategy) -> None:
        self.settings, self._store = settings, store
        self._thread_count = 3 if strategy.is_remote else 1
        self._written_expiry = 0
        self._written_paths: set[str] = set()
        self._sync_started: float | None = None
        self._written_report = b""
        self._lock = threading.Lock()  # serializes the reports, so that an older one never replaces a newer one
        self._main_ended_at = 0.0
        self.has_begun = False
        self.totals = SyncTotals()
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
    def main_has_ended(self) -> bool:
        """Whether `end_main` was called."""
        return self._main_ended_at > 0

    def begin(self) -> None:
        """Write the expiry, unless it is in the store. Call this before the first file is written."""
        if not self.has_begun:
            self._store.remove_temporaries()
            self._write(self._expiry_files())
            self.has_begun = True
            if not self.main_has_ended:
                self._store.make_temporary_folders()

    def reset_if_lost(self) -> bool:
        """Reset if the job folder has been removed since `begin`, so that `begin` writes again.

        Returns whether the folder has been removed.
        """
        if not self.has_begun or self._store.stat(EXPIRED_AT) is not None:
            return False
        self.has_begun = False
        self._written_paths.clear()
        self._written_report = b""
        return True

    @contextlib.contextmanager
    def measure_sync(self) -> Iterator[None]:
        """Count the sync that the block runs, and the time it takes."""
        self._sync_started = time.perf_counter()
        try:
            yield
        finally:
            self.totals.sync_seconds = self._sync_seconds()
            self._sync_started = None
            self.totals.syncs += 1
            self.totals.last_sync_at = time.time()

    def _sync_seconds(self) -> float:
        running = time.perf_counter() - self._sync_started if self._sync_started is not None else 0.0
        return self.totals.sync_seconds + running

    def remove_temporaries(self) -> None:
        """Remove half-written temporary files of failed copies. The lock protects the interim report's."""
        with self._lock:
            self._store.remove_temporaries()

    def remove_temporary_folders(self) -> None:
        """Remove the folders for temporary files, after the last write."""
        with self._lock:
            for _ in map_unordered(
                self._store.remove_empty_folder, TEMPORARY_FOLDERS, self._thread_count, lambda: False
            ):
                pass
            self._store.remove_empty_folder(TEMPORARY)

    def refresh_expiry(self) -> float:
        """Write the expiry again if half of the retention has passed. Returns the seconds until the next refresh."""
        remaining = self._written_expiry - time.time() - self.settings.retention_seconds / 2
        if self.has_begun and remaining <= 0:
            self._write(self._expiry_files())
            remaining = self.settings.retention_seconds / 2
        return max(1.0, remaining) if self.has_begun else 3600.0

    def end_main(self, ended_at: float) -> None:
        """Record that main ended at `ended_at` (UNIX seconds), which makes the expiry final."""
        self._main_ended_at = ended_at
        self.report.main = _read_main_status(self.settings.main_status)

    def write_interim_report(self) -> None:
        """Write the expiry and an `incomplete` report, which remain if the pod is killed during the last sync."""
        with self._lock:
            if self.has_begun and not self.report.sealed_at:
                interim = replace(
                    self.report, state="incomplete", expired_at=self._compute_expiry(), updated_at=time.time()
                )
                self._write(self._expiry_files() | {REPORT: format_report(interim)})

    def write_report(self) -> None:
        """Write the report, unless only its times have changed."""
        content = format_report(replace(self.report, updated_at=0.0, duration_seconds=0.0))
        with self._lock:
            if content != self._written_report:
                self.report.updated_at = time.time()
                self.report.duration_seconds = self._sync_seconds()
                self._write({REPORT: format_report(self.report)})
                self._written_report = content

    def seal(self, state: str, message: str) -> None:
        """Write the final expiry, unless it is in the store, and the sealed report."""
        report = self.report
        with self._lock:  # an interim report that is written later must see sealed_at
            report.state, report.message, report.sealed_at = state, message, time.time()
        if not self.has_begun:
            return
        if self._written_expiry != self._compute_expiry():
            self._write(self._expiry_files())
        report.expired_at = self._written_expiry
        self.write_report()

    def count_copy(self, size_bytes: int) -> None:
        """Add a copied file to the totals."""
        self.totals.copied_files += 1
        self.totals.copied_bytes += size_bytes

    def _compute_expiry(self) -> int:
        return int((self._main_ended_at or time.time()) + self.settings.retention_seconds)

    def _expiry_files(self) -> dict[str, bytes]:
        content = format_expiry(self._compute_expiry())
        return {EXPIRED_AT: content, LEGACY_EXPIRED_AT: content}

    def _write(self, contents: dict[str, bytes]) -> None:
        """Write small files (path -> content), concurrently if the store is remote. Raises the first StoreError."""

        def write(path: str) -> StoreError | None:
            try:
                self._store.write_bytes(path, contents[path], exists=path in self._written_paths)
            except StoreError as error:
                return error
            return None

        results = map_unordered(write, list(contents), self._thread_count, lambda: False)
        errors = [item[1] for item in results if item]
        first_error = next((error for error in errors if error), None)
        if first_error:
            raise first_error
        self._written_paths.update(contents)
        if EXPIRED_AT in contents:
            self._written_expiry = self.report.expired_at = int(contents[EXPIRED_AT])


def _read_main_status(path: str) -> dict[str, Any]:
    """Return how main ended, from the file that local mode writes; {} in a pod, where there is no such file."""
    if not path:
        return {}
    try:
        with open(path, "rb") as file:
            return read_main(json.loads(file.read(4096)))
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("cannot read main's exit status", path=path, error=error)
        return {}
