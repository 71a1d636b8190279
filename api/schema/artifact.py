"""A job's artifacts in GraphQL: what they are, what became of them, and until when.

`Artifact` asks the store for nothing that is not selected. In a list of jobs it tells state, totals and expiry as
the PhJobs' statuses have them, without asking the store at all.
"""

# mypy: allow-subclassing-any

from dataclasses import replace
from functools import cached_property
from typing import Any

from graphene import ID, Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.errors import TooLarge
from api.folder import JobFolder
from api.jobs.job import Outcome
from api.listing import MOST_FILES, Files, Page, Wanted
from api.retention.expiry import Retention
from api.retention.record import FOREVER
from api.schema.page import (
    ArtifactPage,
    FileRows,
    Node,
    PhJobArtifactConnection,
    PhJobArtifactItem,
    PhJobArtifactNode,
    PhJobArtifactOrderByInput,
    link,
    read_wanted,
)
from api.schema.report import PhJobArtifactReport, time_text, without_paths
from api.schema.request import Request
from api.schema.types import Size
from artifacts.names import path_problem
from artifacts.report import Report

EXPIRED = "expired"


class PhJobArtifact(ObjectType):
    """What a job left in its artifacts folder."""

    prefix = String(description="Where it lies in the store, without a slash at its end.")
    items = List(
        PhJobArtifactItem, description=f"All files; an error past {MOST_FILES}, where itemsConnection goes on."
    )
    state = String(
        description="syncing, sealed, incomplete, rejected or empty, as the report tells; expired, once all is refused;"
        " where there is no report, collecting, unknown or not-injected, as the PhJob's status tells."
    )
    reason = String(description="Why it is in this state, a word, as the PhJob's status tells; null: it tells none.")
    message = String(description="The same in a sentence.")
    report = Field(PhJobArtifactReport)
    expired_at = String(description="Until when it is kept, RFC 3339; null while the job runs, or it is pinned.")
    pinned = Boolean()
    pinned_by = String()
    pinned_at = String()
    note = String()
    total_count = Field(Size, description="Files.")
    total_size = Field(Size, description="Bytes.")
    download_url = String(description="All of it as a ZIP, for a short time; null where there is nothing.")
    items_connection = Field(
        PhJobArtifactConnection,
        first=Int(default_value=100),
        after=String(),
        prefix=String(description="A folder in the job's."),
        recursive=Boolean(default_value=True, description="false: one level, with folders."),
        order_by=PhJobArtifactOrderByInput(),
        search=String(description="In the path below `prefix`, in any case."),
    )
    item = Field(PhJobArtifactNode, name=NonNull(String), description="One file, by its path; null: there is none.")

    @staticmethod
    def resolve_items_connection(artifact: "Artifact", _: ResolveInfo, **arguments: Any) -> ArtifactPage:
        return artifact.page(read_wanted(arguments))

    @staticmethod
    def resolve_item(artifact: "Artifact", _: ResolveInfo, name: str) -> Node | None:
        return artifact.item(name)


class PhJobArtifactWhereInput(InputObjectType):
    """A job's artifacts: by the PhJob's id, or, where it may be gone, by group and job."""

    id = ID()
    group_name = String()
    job = String()


class Artifact:
    """What PhJobArtifact shows. `listed`: one of many."""

    def __init__(self, request: Request, folder: JobFolder, listed: bool = False) -> None:
        self._request, self._services, self._sight = request, request.services, request.sight
        self._folder, self._job, self._listed = folder, folder.phjob, listed

    @property
    def prefix(self) -> str:
        return self._folder.prefix.removesuffix("/")

    @property
    def items(self) -> FileRows:
        if not self._files.complete:
            raise TooLarge(
                f"there are more than {MOST_FILES} files: page through them by itemsConnection(first, after)"
            )
        self._request.budget.give(len(self._files.items))
        return FileRows(self._files.items)

    @property
    def state(self) -> str | None:
        """The report's word where there is one, else the status's: a job without artifacts folder leaves no report."""
        told = self._job.outcome.state if self._job and self._job.outcome else None
        if self._has_expired:
            return EXPIRED
        report = None if self._listed else self._report
        if report is None:
            return told
        unsealed = report.state in ("syncing", "incomplete") and not report.sealed_at
        return "incomplete" if unsealed and not self._is_running else report.state

    @property
    def reason(self) -> str | None:
        return self._told_of_state.reason or None if self._told_of_state else None

    @property
    def message(self) -> str | None:
        return self._told_of_state.message or None if self._told_of_state else None

    @property
    def report(self) -> Report | None:
        """Of expired artifacts it names no file any more."""
        report = self._report
        return without_paths(report) if report and self._term_is_over else report

    @property
    def expired_at(self) -> str | None:
        return time_text(self._told_expiry if self._listed or self._is_removed else self._term.expires_at)

    @property
    def pinned(self) -> bool:
        return self._term.pinned

    @property
    def pinned_by(self) -> str | None:
        return self._term.pinned_by or None

    @property
    def pinned_at(self) -> str | None:
        return time_text(self._term.pinned_at)

    @property
    def note(self) -> str | None:
        return self._term.note or None

    @property
    def total_count(self) -> int | None:
        return self._totals[0]

    @property
    def total_size(self) -> int | None:
        return self._totals[1]

    @property
    def download_url(self) -> str | None:
        return link(self._request, self._folder, "", download=True) if self._files.items else None

    def page(self, wanted: Wanted) -> ArtifactPage:
        """The page of files."""
        if self._term_is_over:
            return ArtifactPage(self._request, self._folder, wanted, Page([], False), lambda: 0)
        page = self._sight.page(self._folder.prefix, wanted)
        return ArtifactPage(self._request, self._folder, wanted, page, lambda: self._count(wanted))

    def item(self, name: str) -> Node | None:
        """The file of that name, where there is one."""
        found = None if self._term_is_over or path_problem(name) else self._sight.file(self._folder.prefix, name)
        if found is None:
            return None
        return ArtifactPage(self._request, self._folder, Wanted(), Page([found], False), lambda: 1).nodes[0]

    def _count(self, wanted: Wanted) -> int | None:
        if replace(wanted, first=0, after="", order="name", descending=False) == Wanted(first=0):
            return self._counted[0]
        return self._sight.count(self._folder.prefix, wanted)

    @property
    def _totals(self) -> tuple[int | None, int | None]:
        if not self._listed:
            return self._counted
        outcome = self._job.outcome if self._job else None
        if self._has_expired:
            return 0, 0
        return (outcome.files, outcome.bytes) if outcome else (None, None)

    @cached_property
    def _counted(self) -> tuple[int | None, int | None]:
        if self._files.complete:
            return len(self._files.items), self._files.bytes
        totals = self._sight.totals(self._folder.prefix)
        seen = len(self._files.items)
        if totals is None or totals.files <= seen or totals.bytes < self._files.bytes:
            return None, None  # there is more than it says
        return totals

    @property
    def _files(self) -> Files:
        return Files([], True) if self._term_is_over else self._sight.files(self._folder.prefix)

    @property
    def _has_expired(self) -> bool:
        return self._is_told_over if self._listed else self._term_is_over or self._is_removed

    @property
    def _is_removed(self) -> bool:
        """Whether the PhJob tells that its artifacts' time is over, and nothing is there that could know better."""
        return self._is_told_over and self._report is None

    @property
    def _told_of_state(self) -> Outcome | None:
        """What the PhJob's status tells, where it tells of the state that is shown."""
        told = self._job.outcome if self._job else None
        return told if told and told.state == self.state else None

    @property
    def _is_told_over(self) -> bool:
        expiry = self._told_expiry
        return expiry is not None and expiry <= self._services.clock()

    @property
    def _told_expiry(self) -> int | None:
        """What the PhJob tells; a pin is told as a time that no date goes past."""
        expiry = self._job.status_expiry if self._job else 0
        return expiry if 0 < expiry < FOREVER else None

    @property
    def _term_is_over(self) -> bool:
        return self._term.has_expired(self._services.clock())

    @property
    def _term(self) -> Retention:
        return self._sight.term(self._folder)

    @property
    def _report(self) -> Report | None:
        return self._sight.report(self._folder)

    @property
    def _is_running(self) -> bool:
        return self._job is not None and self._sight.is_running(self._job)
