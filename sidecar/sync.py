"""The sync: bringing the job folder to what the artifacts folder holds, within the limits. Idempotent.

Scan, plan (pure), apply: one code path for the first copy, a retry after a fault, a restart of the sidecar and the
last sync, which is sealed. One thread syncs; `announce` runs beside it.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable

from artifacts.errors import StoreError
from artifacts.layout import job_prefix
from artifacts.report import MAX_PATHS, Count, Report, Skipped
from artifacts.settings import Settings
from sidecar import stamp
from sidecar.globs import Globs
from sidecar.journal import Journal
from sidecar.manifest import Manifest
from sidecar.method import Method
from sidecar.plan import Limits, Moment, Plan, plan_sync
from sidecar.pool import interleave, run_all
from sidecar.scan import Scan, add_skipped, merge_skipped, scan_source
from sidecar.source import Source
from sidecar.stamp import Stamp
from sidecar.store import Store
from sidecar.transfer import Outcome, Transfer, probe
from sidecar.verdict import over_limit, verdict
from sidecar.writeback import WriteBack

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 10.0
LEAST_LOOKED_AT = 200_000  # entries of the artifacts folder that one scan looks at, or twice the limit on files
LAST_PASSES = 4
_LOST_MOUNT = {errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EBADF}
_PATIENT = {"source_error", "store_error", "not_reached"}  # tried again until time runs out
_IMPATIENT = {"store_conflict", "over_limit", "vanished"}  # tried again a few times

Progress = Callable[[Report, Count | None], None]


class Syncer:
    """Syncs one job. `stopping`: begin nothing new unless it is the last sync; `abort`: time ran out.

    `progress(report, todo)` is called as copies are made, and after each sync, with no todo.
    """

    def __init__(self, settings: Settings, source: Source, store: Store, method: Method) -> None:
        self._settings, self.source, self._store, self._method = settings, source, store, method
        self.progress: Progress = lambda report, todo: None
        self._written = WriteBack(settings)
        self._globs = Globs(settings.include, settings.exclude)
        self._limits = Limits(settings.limit_files, settings.limit_size_bytes, settings.over_limit == "keep")
        self._prefix_bytes = len(job_prefix(settings.group or "x" * 63, settings.job).encode())
        self._manifest = Manifest(settings.job, settings.pod_uid)
        self._loaded = self._dirty = self._doubt = False
        self._plan = Plan()
        self._barred: dict[str, tuple[Stamp, Outcome]] = {}
        self.journal = Journal(settings, store, method)
        self.report = self.journal.report
        self.scan = Scan()
        self.stopping, self.abort = threading.Event(), threading.Event()

    def sync(self, eager: bool = False) -> None:
        """One sync while main runs. Faults of the store are logged, and mended by a later sync."""
        started = time.perf_counter()
        try:
            self._pass(self._moment(last=False, eager=eager))
        except StoreError as error:
            self._suspect(error)
            log.warning("sync failed, will be tried again: %s", error)
        self.journal.count_sync(time.perf_counter() - started)

    def announce(self, ended_at: float) -> None:
        """Main has ended, at `ended_at` (UNIX seconds), from which the retention counts: say so in the store.

        Called from another thread than the one that syncs; a sync that runs begins nothing new.
        """
        self.stopping.set()
        self.journal.end(ended_at)
        try:
            self.journal.announce()
        except StoreError as error:
            log.warning("cannot announce the last sync: %s", error)

    def finish(self, deadline: float) -> None:
        """The last sync: until everything is stored, or `deadline` (monotonic seconds), then the seal."""
        pause, passes = 0.1, 0
        while True:
            failed = self._try_last_pass()
            passes += 1
            if not failed & (_PATIENT if passes >= LAST_PASSES else _PATIENT | _IMPATIENT):
                break
            if self._wait(pause, deadline):
                break
            pause = min(pause * 2, 5.0)
        self._seal(deadline)

    def refresh(self) -> float:
        """Keep the expiry ahead of now while main runs; seconds until that is due again."""
        try:
            return self.journal.refresh_expiry()
        except StoreError as error:
            self._suspect(error)
            return 5.0

    @property
    def is_waiting(self) -> bool:
        """Whether there are files that were not at rest."""
        return bool(self._plan.waiting)

    def linger_seconds(self) -> float:
        """How long the store may need to hold what was given to it."""
        return self._written.seconds(time.monotonic()) if self._method.linger and self.journal.begun else 0.0

    def preview(self) -> tuple[Scan, Plan]:
        """What the last sync would find and do now. Writes nothing."""
        self._load()
        self._look()
        return self.scan, self._make_plan(self._moment(last=True, eager=True))

    def _moment(self, last: bool, eager: bool) -> Moment:
        return Moment(last, eager, time.time_ns(), time.monotonic(), self._settings.quiet_seconds)

    def _pass(self, moment: Moment) -> set[str]:
        """Scan, plan, apply, describe; return the reasons for which files were left out, limits and rules aside."""
        if self._doubt:
            self._store.connect()
        self._load()
        self._look()
        self._plan = self._make_plan(moment)
        failed: dict[str, Skipped] = {}
        if self._is_store_concerned(moment):
            self.journal.begin()
            if self._doubt:
                self._verify(moment)
            self._apply(moment, failed)
        self._describe(failed)
        if self.journal.begun and not self.stopping.is_set():
            self.journal.write_report()
        return failed.keys() | self.scan.skipped.keys()

    def _try_last_pass(self) -> set[str]:
        try:
            return self._pass(self._moment(last=True, eager=True))
        except StoreError as error:
            self._suspect(error)
            log.warning("last sync failed, tried again while there is time: %s", error)
            failed: dict[str, Skipped] = {}
            for path in self._plan.copy:
                if path in self._manifest.pending and path in self.scan.files:
                    size = stamp.size_of(self.scan.files[path])
                    add_skipped(failed, "store_error", path, size, str(error.cause.strerror))
            self._describe(failed)
            return {"store_error"}

    def _wait(self, seconds: float, deadline: float) -> bool:
        """Pause; tell whether time ran out."""
        left = deadline - time.monotonic()
        return self.abort.wait(max(0.0, min(seconds, left))) or left <= seconds

    def _seal(self, deadline: float) -> None:
        state, message = verdict(self.report, self._plan.rejected, self.scan.truncated and not self._plan.rejected)
        while True:
            try:
                if self._manifest.records and not self._plan.rejected:
                    self._remove(list(self._manifest.earlier), {})
                if self._dirty:
                    self._save()
                self.journal.seal(state, message)
                return
            except StoreError as error:
                self._suspect(error)
                log.warning("cannot seal, tried again while there is time: %s", error)
                state, message = "incomplete", f"the report could not be written: {error.cause.strerror}"
            if self._wait(0.5, deadline):
                self.report.state, self.report.message, self.report.sealed_at = state, message, 0.0
                return

    def _load(self) -> None:
        if self._loaded:
            return
        self._store.connect()
        self._manifest.load(self._store)
        self._loaded = True
        if self._manifest.paths() - self._manifest.earlier.keys():
            self._doubt = True  # the sidecar was restarted: take nothing for whole that is not there
            log.info("resumed files=%d pending=%d", len(self._manifest.records), len(self._manifest.pending))

    def _look(self) -> None:
        most = max(LEAST_LOOKED_AT, 2 * self._limits.files)
        self.scan = scan_source(self.source, self._globs, self._prefix_bytes, most)
        for path, (mark, outcome) in list(self._barred.items()):
            if self.scan.files.get(path) != mark:
                del self._barred[path]
            else:
                self._leave_out(path, outcome)

    def _leave_out(self, path: str, outcome: Outcome) -> None:
        size = stamp.size_of(self.scan.files.pop(path))
        self.scan.unsure.add(path)
        add_skipped(self.scan.skipped, outcome.reason, path, size, outcome.detail)

    def _make_plan(self, moment: Moment) -> Plan:
        plan = plan_sync(self.scan, self._manifest, self._limits, moment, self._plan)
        if plan.rejected and self._bar_unreadable():
            plan = plan_sync(self.scan, self._manifest, self._limits, moment, self._plan)
        return plan

    def _bar_unreadable(self) -> bool:
        """Before a job loses everything: files that could not be copied anyway do not count. Did any turn up?"""
        readable, barred = Count(), False
        for path, mark in list(self.scan.files.items()):
            outcome = probe(self.source, path) if path not in self._manifest.records else None
            if outcome:
                barred = True
                self._bar(path, outcome)
                self._leave_out(path, outcome)
                continue
            readable = Count(readable.files + 1, readable.bytes + stamp.size_of(mark))
            if readable.files > self._limits.files or readable.bytes > self._limits.bytes:
                break
        return barred

    def _bar(self, path: str, outcome: Outcome) -> None:
        self._barred[path] = (self.scan.files[path], outcome)

    def _is_store_concerned(self, moment: Moment) -> bool:
        """No artifacts folder, or nothing in it yet: nothing is written to PHFS."""
        plan = self._plan
        work = bool(plan.clear or plan.copy or plan.remove or plan.exceeded)
        return work or (moment.last and (self.scan.exists or bool(self.scan.skipped) or self.journal.begun))

    def _verify(self, moment: Moment) -> None:
        """After a fault of the mount, or a restart: make copies again that are not there whole."""
        records = self._manifest.records
        sizes = run_all(self._store.size, sorted(records), self._method.threads, self.abort.is_set)
        lost = [item[0] for item in sizes if item and item[1] != stamp.size_of(records[item[0]])]
        for path in lost:
            self._manifest.suspect(path)
        self._doubt = False
        if lost:
            log.warning("copies lost, made again files=%d", len(lost))
            self._dirty = True
            self._plan = self._make_plan(moment)

    def _apply(self, moment: Moment, failed: dict[str, Skipped]) -> None:
        plan, manifest = self._plan, self._manifest
        self._remove(plan.clear, failed)
        if plan.copy:
            manifest.pending.update(plan.copy)
            self._save()
            self._copy(plan, moment, failed)
        self._remove(plan.remove, failed)
        if self._dirty:
            self._save()

    def _save(self) -> None:
        self._manifest.save(self._store)
        self._dirty = False

    def _remove(self, paths: list[str], failed: dict[str, Skipped]) -> None:
        for path in paths:
            try:
                self._store.remove(path)
            except StoreError as error:
                self._suspect(error)
                add_skipped(failed, "store_error", path, detail=str(error.cause.strerror))
            else:
                self._manifest.drop(path)
                self.journal.totals.removed_files += 1
                self._dirty = True

    def _copy(self, plan: Plan, moment: Moment, failed: dict[str, Skipped]) -> None:
        files, manifest = self.scan.files, self._manifest
        transfer = Transfer(self.source, self._store, self._method, plan.spare_bytes, self.abort)
        todo = Count(len(plan.copy), sum(stamp.size_of(files[path]) for path in plan.copy))
        checkpoint = time.monotonic() + CHECKPOINT_SECONDS

        def work(path: str) -> Outcome:
            return transfer.copy(path, stamp.size_of(files[path]), path in manifest.records or path in manifest.earlier)

        def stop() -> bool:
            return self.abort.is_set() or (self.stopping.is_set() and not moment.last)

        order = interleave(plan.copy) if self._method.threads > 1 else plan.copy
        left = set(plan.copy)
        for item in run_all(work, order, self._method.threads, stop):
            if item:
                left.discard(item[0])
                self._settle(*item, failed)
                todo.files, todo.bytes = todo.files - 1, todo.bytes - stamp.size_of(files[item[0]])
            elif self.abort.is_set():
                break
            self.progress(self.report, todo)
            if time.monotonic() >= checkpoint:
                self._save()
                checkpoint = time.monotonic() + CHECKPOINT_SECONDS
        for path in left:
            add_skipped(failed, "not_reached", path, stamp.size_of(files[path]))

    def _settle(self, path: str, outcome: Outcome, failed: dict[str, Skipped]) -> None:
        """Enter what became of one file."""
        self._dirty = True
        if not outcome.reason:
            self._manifest.enter(path, outcome.mark, outcome.digest, outcome.size, outcome.unstable)
            self.journal.count_copy(outcome.size)
            self._written.add(1, outcome.size, time.monotonic())
            self.report.collected = self._manifest.count()
            return
        if outcome.reason != "store_error":  # else something half-written may have been left behind
            self._manifest.pending.discard(path)
        if outcome.reason in _PATIENT | _IMPATIENT:
            self._doubt = self._doubt or outcome.reason == "store_error"
            add_skipped(failed, outcome.reason, path, stamp.size_of(self.scan.files[path]), outcome.detail)
        else:
            self._bar(path, outcome)
            self._leave_out(path, outcome)

    def _suspect(self, error: StoreError) -> None:
        """A mount that failed may have lost what it took before: look again before trusting it."""
        self.journal.totals.store_errors += 1
        self._doubt = self._doubt or error.cause.errno in _LOST_MOUNT

    def _describe(self, failed: dict[str, Skipped]) -> None:
        """Bring the report up to date with what is known now."""
        plan, manifest, report = self._plan, self._manifest, self.report
        skipped: dict[str, Skipped] = {}
        for rows in (self.scan.skipped, plan.skipped, failed):
            for reason, row in rows.items():
                if reason != "vanished":
                    merge_skipped(skipped.setdefault(reason, Skipped()), row)
        report.skipped = skipped
        left_out = self.scan.skipped.values()
        report.found = Count(
            plan.found.files + plan.in_place.files + sum(row.files for row in left_out),
            plan.found.bytes + plan.in_place.bytes + sum(row.bytes for row in left_out),
        )
        report.collected, report.in_place = manifest.count(), plan.in_place
        report.earlier = Count(len(manifest.earlier), sum(map(stamp.size_of, manifest.earlier.values())))
        report.unstable = sorted(manifest.unstable)[:MAX_PATHS]
        report.limit_exceeded = plan.exceeded
        report.state, report.sealed_at = "syncing", 0.0
        report.message = over_limit(report) if plan.exceeded else ""
        self.progress(report, None)
