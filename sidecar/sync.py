"""The sync: bringing the job folder to what the artifacts folder holds, within the limits. Idempotent.

Scan, plan (pure), apply: one code path for the first copy, a retry after a fault, a restart of the sidecar and the
last sync, which is sealed. One thread syncs; `announce` runs beside it.
"""

import threading
import time

from artifacts.errors import StoreConflict, StoreError
from artifacts.layout import job_prefix
from artifacts.log import get_logger
from artifacts.report import INCOMPLETE_REASONS, MAX_PATHS, Count, Skipped
from artifacts.settings import SidecarSettings
from sidecar import stamp
from sidecar.apply import IMPATIENT, PATIENT, Applier, leave_out
from sidecar.globs import Globs
from sidecar.journal import Journal
from sidecar.manifest import Manifest
from sidecar.method import Method
from sidecar.plan import Limits, Moment, Plan, count_files, plan_sync
from sidecar.scan import Scan, add_skipped, merge_skipped, scan_source
from sidecar.source import Source
from sidecar.store import Store
from sidecar.transfer import probe
from sidecar.verdict import over_limit, verdict

log = get_logger(__name__)

LEAST_LOOKED_AT = 200_000  # entries of the artifacts folder, or twice the limit on files
LEAST_ENTRIES = 10_000  # of a manifest, beside twice the limit on files: a hostile one costs time
LAST_PASSES = 4


class Syncer:
    """Syncs one job. `stopping`: main has ended, begin nothing new but the last sync."""

    def __init__(self, settings: SidecarSettings, source: Source, store: Store, method: Method) -> None:
        self._settings, self.source, self._store, self._method = settings, source, store, method
        self._globs = Globs(settings.include, settings.exclude)
        self._limits = Limits(settings.limit_files, settings.limit_size_bytes, settings.over_limit == "keep")
        self._most = max(LEAST_LOOKED_AT, 2 * self._limits.files)
        self._prefix_bytes = len(job_prefix(settings.group or "x" * 63, settings.job).encode())
        self._manifest = Manifest(settings.job, settings.pod_uid)
        self._loaded = self._resumed = False
        self._plan = Plan()
        self.journal = Journal(settings, store, method)
        self.report = self.journal.report
        self.applier = Applier(source, store, method, self._manifest, self.journal)
        self.scan = Scan()
        self.stopping = threading.Event()

    def sync(self, eager: bool = False) -> None:
        """One sync while main runs. Faults of the store are logged, and mended by a later sync."""
        with self.journal.timed():
            try:
                self._pass(self._moment(last=False, eager=eager))
            except StoreError as error:
                self.applier.suspect(error)
                log.warning("sync failed, will be tried again", error=error)

    def end(self, ended_at: float) -> None:
        """Main has ended, at `ended_at` (UNIX seconds), from which the retention counts. Called by another thread:
        a sync that runs begins nothing new."""
        self.journal.end(ended_at)
        self.stopping.set()

    def announce(self) -> None:
        """Say in the store that the last sync has begun. Called by another thread, beside the sync."""
        try:
            self.journal.announce()
        except StoreError as error:
            self.applier.untidy = True
            log.warning("cannot announce the last sync", error=error)

    def finish(self, deadline: float) -> None:
        """The last sync: until everything is stored, or `deadline` (monotonic seconds), then the seal."""
        with self.journal.timed():
            pause, passes = 0.1, 0
            while True:
                failed = self._try_last_pass()
                passes += 1
                if not failed & (PATIENT if passes >= LAST_PASSES else PATIENT | IMPATIENT):
                    break
                if self._wait(pause, deadline):
                    break
                pause = min(pause * 2, 5.0)
            self._seal(deadline)

    def tell(self) -> None:
        """Have whoever is told of progress told how it stands now."""
        self.applier.progress(self.report, None)

    def close(self) -> None:
        """Let go of the source and the store."""
        self.source.close()
        self._store.close()

    def refresh(self) -> float:
        """Keep the expiry ahead of now while main runs; seconds until that is due again."""
        try:
            return self.journal.refresh_expiry()
        except StoreError as error:
            self.applier.suspect(error)
            return 5.0

    @property
    def is_waiting(self) -> bool:
        """Whether there are files that were not at rest."""
        return bool(self._plan.waiting)

    def linger_seconds(self) -> float:
        """How long the store may need to hold what was given to it."""
        return self.applier.written.seconds(time.monotonic()) if self._method.linger and self.journal.begun else 0.0

    def preview(self) -> tuple[Scan, Plan]:
        """What the last sync would find and do now. Writes nothing."""
        self._load()
        self._look()
        moment = self._moment(last=True, eager=True)
        for path in self._make_plan(moment, self._plan).copy:
            outcome = probe(self.source, path)
            if outcome:
                leave_out(self.scan, path, outcome)
        return self.scan, self._make_plan(moment, self._plan)

    def _moment(self, last: bool, eager: bool) -> Moment:
        return Moment(last, eager, time.time_ns(), time.monotonic(), self._settings.quiet_seconds)

    def _pass(self, moment: Moment) -> set[str]:
        """Scan, plan, apply, describe; return the reasons for which files were left out, limits and rules aside."""
        self._look()
        before, self._plan = self._plan, Plan(waiting=self._plan.waiting, found=count_files(self.scan.files))
        if self.applier.doubt and self._loaded:
            self._store.connect()
        self._load()
        self._plan = self._make_plan(moment, before)
        failed: dict[str, Skipped] = {}
        if self.journal.forget_if_lost():
            log.warning("the job folder was removed, everything is copied again")
            self.applier.doubt = self._resumed = True
        if self._is_store_concerned(moment):
            self.journal.begin()
            if self.applier.doubt and self.applier.verify():
                self._plan = self._make_plan(moment, before)
            if self._plan.copy:
                self._describe({})  # what there is to do, for whoever is told before it is done
            failed = self.applier.apply(self._plan, self.scan, lambda: self.stopping.is_set() and not moment.last)
        self._describe(failed)
        if self.journal.begun and not self.stopping.is_set():
            self.journal.write_report()
        return failed.keys() | self.scan.skipped.keys()

    def _try_last_pass(self) -> set[str]:
        try:
            return self._pass(self._moment(last=True, eager=True))
        except StoreError as error:
            self.applier.suspect(error)
            log.warning("last sync failed, tried again while there is time", error=error)
            failed: dict[str, Skipped] = {}
            for path, mark in self.scan.files.items():
                if not self._manifest.records.get(path, b"").startswith(mark):
                    add_skipped(failed, "store_error", path, stamp.size_of(mark), str(error))
            self._describe(failed)
            return {"store_error"}

    def _wait(self, seconds: float, deadline: float) -> bool:
        """Pause; tell whether time ran out."""
        left = deadline - time.monotonic()
        return self.applier.abort.wait(max(0.0, min(seconds, left))) or left <= seconds

    def _seal(self, deadline: float) -> None:
        rejected = self._plan.rejected and not self._manifest.records
        state, message = verdict(self.report, rejected, self.scan.truncated and not rejected)
        if self._settings.main_status and not self.report.main:
            state, message = "incomplete", f"{message}; but whether main has ended is not known"
        pause, conflicts = 0.2, 0
        while True:
            try:
                self._finish_store()
                self.journal.seal(state, message)
                return
            except StoreError as error:
                self.applier.suspect(error)
                log.warning("cannot seal, tried again while there is time", error=error)
                self.report.state, self.report.sealed_at = "incomplete", 0.0
                self.report.message = f"{message}; the report could not be written: {error}"
                conflicts += isinstance(error, StoreConflict)
            if self._wait(pause, deadline) or conflicts >= LAST_PASSES:
                return
            pause = min(pause * 2, 5.0)

    def _finish_store(self) -> None:
        """All that is left to do before the seal."""
        if self.scan.exists or self.scan.skipped:
            if self.applier.doubt and self._loaded:
                self._store.connect()
            self._load()
            self.journal.begin()
        if self._manifest.records and not self._plan.rejected:
            self.applier.remove(sorted(self._manifest.earlier.keys() - self.scan.in_place.keys()), {})
        self.applier.save()
        if self.journal.begun and self.applier.untidy:
            self.journal.tidy()

    def _load(self) -> None:
        if self._loaded:
            return
        self._store.connect()
        self._resumed = self._manifest.load(self._store, 2 * self._limits.files + LEAST_ENTRIES)
        self._loaded = True
        if self._resumed:  # the sidecar was restarted: take nothing for whole that is not there
            self.applier.doubt = True
            log.info("resumed", files=len(self._manifest.records), pending=len(self._manifest.pending))

    def _look(self) -> None:
        self.scan = scan_source(self.source, self._globs, self._prefix_bytes, self._most)
        for path, (mark, outcome) in list(self.applier.barred.items()):
            if self.scan.files.get(path) != mark:
                del self.applier.barred[path]
            else:
                leave_out(self.scan, path, outcome)

    def _make_plan(self, moment: Moment, before: Plan) -> Plan:
        plan = plan_sync(self.scan, self._manifest, self._limits, moment, before)
        if plan.rejected and self._bar_unreadable():
            plan = plan_sync(self.scan, self._manifest, self._limits, moment, before)
        return plan

    def _bar_unreadable(self) -> bool:
        """Before a job loses everything: files that could not be copied anyway do not count. Did any turn up?"""
        readable, barred = Count(), False
        for path, mark in list(self.scan.files.items()):
            outcome = probe(self.source, path) if path not in self._manifest.records else None
            if outcome:
                barred = True
                self.applier.barred[path] = (mark, outcome)
                leave_out(self.scan, path, outcome)
                continue
            readable = Count(readable.files + 1, readable.bytes + stamp.size_of(mark))
            if readable.files > self._limits.files or readable.bytes > self._limits.bytes:
                break
        return barred

    def _is_store_concerned(self, moment: Moment) -> bool:
        """No artifacts folder, or nothing in it yet: nothing is written to PHFS. What was written is unsealed again."""
        plan = self._plan
        work = self._resumed or bool(plan.clear or plan.copy or plan.remove or plan.exceeded)
        return work or (moment.last and (self.scan.exists or bool(self.scan.skipped) or self.journal.begun))

    def _describe(self, failed: dict[str, Skipped]) -> None:
        """Bring the report up to date with what is known now."""
        plan, manifest, report = self._plan, self._manifest, self.report
        skipped: dict[str, Skipped] = {}
        for rows in (self.scan.skipped, plan.skipped, failed):
            for reason, row in rows.items():
                if reason != "vanished":
                    merge_skipped(skipped.setdefault(reason, Skipped()), row)
        report.skipped = skipped
        left_out = [row for reason, row in self.scan.skipped.items() if reason in INCOMPLETE_REASONS]
        report.found = Count(
            plan.found.files + plan.in_place.files + sum(row.files for row in left_out),
            plan.found.bytes + plan.in_place.bytes + sum(row.bytes for row in left_out),
        )
        report.collected, report.in_place = manifest.count(), plan.in_place
        report.earlier = Count(len(manifest.earlier), sum(map(stamp.size_of, manifest.earlier.values())))
        report.unstable = sorted(manifest.unstable)[:MAX_PATHS]
        report.limit_exceeded = plan.exceeded
        report.state, report.sealed_at = "incomplete" if self.stopping.is_set() else "syncing", 0.0
        if not self.stopping.is_set():
            report.message = over_limit(report) if plan.exceeded else ""
        self.tell()
