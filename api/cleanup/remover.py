"""Removes one job folder with its records, unless a decision or a running job keeps it.

A removal can be killed at any time. A marker is written first and deleted last, so the next run can resume. The data
is removed before `expiredAt`, so the folder stays due. No decision is lost: a decision is refused while the marker
exists, and the check after writing the marker finds all earlier decisions.
"""

from collections.abc import Callable

from api.errors import ApiError
from api.folder import JobFolder
from api.jobs.source import JobSource
from api.retention.evidence_reader import EvidenceReader, ListedRecords
from api.retention.expiry import MIN_EXPIRY, Evidence, RetentionPolicy, compute_retention
from api.retention.record import extension_key, first_seen_key, pin_key, removal_key
from api.store.store import RemovedFiles, Store
from artifacts.errors import InvalidDocument
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT, format_expiry
from artifacts.log import get_logger

REMOVED_LAST = (MANIFEST, REPORT, LEGACY_EXPIRED_AT, EXPIRED_AT)  # in this order

logger = get_logger(__name__)


class FolderRemover:
    """Removes job folders. `clock` returns UNIX seconds. Methods raise StoreError and ServiceUnavailable."""

    def __init__(self, store: Store, jobs: JobSource, policy: RetentionPolicy, clock: Callable[[], float]) -> None:
        self._store, self._jobs, self._policy, self._clock = store, jobs, policy, clock
        self._reader = EvidenceReader(store, policy, clock)

    def exists(self, folder: JobFolder) -> bool:
        """Return whether the folder has any file."""
        return next(iter(self._store.list(folder.prefix)), None) is not None

    def has_marker(self, folder: JobFolder) -> bool:
        """Return whether a removal of the folder has started."""
        return self._reader.read_removal_start(folder) is not None

    def find_reason_to_keep(self, folder: JobFolder, *, is_deletion: bool = False) -> str:
        """Check the record and the PhJob of a due folder again. Returns why the folder must stay, or "".

        `is_deletion`: a user deletes the folder, so an extension does not keep it, but a running pod does.
        """
        if self._is_running(folder, is_deletion):
            return "the job or its collector is still running"
        try:
            record = self._reader.read_record(folder)
        except InvalidDocument as error:
            return f"the retention record cannot be read ({error.reason})"
        now = self._clock()
        # With an expiry file in the past, only the record can keep the folder.
        retention = compute_retention(Evidence(record=record, expiry_claims=(float(MIN_EXPIRY),)), now, self._policy)
        if retention.is_pinned or not (is_deletion or retention.has_expired(now)):
            return retention.reason
        return ""

    def begin(self, folder: JobFolder, *, was_marked: bool, is_deletion: bool = False) -> str:
        """Write the removal marker, then check again. Returns why the folder must stay, or ""."""
        marker = removal_key(folder.group, folder.job)
        self._store.write(marker, format_expiry(self._clock()))
        reason = self.find_reason_to_keep(folder, is_deletion=is_deletion)
        if reason and not was_marked:  # an older marker may belong to a removal in progress
            self._store.delete(marker)
        return reason

    def delete_extension(self, folder: JobFolder) -> None:
        """Delete the extension, which would keep the rest of the folder if the removal is killed."""
        self._store.delete(extension_key(folder.group, folder.job))

    def remove(self, folder: JobFolder, listed: ListedRecords) -> RemovedFiles:
        """Remove the folder and its records."""
        removed = self._store.remove(folder.prefix, last=REMOVED_LAST)
        self._delete_records(folder, listed)
        return removed

    def annotate_removal(self, folder: JobFolder) -> None:
        """Annotate the PhJob with the removal, if its status has a later expiry or none. Errors are logged."""
        now = int(self._clock())
        if folder.phjob is not None and not 0 < folder.phjob.status_expiry <= now:
            try:
                self._jobs.annotate_expiry(folder.phjob, -now)
            except ApiError as error:
                logger.warning("removal not annotated", group=folder.group, job=folder.job, error=error)

    def remove_orphaned_records(self, folder: JobFolder, listed: ListedRecords) -> None:
        """Finish a removal that was killed at its end, or remove the records of a job whose folder is gone."""
        if self.exists(folder):
            return
        if listed.has_removal:
            self.annotate_removal(folder)
        elif folder.phjob is not None or self._may_return(folder):
            return
        self._delete_records(folder, listed)

    def _is_running(self, folder: JobFolder, is_deletion: bool) -> bool:
        if folder.phjob is not None:
            return not folder.phjob.has_ended or self._jobs.is_collecting(folder.phjob)
        # The cleanup does not need the pod's state: a running sidecar keeps the expiry in the future.
        return is_deletion and self._jobs.has_active_pod(folder.group, folder.job)

    def _delete_records(self, folder: JobFolder, listed: ListedRecords) -> None:
        """Delete the folder's records. A pin is always deleted: a refused pin may have been written meanwhile."""
        self._store.delete(pin_key(folder.group, folder.job))
        if listed.has_decision:
            self._store.delete(extension_key(folder.group, folder.job))
        if listed.has_first_seen:
            self._store.delete(first_seen_key(folder.group, folder.job))
        self._store.delete(removal_key(folder.group, folder.job))

    def _may_return(self, folder: JobFolder) -> bool:
        """Return whether to keep a decision because the missing folder may return; a pin for the maximum retention."""
        try:
            record = self._reader.read_record(folder)
        except InvalidDocument:
            return True
        pinned_until = record.pin.at + self._policy.max_seconds if record.pin else 0
        return max(pinned_until, record.extended_until or 0) > self._clock()
