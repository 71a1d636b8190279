"""Syncs the job folder with the artifacts folder, within the limits. A sync is idempotent: scan, plan (pure), apply.

The same code makes the first copy, retries after a fault, resumes after a restart, and runs the last sync, which ends
with the seal. One thread syncs; only `end_main` and `write_interim_report` are called by other threads.
"""

import math
import threading
import time

from artifacts.errors import StoreConflict, StoreError
from artifacts.layout import job_prefix
from artifacts.log import get_logger
from artifacts.report import INCOMPLETE_REASONS, MAX_PATHS, Count, Skipped
from artifacts.settings import SidecarSettings
from sidecar.apply import RETRIED_A_FEW_TIMES, RETRIED_UNTIL_DEADLINE, Applier, skip_unreadable
from sidecar.copy_strategy import CopyStrategy
from sidecar.file_signature import size_of
from sidecar.globs import Globs, glob_problems
from sidecar.limits import Limits, count_files, count_hole_bytes
from sidecar.manifest import Manifest
from sidecar.metadata_writer import MetadataWriter
from sidecar.outcome import compute_outcome, limit_message
from sidecar.plan import SyncContext, SyncPlan, plan_sync
from sidecar.retries import Retries
from sidecar.run_log import FailureLog, format_pause
from sidecar.scan import Scan, ScanOptions, add_skipped, merge_skipped
from sidecar.scanner import scan_source
from sidecar.source import Source
from sidecar.store import JobFolderStore
from sidecar.transfer import probe

logger = get_logger(__name__)

MIN_SCAN_ENTRIES = 200_000  # a scan reads so many entries, or twice the limit on files if that is more
MIN_SCAN_SECONDS = 1.0  # for the scan of the last sync, which takes at most half of the time that remains
EXTRA_MANIFEST_ENTRIES = 10_000  # beyond twice the limit on files; bounds the time that a hostile manifest costs
MAX_GLOB_PROBLEMS = 2  # in the report's message; the log has all
MAX_QUICK_RETRIES = 4  # for reasons in RETRIED_A_FEW_TIMES


class Syncer:
    """Syncs one job. `main_ended` is set when main has ended: a running sync then starts no more copies."""

    def __init__(
        self, settings: SidecarSettings, source: Source, store: JobFolderStore, strategy: CopyStrategy
    ) -> None:
        self._settings, self.source, self._store, self._strategy = settings, source, store, strategy
        self._limits = Limits(settings.limit_files, settings.limit_size_bytes, settings.over_limit == "keep")
        self._scan_options = ScanOptions(
            Globs(settings.include, settings.exclude),
            prefix_bytes=len(job_prefix(settings.group or "x" * 63, settings.job).encode()),
            max_entries=max(MIN_SCAN_ENTRIES, 2 * self._limits.files),
            follow_links=settings.links == "follow",
            keep_holes=strategy.keep_holes,
        )
        self._manifest = Manifest(settings.job, settings.pod_uid)
        self._is_loaded = self._is_resumed = False
        self._plan = SyncPlan()
        self.metadata = MetadataWriter(settings, store, strategy)
        self.report = self.metadata.report
        self.applier = Applier(source, store, strategy, self._manifest, self.metadata)
        self.scan = Scan()
        self.main_ended = threading.Event()
        self._deadline = math.inf  # of the last sync, in monotonic seconds
        self._failure_log = FailureLog()

    def sync(self, eager: bool = False) -> None:
        """Sync once while main runs. `eager`: also copy files that may still be written.

        Errors of the store are logged; a later sync retries.
        """
        with self.metadata.measure_sync():
            try:
                self._run_pass(self._create_context(is_last=False, is_eager=eager))
                self._failure_log.log_change(self.report)
            except StoreError as error:
                self.applier.record_store_error(error)
                logger.warning("sync failed, will be retried", error=error)

    def end_main(self, ended_at: float) -> None:
        """Record that main ended at `ended_at` (UNIX seconds), when the retention starts. Called by another thread."""
        self.metadata.end_main(ended_at)
        self.main_ended.set()

    def write_interim_report(self) -> None:
        """Write to the store that the last sync is running. Called by another thread, concurrently with the sync."""
        try:
            self.metadata.write_interim_report()
        except StoreError as error:
            self.applier.needs_cleanup = True
            logger.warning("cannot write interim report", error=error)

    def finish(self, deadline: float, main_has_ended: bool = True) -> None:
        """Run the last sync until all files are stored or `deadline` (monotonic seconds) has passed, then seal.

        If main may still run, a second call must follow.
        """
        self.applier.main_has_ended, self._deadline = main_has_ended, deadline
        self.applier.needs_verify = True  # the seal promises that the copies are in the store
        with self.metadata.measure_sync():
            retries, passes = Retries(deadline, self.applier.abort), 0
            while True:
                self.applier.error_codes.clear()
                failed = self._try_last_pass()
                passes += 1
                quick_retries = RETRIED_A_FEW_TIMES if passes < MAX_QUICK_RETRIES else set()
                if not failed & (RETRIED_UNTIL_DEADLINE | quick_retries):
                    break
                has_only_store_errors = failed & RETRIED_UNTIL_DEADLINE == {"store_error"}
                pause = retries.next_pause(self.applier.error_codes if has_only_store_errors else set())
                self._failure_log.log_attempt(self.report, pause)
                if pause is None or not retries.wait(pause):
                    break
            retries.reset_pauses()
            self._seal(retries)

    def report_progress(self) -> None:
        """Report current progress to the callback."""
        self.applier.on_progress(self.report, None)

    def close(self) -> None:
        """Close the source and the store."""
        self.source.close()
        self._store.close()

    def refresh_expiry(self) -> float:
        """Renew the expiry while main runs. Returns the seconds until this is due again."""
        try:
            return self.metadata.refresh_expiry()
        except StoreError as error:
            self.applier.record_store_error(error)
            return 5.0

    @property
    def has_deferred_files(self) -> bool:
        """Whether the last sync left changed files for a later one."""
        return bool(self._plan.deferred)

    def linger_seconds(self) -> float:
        """Return the seconds that the store may still need to upload the files written to it."""
        if not self._strategy.writes_back or not self.metadata.has_begun:
            return 0.0
        return self.applier.writeback.seconds_to_drain(time.monotonic())

    def preview(self) -> tuple[Scan, SyncPlan]:
        """Return the scan and the plan of a last sync at this moment. Writes nothing."""
        self._load_manifest()
        self._scan_source()
        context = self._create_context(is_last=True, is_eager=True)
        for path in self._make_plan(context, self._plan).copy:
            result = probe(self.source, path)
            if result:
                skip_unreadable(self.scan, path, result)
        return self.scan, self._make_plan(context, self._plan)

    def _create_context(self, is_last: bool, is_eager: bool) -> SyncContext:
        return SyncContext(is_last, is_eager, time.time_ns(), time.monotonic(), self._settings.quiet_seconds)

    def _run_pass(self, context: SyncContext) -> set[str]:
        """Scan, plan, apply, and update the report. Returns the reasons for which files could not be copied."""
        self._scan_source()
        previous = self._plan
        self._plan = SyncPlan(deferred=previous.deferred, found=count_files(self.scan.files, self.scan))
        if self.applier.needs_verify and self._is_loaded:
            self._store.connect()
        self._load_manifest()
        self._plan = self._make_plan(context, previous)
        failed: dict[str, Skipped] = {}
        if self.metadata.reset_if_lost():
            logger.warning("job folder was removed, all files are copied again")
            self.applier.needs_verify = self._is_resumed = True
        if self._needs_store(context):
            self.metadata.begin()
            if self.applier.needs_verify and self.applier.verify(self.scan.in_place):
                self._plan = self._make_plan(context, previous)
            if self._plan.copy:
                self._update_report({})  # report the work before it starts
            failed = self.applier.apply(self._plan, self.scan, lambda: self.main_ended.is_set() and not context.is_last)
        self._update_report(failed)
        if self.metadata.has_begun and not self.main_ended.is_set():
            self.metadata.write_report()
        return failed.keys() | self.scan.skipped.keys()

    def _try_last_pass(self) -> set[str]:
        try:
            with self.applier.verify_ahead():
                return self._run_pass(self._create_context(is_last=True, is_eager=True))
        except StoreError as error:
            self.applier.record_store_error(error)
            failed: dict[str, Skipped] = {}
            for path, signature in self.scan.files.items():
                if not self._manifest.records.get(path, b"").startswith(signature):
                    add_skipped(failed, "store_error", path, size_of(signature), str(error))
            self._update_report(failed)
            return {"store_error"}

    def _seal(self, retries: Retries) -> None:
        is_rejected = self._plan.is_rejected and not self._manifest.records
        is_truncated, outdated_files = self.scan.is_truncated and not is_rejected, self._count_outdated()
        state, message = compute_outcome(self.report, is_rejected, is_truncated, outdated_files)
        if self._settings.main_status and not self.report.main:
            state, message = "incomplete", f"{message}; main's exit status is unknown, so it may still be running"
        problems = glob_problems(self._settings.include + self._settings.exclude)
        message = "; ".join([message, *problems[:MAX_GLOB_PROBLEMS]])
        conflicts = 0
        while True:
            try:
                self._finish_store()
                self.metadata.seal(state, message)
                self.metadata.remove_temporary_folders()
                return
            except StoreError as error:
                self.applier.record_store_error(error)
                pause = retries.next_pause({error.cause.errno or 0})
                self.report.state, self.report.sealed_at = "incomplete", 0.0
                self.report.message = f"{message}; the report could not be written: {error}"
                conflicts += isinstance(error, StoreConflict)
                if conflicts >= MAX_QUICK_RETRIES:
                    pause = None
                logger.warning("seal failed", error=error, retry=format_pause(pause))
            if pause is None or not retries.wait(pause):
                return

    def _count_outdated(self) -> int:
        """Count the copies of files that have changed since, or that could not be examined."""
        files = self.scan.files
        return sum(
            path not in files or not record.startswith(files[path]) for path, record in self._manifest.records.items()
        )

    def _finish_store(self) -> None:
        """Remove an earlier pod's files, save the manifest and remove temporary files, before the seal."""
        if self.scan.exists or self.scan.skipped:
            if self.applier.needs_verify and self._is_loaded:
                self._store.connect()
            self._load_manifest()
            self.metadata.begin()
        if self._manifest.records and not self._plan.is_rejected:
            self.applier.remove(sorted(self._manifest.earlier.keys() - self.scan.in_place.keys()), {})
        self.applier.save()
        if self.metadata.has_begun and self.applier.needs_cleanup:
            self.metadata.remove_temporaries()

    def _load_manifest(self) -> None:
        if self._is_loaded:
            return
        self._store.connect()
        max_entries = 2 * self._limits.files + EXTRA_MANIFEST_ENTRIES
        self._is_resumed = self._manifest.load(self._store, max_entries)
        self._is_loaded = True
        if self._is_resumed:  # the sidecar was restarted: verify that the copies are complete
            self.applier.needs_verify = True
            logger.info(
                "resumed after a restart", files=len(self._manifest.records), pending=len(self._manifest.pending)
            )

    def _scan_source(self) -> None:
        self.scan = Scan()  # free the last scan first, so that memory holds only one
        remaining_seconds = self._deadline - time.monotonic()
        self.scan = scan_source(self.source, self._scan_options, max(MIN_SCAN_SECONDS, remaining_seconds / 2))
        for path, (signature, result) in list(self.applier.unreadable.items()):
            if self.scan.files.get(path) != signature:
                del self.applier.unreadable[path]
            else:
                skip_unreadable(self.scan, path, result)

    def _make_plan(self, context: SyncContext, previous: SyncPlan) -> SyncPlan:
        plan = plan_sync(self.scan, self._manifest, self._limits, context, previous)
        if plan.is_rejected and self._skip_unreadable_files():
            plan = plan_sync(self.scan, self._manifest, self._limits, context, previous)
        return plan

    def _skip_unreadable_files(self) -> bool:
        """Skip own files that cannot be copied, so that they do not count towards a limit.

        Called before a job is rejected. Stops once the readable files alone exceed a limit. Returns whether there were
        any unreadable files.
        """
        readable, has_skipped = Count(), False
        for path, signature in list(self.scan.files.items()):
            if path in self.scan.linked:
                continue
            result = probe(self.source, path) if path not in self._manifest.records else None
            if result:
                has_skipped = True
                self.applier.unreadable[path] = (signature, result)
                skip_unreadable(self.scan, path, result)
                continue
            readable = Count(readable.files + 1, readable.bytes + self.scan.size_of(path))
            if readable.files > self._limits.files or readable.bytes > self._limits.bytes:
                break
        return has_skipped

    def _needs_store(self, context: SyncContext) -> bool:
        """Whether this sync writes to PHFS: it does not if the job has no files and nothing was written before.

        After a restart it does, because the report in the store may be sealed.
        """
        plan = self._plan
        has_work = self._is_resumed or bool(plan.remove_first or plan.copy or plan.remove or plan.is_over_limit)
        has_folder = self.scan.exists or bool(self.scan.skipped) or self.metadata.has_begun
        return has_work or (context.is_last and has_folder)

    def _update_report(self, failed: dict[str, Skipped]) -> None:
        """Update the report from the scan, the plan and the manifest, and report progress."""
        plan, manifest, report = self._plan, self._manifest, self.report
        skipped: dict[str, Skipped] = {}
        for rows in (self.scan.skipped, plan.skipped, failed):
            for reason, row in rows.items():
                if reason != "vanished":
                    merge_skipped(skipped.setdefault(reason, Skipped()), row)
        report.skipped = skipped
        missing = [row for reason, row in self.scan.skipped.items() if reason in INCOMPLETE_REASONS]
        report.found = Count(
            plan.found.files + plan.in_place.files + sum(row.files for row in missing),
            plan.found.bytes + plan.in_place.bytes + sum(row.bytes for row in missing),
        )
        report.collected, report.in_place = manifest.count(), plan.in_place
        report.collected.bytes -= count_hole_bytes(self.scan, manifest)
        report.earlier = Count(len(manifest.earlier), sum(map(size_of, manifest.earlier.values())))
        report.unstable = sorted(manifest.unstable)[:MAX_PATHS]
        report.limit_exceeded = plan.is_over_limit
        report.state, report.sealed_at = "incomplete" if self.main_ended.is_set() else "syncing", 0.0
        if not self.main_ended.is_set():
            report.message = limit_message(report) if plan.is_over_limit else ""
        self.report_progress()
