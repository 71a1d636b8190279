"""A job's artifacts in GraphQL: their state, files and retention.

`ArtifactView` reads from the store only what the query selects. In a list of jobs, the state, totals and expiry come
from the PhJobs' statuses, without any request to the store.
"""

# mypy: allow-subclassing-any

from dataclasses import replace
from functools import cached_property
from typing import Any

from graphene import ID, Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.errors import TooLarge
from api.folder import JobFolder
from api.jobs.job import ArtifactStatus, collected_files
from api.listing import MAX_FILES, FileListing, FilePage, FileQuery
from api.retention.expiry import Retention
from api.retention.record import FOREVER
from api.schema.context import RequestContext
from api.schema.file_pages import (
    FileConnection,
    FileNode,
    FileTable,
    PhJobArtifactConnection,
    PhJobArtifactItem,
    PhJobArtifactNode,
    PhJobArtifactOrderByInput,
    download_link,
    parse_file_query,
)
from api.schema.report import PhJobArtifactReport, without_paths
from api.schema.types import FileCount, Size, format_optional_time
from artifacts.annotation import missing_message
from artifacts.names import path_problem
from artifacts.report import Count, Report

EXPIRED = "expired"
_UNKNOWN = "unknown"
_UNSEALED = "the collector could not complete this report"


class PhJobArtifact(ObjectType):
    """The artifacts of a job: the files collected from its artifacts folder."""

    prefix = String(description="The path of the job folder in the store, without a slash at the end.")
    items = List(
        PhJobArtifactItem,
        description=f"All files. If there are more than {MAX_FILES}, this is an error: use itemsConnection.",
    )
    state = String(
        description="From the report: syncing, sealed, incomplete, rejected or empty. After the expiry, and if the "
        "artifacts were removed: expired. "
        "Without a report, from the PhJob's status: collecting, unknown or not-injected."
    )
    status_state = String(
        description="The state in the PhJob's status, which the controller wrote; null if it wrote none. If it "
        "is unknown and `state` is not, the controller could not read the outcome; `state` is the report's."
    )
    reason = String(description="The reason for the state, a keyword from the PhJob's status; null if it has none.")
    message = String(description="The reason for the state as a sentence.")
    removed = Boolean(
        description="Whether somebody removed the artifacts, with deletePhJobArtifact or directly from the store."
    )
    collected = Field(FileCount, description="The files that were collected; null if that is unknown.")
    report = Field(PhJobArtifactReport)
    expired_at = String(description="When the artifacts expire, RFC 3339; null while the job runs or they are pinned.")
    pinned = Boolean(description="Whether the artifacts are kept until they are unpinned.")
    pinned_by = String()
    pinned_at = String()
    note = String(description="The note of the user who pinned the artifacts.")
    total_count = Field(Size, description="The number of files; null if it is unknown.")
    total_size = Field(Size, description="The total size in bytes; null if it is unknown.")
    download_url = String(description="A temporary link to all files as a ZIP; null if there are no files.")
    items_connection = Field(
        PhJobArtifactConnection,
        first=Int(default_value=100),
        after=String(),
        prefix=String(description="A folder in the job folder."),
        recursive=Boolean(default_value=True, description="If false, one level is listed, with its folders."),
        order_by=PhJobArtifactOrderByInput(),
        search=String(description="Text to find in paths below `prefix`, ignoring case."),
    )
    item = Field(
        PhJobArtifactNode, name=NonNull(String), description="The file at this path; null if it does not exist."
    )

    @staticmethod
    def resolve_items_connection(artifact: "ArtifactView", _: ResolveInfo, **arguments: Any) -> FileConnection:
        """Return a page of the files."""
        return artifact.page(parse_file_query(arguments))

    @staticmethod
    def resolve_item(artifact: "ArtifactView", _: ResolveInfo, name: str) -> FileNode | None:
        """Return one file."""
        return artifact.item(name)


class PhJobArtifactWhereInput(InputObjectType):
    """Selects a job's artifacts by the PhJob's id, or by group and job, which also finds those of a deleted PhJob."""

    id = ID()
    group_name = String()
    job = String()


class ArtifactView:
    """The values of PhJobArtifact. `is_listed`: whether the job is part of a list."""

    def __init__(self, context: RequestContext, folder: JobFolder, is_listed: bool = False) -> None:
        self._context, self._services, self._folders = context, context.services, context.folders
        self._folder, self._job, self._is_listed = folder, folder.phjob, is_listed

    @property
    def prefix(self) -> str:
        """The key of the job folder, without the trailing slash."""
        return self._folder.prefix.removesuffix("/")

    @property
    def items(self) -> FileTable:
        """All files. Raises TooLarge if there are too many for one list."""
        if not self._files.complete:
            raise TooLarge(f"there are more than {MAX_FILES} files: page through itemsConnection(first, after)")
        self._context.budget.charge_files(len(self._files.items))
        items = self._files.items
        return FileTable(items, lambda: self._folders.source_times(self._folder.prefix, items))

    @property
    def state(self) -> str | None:
        """The report's state if there is a report, else the status's: a job without artifacts folder has no report."""
        if self._has_expired:
            return EXPIRED
        report = None if self._is_listed or self._is_of_other_pod else self._report
        if report is None:
            return self.status_state
        return "incomplete" if self._was_never_sealed(report) else report.state

    @property
    def status_state(self) -> str | None:
        """The state in the PhJob's status; None if it has none."""
        return self._status.state if self._status else None

    @property
    def reason(self) -> str | None:
        """Why the artifacts have this state, as a word; None if the status has none."""
        if self._is_missing:
            return None
        return self._status_of_state.reason or None if self._status_of_state else None

    @property
    def message(self) -> str | None:
        """Why the artifacts have this state, as a sentence; None if the status has none."""
        if self._is_missing and (collected := self.collected):
            return missing_message(collected.files, collected.bytes)
        if self.status_state == _UNKNOWN and self.state not in (_UNKNOWN, EXPIRED):
            return self._message_of_report()
        return self._status_of_state.message or None if self._status_of_state else None

    @property
    def removed(self) -> bool:
        """Whether somebody removed the artifacts."""
        return self._is_missing or (self._job is not None and self._job.is_annotated_as_removed)

    @property
    def collected(self) -> Count | None:
        """The files that were collected, from the report or the status; None if that is unknown."""
        report = None if self._is_listed else self._report
        if report is not None:
            return Count(report.collected.files + report.in_place.files, report.collected.bytes + report.in_place.bytes)
        is_known = self._status is not None and self._status.state not in ("syncing", "collecting")
        return collected_files(self._job) if self._job and is_known else None

    @property
    def report(self) -> Report | None:
        """The collector's report; without the names of files if the artifacts have expired."""
        report = self._report
        if report and self._was_never_sealed(report):
            message = self._status.message if self._status else ""
            says = f"; the PhJob's status says: {self.status_state}, {message}" if message else ""
            report = replace(report, state="incomplete", message=_UNSEALED + says)
        return without_paths(report) if report and self._has_retention_expired else report

    @property
    def expired_at(self) -> str | None:
        """The expiry, or the time of the removal (RFC 3339)."""
        uses_status = self._is_listed or self._is_removed
        return format_optional_time(self._status_expiry if uses_status else self._retention.expires_at)

    @property
    def pinned(self) -> bool:
        """Whether the artifacts are pinned."""
        return self._retention.is_pinned

    @property
    def pinned_by(self) -> str | None:
        """The user who pinned the artifacts."""
        return self._retention.pinned_by or None

    @property
    def pinned_at(self) -> str | None:
        """When the artifacts were pinned (RFC 3339)."""
        return format_optional_time(self._retention.pinned_at)

    @property
    def note(self) -> str | None:
        """The note of the user who pinned the artifacts."""
        return self._retention.note or None

    @property
    def total_count(self) -> int | None:
        """The number of files; None if it is unknown."""
        return self._totals[0]

    @property
    def total_size(self) -> int | None:
        """The total size in bytes; None if it is unknown."""
        return self._totals[1]

    @property
    def download_url(self) -> str | None:
        """A signed link to all files as a ZIP; None if there are no files."""
        return download_link(self._context, self._folder, "", download=True) if self._files.items else None

    def page(self, query: FileQuery) -> FileConnection:
        """Return a page of the files; an empty page if the artifacts have expired."""
        if self._has_retention_expired:
            return FileConnection(self._context, self._folder, query, FilePage([], False), lambda: 0)
        page = self._folders.page(self._folder.prefix, query)
        return FileConnection(self._context, self._folder, query, page, lambda: self._count(query))

    def item(self, name: str) -> FileNode | None:
        """Return the file at this path; None if it does not exist, is the collector's own, or has expired."""
        if self._has_retention_expired or path_problem(name):
            return None
        file = self._folders.file(self._folder.prefix, name)
        if file is None:
            return None
        return FileConnection(self._context, self._folder, FileQuery(), FilePage([file], False), lambda: 1).nodes[0]

    def _was_never_sealed(self, report: Report) -> bool:
        """Whether the collector ended without sealing the report: it was killed, or the store forbids writing."""
        return report.state in ("syncing", "incomplete") and not report.sealed_at and not self._is_running

    def _message_of_report(self) -> str | None:
        """Return what the report says of a pod whose outcome the controller could not read; users can write both."""
        status, collected, report = self._status, self.collected, self._report
        if status is None or collected is None or report is None:
            return None
        says = f"the report in the store says: {self.state}, {collected.files} of {report.found.files} files"
        return f"{status.message}; {says}"

    @property
    def _is_of_other_pod(self) -> bool:
        """Whether the report is that of an earlier pod, and the controller could not read the outcome of the last."""
        status, report = self._status, self._report
        if status is None or report is None or status.state != _UNKNOWN:
            return False
        return bool(status.pod_uid and report.pod_uid) and status.pod_uid != report.pod_uid

    def _count(self, query: FileQuery) -> int | None:
        selects_all = replace(query, first=0, after="", order="name", descending=False) == FileQuery(first=0)
        return self._stored_totals[0] if selects_all else self._folders.count(self._folder.prefix, query)

    @property
    def _totals(self) -> tuple[int | None, int | None]:
        if not self._is_listed:
            return self._stored_totals
        if self._has_expired:
            return 0, 0
        return (self._status.files, self._status.bytes) if self._status else (None, None)

    @cached_property
    def _stored_totals(self) -> tuple[int | None, int | None]:
        """Number and bytes of the files: as listed, or as the manifest has them if there are too many to list."""
        listed = self._files
        if listed.complete:
            return len(listed.items), listed.bytes
        totals = self._folders.totals(self._folder.prefix)
        if totals is None or totals.files <= len(listed.items) or totals.bytes < listed.bytes:
            return None, None  # the manifest has less than the incomplete listing, so it is wrong
        return totals

    @property
    def _files(self) -> FileListing:
        return FileListing([], True) if self._has_retention_expired else self._folders.files(self._folder.prefix)

    @property
    def _has_expired(self) -> bool:
        if self._is_missing:
            return True
        return self._has_status_expired if self._is_listed else self._has_retention_expired or self._is_removed

    @property
    def _is_missing(self) -> bool:
        """Whether none of the collected files is in the store any more, although they have not expired."""
        if self._is_listed:
            return self._job is not None and self._job.is_annotated_as_missing and not self._has_status_expired
        return self._folders.is_missing(self._folder)

    @property
    def _is_removed(self) -> bool:
        """Whether the artifacts have expired according to the PhJob, and the store has no report to contradict it."""
        return self._has_status_expired and self._report is None

    @property
    def _status(self) -> ArtifactStatus | None:
        return self._job.artifact_status if self._job else None

    @property
    def _status_of_state(self) -> ArtifactStatus | None:
        """The PhJob's status, unless it is about another state than `state`."""
        status = self._status
        return status if status and status.state == self.state else None

    @property
    def _has_status_expired(self) -> bool:
        return self._job is not None and self._job.has_status_expired(self._services.clock())

    @property
    def _status_expiry(self) -> int | None:
        """The expiry according to the PhJob; None if it is unknown, or the artifacts are pinned (stored as FOREVER)."""
        expiry = self._job.status_expiry if self._job else 0
        return expiry if 0 < expiry < FOREVER else None

    @property
    def _has_retention_expired(self) -> bool:
        return self._retention.has_expired(self._services.clock())

    @property
    def _retention(self) -> Retention:
        return self._folders.retention(self._folder)

    @property
    def _report(self) -> Report | None:
        return self._folders.report(self._folder)

    @property
    def _is_running(self) -> bool:
        return self._job is not None and self._folders.is_running(self._job)
