"""Applying a plan: removals and copies, and the manifest that is right at every moment between them.

A path is in the stored manifest as pending before its first byte is written, so a kill leaves nothing that nobody
knows of. Runs in the syncing thread; copies may be made by several threads of their own.
"""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from artifacts.errors import StoreError
from artifacts.log import get_logger
from artifacts.report import Count, Report, Skipped
from sidecar import stamp
from sidecar.copy import Budget, Copier
from sidecar.forks import run_forked
from sidecar.journal import Journal
from sidecar.manifest import Manifest
from sidecar.method import Method
from sidecar.plan import Plan
from sidecar.pool import interleave, run_all
from sidecar.scan import Scan, add_skipped
from sidecar.source import Source
from sidecar.store import Store
from sidecar.transfer import Outcome, Transfer
from sidecar.writeback import WriteBack

log = get_logger(__name__)

CHECKPOINT_SECONDS = 10.0  # of copying between two saves of the manifest
TICK_SECONDS = 0.25  # between two words on progress
_LOST_MOUNT = {errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EBADF}
PATIENT = {"source_error", "store_error", "not_reached"}  # tried again until time runs out
IMPATIENT = {"store_conflict", "over_limit", "vanished"}  # tried again a few times

Progress = Callable[[Report, Count | None], None]


class Applier:
    """Applies plans for one job. `doubt`: the store may have lost what it took.
    `untidy`: writes were cut short. `barred`: path -> (stamp, outcome)
    of files that cannot be copied as long as they look like that. `abort`: stop at once."""

    def __init__(self, source: Source, store: Store, method: Method, manifest: Manifest, journal: Journal) -> None:
        self._source, self._store, self._method = source, store, method
        self._manifest, self._journal = manifest, journal
        self._dirty = False
        self._unclear: set[str] = set()  # pending from before this plan: their stubs may be there
        self.written = WriteBack(journal.settings)
        self.progress: Progress = lambda report, todo: None
        self.barred: dict[str, tuple[stamp.Stamp, Outcome]] = {}
        self.doubt = self.untidy = False
        self.abort = threading.Event()

    def apply(self, plan: Plan, scan: Scan, stop: Callable[[], bool]) -> dict[str, Skipped]:
        """Do what the plan says, and save the manifest; begin no copy once `stop()` is true.

        Returns what was left out, by reason ("vanished" too). Raises StoreError where the manifest cannot be saved.
        """
        failed: dict[str, Skipped] = {}
        self.remove(plan.clear, failed)
        if plan.copy:
            self._unclear = self._manifest.pending.intersection(plan.copy)
            self._manifest.pending.update(plan.copy)
            self._dirty = True
            self.save()
            self._copy(plan, scan, stop, failed)
        self.remove(plan.remove, failed)
        self.save()
        return failed

    def save(self) -> None:
        """Save the manifest, if it has changed."""
        if self._dirty:
            self._manifest.save(self._store)
            self._dirty = False

    def remove(self, paths: list[str], failed: dict[str, Skipped]) -> None:
        """Remove copies that are ours."""
        for path in paths:
            try:
                self._store.remove(path)
            except StoreError as error:
                self.suspect(error)
                add_skipped(failed, "store_error", path, detail=str(error.cause.strerror))
            else:
                self._manifest.drop(path)
                self._journal.totals.removed_files += 1
                self._dirty = True

    def verify(self) -> bool:
        """After a fault of the mount, or a restart: find copies that are not there whole. Did any turn up?"""
        records = self._manifest.records
        paths = sorted(records)
        for item in run_all(self._size, paths, self._method.threads, self.abort.is_set):
            if item is None:
                continue
            path, size = item
            if isinstance(size, StoreError):
                raise size
            if size != stamp.size_of(records[path]):
                self._manifest.suspect(path)
        lost = len(paths) - len(records)
        self.doubt = self.abort.is_set()
        if lost:
            log.warning("copies lost by the store, made again", files=lost)
            self._dirty = True
        return lost > 0

    def suspect(self, error: StoreError) -> None:
        """A mount that failed may have lost what it took before: look again before trusting it."""
        self._journal.totals.store_errors += 1
        self.untidy = True
        self.doubt = self.doubt or error.cause.errno in _LOST_MOUNT

    def _size(self, path: str) -> int | StoreError | None:
        try:
            return self._store.size(path)
        except StoreError as error:
            return error

    def _copy(self, plan: Plan, scan: Scan, stop: Callable[[], bool], failed: dict[str, Skipped]) -> None:
        manifest = self._manifest
        sizes = {path: stamp.size_of(scan.files[path]) for path in plan.copy}
        todo = Count(len(sizes), sum(sizes.values()))
        has_ended = self._journal.has_ended
        processes = self._method.processes(todo.files, todo.bytes) if has_ended else 1
        budget = Budget(plan.spare_bytes // processes)
        copier = Copier(self._method.digest, self._method.in_kernel, budget, self.abort)
        transfer = Transfer(self._source, self._store, copier, main_runs=not has_ended)

        def work(path: str) -> Outcome:
            return transfer.copy(path, sizes[path], path in manifest.records or path in manifest.earlier)

        def must_stop() -> bool:
            return stop() or self.abort.is_set()

        results: Iterator[tuple[str, tuple[Any, ...]] | None]
        if processes > 1:
            results = run_forked(work, dict(sizes), processes, must_stop)
        else:
            order = interleave(plan.copy) if self._method.remote else plan.copy
            results = run_all(work, order, self._method.threads, must_stop)
        tick, checkpoint = 0.0, time.monotonic() + CHECKPOINT_SECONDS
        for item in results:
            if item:
                size = sizes.pop(item[0])
                todo.files, todo.bytes = todo.files - 1, todo.bytes - size
                self._settle(item[0], Outcome(*item[1]), plan, scan, failed)
            elif self.abort.is_set():
                break  # a thread that hangs is left behind, with the folders it uses
            now = time.monotonic()
            if now >= tick:
                tick = now + TICK_SECONDS
                self._journal.report.collected = self._manifest.count()
                self.progress(self._journal.report, todo)
            if now >= checkpoint:
                self.save()
                checkpoint = now + CHECKPOINT_SECONDS
        else:
            transfer.close()
        for path, size in sizes.items():
            self.untidy = True
            add_skipped(failed, "not_reached", path, size)

    def _settle(self, path: str, outcome: Outcome, plan: Plan, scan: Scan, failed: dict[str, Skipped]) -> None:
        """Enter what became of one file."""
        self._dirty = True
        if not outcome.reason:
            self._manifest.enter(path, outcome.mark, outcome.digest, outcome.size, outcome.unstable)
            self._journal.count_copy(outcome.size)
            if self._method.linger:
                self.written.add(1, outcome.size, time.monotonic())
            return
        if outcome.reason != "store_error":  # else something half-written may have been left behind
            if path not in self._unclear:
                self._manifest.pending.discard(path)
        else:
            self._journal.totals.store_errors += 1
            self.doubt = self.untidy = True
        size = stamp.size_of(scan.files[path])
        if outcome.reason in PATIENT | IMPATIENT:
            add_skipped(failed, outcome.reason, path, size, outcome.detail)
        else:
            self.barred[path] = (scan.files[path], outcome)
            plan.found = Count(plan.found.files - 1, plan.found.bytes - size)
            leave_out(scan, path, outcome)


def leave_out(scan: Scan, path: str, outcome: Outcome) -> None:
    """Take a file that cannot be copied out of what was found; a copy of it that is there already stays."""
    size = stamp.size_of(scan.files.pop(path))
    scan.unsure.add(path)
    add_skipped(scan.skipped, outcome.reason, path, size, outcome.detail)
