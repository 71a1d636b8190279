"""Applies a plan: removes and copies files, and updates the manifest in the store so that it is always correct.

A path is pending in the stored manifest before its first byte is written, so that after a kill the manifest still
lists every file of the collector. Plans are applied in the sync thread; copies may run in threads or processes.
"""

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from artifacts.errors import StoreError
from artifacts.log import get_logger
from artifacts.report import Count, Report, Skipped
from sidecar.copy import Copier, GrowthBudget
from sidecar.copy_strategy import CopyStrategy
from sidecar.file_signature import FileSignature, tick_ns, without_ctime
from sidecar.manifest import Manifest
from sidecar.metadata_writer import MetadataWriter
from sidecar.plan import SyncPlan
from sidecar.process_pool import ForkedCall, map_forked
from sidecar.scan import Scan, add_skipped
from sidecar.source import Source
from sidecar.store import JobFolderStore
from sidecar.thread_pool import interleave_folders, map_unordered
from sidecar.transfer import FileTransfer, TransferResult
from sidecar.verification import find_lost
from sidecar.writeback import WriteBack

logger = get_logger(__name__)

CHECKPOINT_SECONDS = 10.0  # between two saves of the manifest while files are copied
PROGRESS_SECONDS = 0.25  # between two progress reports
MIN_COPIES_TO_FORK = 2000  # to verify; with fewer, a fork would cost more than it saves
_MOUNT_LOST = {errno.ENOTCONN, errno.ESTALE, errno.EIO, errno.EBADF}
RETRIED_UNTIL_DEADLINE = {"source_error", "store_error", "not_reached"}
RETRIED_A_FEW_TIMES = {"store_conflict", "over_limit", "vanished"}

ProgressCallback = Callable[[Report, Count | None], None]


class Applier:
    """Applies plans for one job.

    `needs_verify`: copies may have been lost, or changed by others. `needs_cleanup`: failed writes may have left
    temporary files. `unreadable`: path -> (signature, result) of files that cannot be copied until they change.
    `error_codes`: the values of `errno` with which the store failed; the caller clears them. `main_has_ended`: no job
    file changes any more. `abort`: set it to stop at once.
    """

    def __init__(
        self,
        source: Source,
        store: JobFolderStore,
        strategy: CopyStrategy,
        manifest: Manifest,
        metadata: MetadataWriter,
    ) -> None:
        self._source, self._store, self._strategy = source, store, strategy
        self._manifest, self._metadata = manifest, metadata
        self._manifest_changed = False
        self._pending_before: set[str] = set()  # pending before this plan: the store may contain half-written copies
        self.writeback = WriteBack(metadata.settings)
        self.on_progress: ProgressCallback = lambda report, todo: None
        self.unreadable: dict[str, tuple[FileSignature, TransferResult]] = {}
        self.needs_verify = self.needs_cleanup = self.main_has_ended = False
        self.error_codes: set[int] = set()
        self._verification: ForkedCall | None = None
        self._last_copied_at = 0.0  # monotonic seconds
        self._pause_ns = 0  # between the copies of the previous plan and those of this one
        self.abort = threading.Event()

    def apply(self, plan: SyncPlan, scan: Scan, should_stop: Callable[[], bool]) -> dict[str, Skipped]:
        """Apply the plan and save the manifest. Once `should_stop()` is true, no new copy starts.

        Returns the files that were not copied, by reason (including "vanished"). Raises StoreError if the manifest
        cannot be saved.
        """
        failed: dict[str, Skipped] = {}
        self.remove(plan.remove_first, failed)
        if plan.copy:
            self._pending_before = self._manifest.pending.intersection(plan.copy)
            self._manifest.pending.update(plan.copy)
            self._manifest_changed = True
            self.save()
            self._copy(plan, scan, should_stop, failed)
        self.remove(plan.remove, failed)
        self.save()
        return failed

    def save(self) -> None:
        """Save the manifest if it has changed."""
        if self._manifest_changed:
            self._manifest.save(self._store)
            self._manifest_changed = False

    def remove(self, paths: list[str], failed: dict[str, Skipped]) -> None:
        """Remove copies that the collector wrote; add the failures to `failed`. Stops at `abort`."""

        def try_remove(path: str) -> StoreError | None:
            try:
                self._store.remove(path)
            except StoreError as error:
                return error
            return None

        for item in map_unordered(try_remove, paths, self._strategy.thread_count, self.abort.is_set):
            if item is None:
                if self.abort.is_set():
                    break
                continue
            path, error = item
            if error is not None:
                self.record_store_error(error)
                add_skipped(failed, "store_error", path, detail=str(error.cause.strerror))
            else:
                self._manifest.discard(path)
                self._metadata.totals.removed_files += 1
                self._manifest_changed = True

    @contextlib.contextmanager
    def verify_ahead(self) -> Iterator[None]:
        """If there are many copies, verify them in a second process while the block scans the artifacts folder."""
        count = len(self._manifest.records)
        is_worthwhile = count >= MIN_COPIES_TO_FORK and self._strategy.process_count(count, 0) > 1
        if not is_worthwhile or not self.needs_verify or not self.main_has_ended:
            yield
            return
        self._verification = ForkedCall(lambda: tuple(self._find_lost()))
        try:
            yield
        finally:
            self._verification.close()
            self._verification = None

    def verify(self, in_place: Container[str]) -> bool:
        """Compare every copy in the store with the manifest; mark missing and changed copies as pending.

        Called in the last sync, after a fault of the mount and after a restart. `in_place`: files of the job folder
        that the job itself writes. Returns whether there were any such copies.
        """
        found: Iterable[str] | None = self._verification.wait(self.abort.is_set) if self._verification else None
        if found is None:
            found = self._find_lost()
        lost = sorted(path for path in found if path not in in_place)
        for path in lost:
            self._manifest.mark_pending(path)
        self._manifest_changed = self._manifest_changed or bool(lost) or not self._manifest.is_stored(self._store)
        self.needs_verify = self.abort.is_set()
        if lost:
            logger.warning(
                "copies missing or changed in the store, will be copied again", files=len(lost), path=lost[0]
            )
        return bool(lost)

    def _find_lost(self) -> Iterable[str]:
        return find_lost(self._store, self._manifest.records, self._strategy.is_remote, self.abort.is_set)

    def record_store_error(self, error: StoreError) -> None:
        """Count an error of the store. If the mount was lost, copies that it acknowledged earlier must be verified."""
        self._metadata.totals.store_errors += 1
        self.error_codes.add(error.cause.errno or 0)
        self.needs_cleanup = True
        self.needs_verify = self.needs_verify or error.cause.errno in _MOUNT_LOST

    def _copy(self, plan: SyncPlan, scan: Scan, should_stop: Callable[[], bool], failed: dict[str, Skipped]) -> None:
        manifest = self._manifest
        sizes = {path: scan.size_of(path) for path in plan.copy}
        todo = Count(len(sizes), sum(sizes.values()))
        self._pause_ns = int((time.monotonic() - self._last_copied_at) * 1e9)
        process_count = self._strategy.process_count(todo.files, todo.bytes) if self.main_has_ended else 1
        batches = _split_batches(plan.copy, scan)
        budget = GrowthBudget(plan.spare_bytes // (process_count * len(batches) if process_count > 1 else 1))
        copier = Copier(self._strategy.digest, self._strategy.in_kernel, budget, self.abort)
        transfer = FileTransfer(self._source, self._store, copier, self._strategy, not self.main_has_ended)

        def work(path: str) -> TransferResult:
            return transfer.copy(path, sizes[path], path in manifest.records or path in manifest.earlier)

        def must_stop() -> bool:
            return should_stop() or self.abort.is_set()

        results = self._map_batches(work, batches, sizes, process_count, must_stop)
        progress_at, checkpoint_at = 0.0, time.monotonic() + CHECKPOINT_SECONDS
        for item in results:
            if item:
                size = sizes.pop(item[0])
                todo.files, todo.bytes = todo.files - 1, todo.bytes - size
                result = item[1] if isinstance(item[1], TransferResult) else TransferResult._make(item[1])
                self._record_result(item[0], result, plan, scan, failed)
            elif self.abort.is_set():
                break  # a thread hangs: abandon it, and do not close the folders that it uses
            now = time.monotonic()
            if now >= progress_at:
                progress_at = now + PROGRESS_SECONDS
                self._metadata.report.collected = self._manifest.count()
                self.on_progress(self._metadata.report, todo)
            if now >= checkpoint_at:
                self.save()
                checkpoint_at = now + CHECKPOINT_SECONDS
        else:
            transfer.close()
        self._last_copied_at = time.monotonic()
        for path, size in sizes.items():
            self.needs_cleanup = True
            add_skipped(failed, "not_reached", path, size)

    def _map_batches(
        self,
        work: Callable[[str], TransferResult],
        batches: list[list[str]],
        sizes: dict[str, int],
        process_count: int,
        must_stop: Callable[[], bool],
    ) -> Iterator[tuple[str, tuple[Any, ...]] | None]:
        for batch in batches:
            if process_count > 1:
                yield from map_forked(work, {path: sizes[path] for path in batch}, process_count, must_stop)
            else:
                paths = interleave_folders(batch) if self._strategy.is_remote else batch
                yield from map_unordered(work, paths, self._strategy.thread_count, must_stop)

    def _record_result(
        self, path: str, result: TransferResult, plan: SyncPlan, scan: Scan, failed: dict[str, Skipped]
    ) -> None:
        self._manifest_changed = True
        if not result.reason:
            signature = result.signature
            if result.racy and not self._is_settled(path, signature):
                signature = without_ctime(signature)
            self._manifest.add_copy(path, signature, result.digest, result.size, result.unstable, result.copy_ctime_ns)
            self._metadata.count_copy(result.size)
            if self._strategy.writes_back:
                self.writeback.add(1, result.size, time.monotonic())
            return
        if result.reason == "store_error":  # the store may contain a half-written copy: the path stays pending
            self._metadata.totals.store_errors += 1
            self.error_codes.add(result.code)
            self.needs_verify = self.needs_cleanup = True
        elif path not in self._pending_before:
            self._manifest.pending.discard(path)
        size = scan.size_of(path)
        if result.reason in RETRIED_UNTIL_DEADLINE | RETRIED_A_FEW_TIMES:
            add_skipped(failed, result.reason, path, size, result.detail)
        else:
            self.unreadable[path] = (scan.files[path], result)
            plan.found = Count(plan.found.files - 1, plan.found.bytes - size)
            skip_unreadable(scan, path, result)

    def _is_settled(self, path: str, signature: FileSignature) -> bool:
        """Whether an earlier copy proves that the file's timestamps are old, whatever the clocks say.

        Otherwise a file whose timestamps are in the future would be copied in every sync.
        """
        return self._pause_ns >= tick_ns(signature) and self._manifest.has_racy_copy(path, signature)


def _split_batches(paths: list[str], scan: Scan) -> list[list[str]]:
    """Return the own files and the linked files as separate batches: linked files are copied last."""
    own = [path for path in paths if path not in scan.linked] if scan.linked else paths
    linked = [path for path in paths if path in scan.linked] if scan.linked else []
    return [batch for batch in (own, linked) if batch]


def skip_unreadable(scan: Scan, path: str, result: TransferResult) -> None:
    """Remove a file that cannot be copied from the scan's files, and record the reason. An existing copy stays."""
    size = scan.size_of(path)
    del scan.files[path]
    scan.uncertain.add(path)
    add_skipped(scan.skipped, result.reason, path, size, result.detail)
