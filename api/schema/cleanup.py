"""The cleanup and the groups' usage in GraphQL."""

# mypy: allow-subclassing-any

from collections.abc import Sequence
from typing import NamedTuple

from graphene import Boolean, Field, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.auth.caller import Caller
from api.cleanup.survey import Candidate, CleanupPlan
from api.errors import BadInput
from api.folder import group_path_or_none, visible_group
from api.listing import MOST_IN_PAGE
from api.schema.budget import WALK_LOOKS
from api.schema.report import time_text
from api.schema.request import Request
from api.schema.types import Size


class PhJobArtifactCandidate(ObjectType):
    """A job folder that the cleanup looks at, and why it would go, or stay."""

    group_name = NonNull(String)
    job = NonNull(String)
    due = NonNull(Boolean)
    expired_at = String()
    why = NonNull(String)


class PhJobArtifactCleanup(ObjectType):
    """What a cleanup would do now."""

    looked_at = NonNull(Int)
    due_count = NonNull(Int)
    due = Field(NonNull(List(NonNull(PhJobArtifactCandidate))), first=Int(default_value=100))
    kept_count = NonNull(Int)
    kept = Field(NonNull(List(NonNull(PhJobArtifactCandidate))), first=Int(default_value=100))
    refusal = String(description="Why it would stop, rather than remove so much at once.")

    @staticmethod
    def resolve_due_count(plan: CleanupPlan, _: ResolveInfo) -> int:
        return len(plan.due)

    @staticmethod
    def resolve_due(plan: CleanupPlan, _: ResolveInfo, first: int | None) -> list["CandidateRow"]:
        return _rows(plan.due, first)

    @staticmethod
    def resolve_kept_count(plan: CleanupPlan, _: ResolveInfo) -> int:
        return len(plan.kept)

    @staticmethod
    def resolve_kept(plan: CleanupPlan, _: ResolveInfo, first: int | None) -> list["CandidateRow"]:
        return _rows(plan.kept, first)

    @staticmethod
    def resolve_refusal(plan: CleanupPlan, _: ResolveInfo) -> str | None:
        return plan.refusal or None


class PhJobArtifactUsage(ObjectType):
    """What a group's artifacts take up."""

    group_name = NonNull(String)
    jobs = NonNull(Int)
    files = NonNull(Size)
    bytes = NonNull(Size)
    measured_at = NonNull(String)
    complete = NonNull(Boolean, description="false: there is more than could be counted in time.")


class CandidateRow(NamedTuple):
    """What PhJobArtifactCandidate shows."""

    group_name: str
    job: str
    due: bool
    expired_at: str | None
    why: str


class UsageRow(NamedTuple):
    """What PhJobArtifactUsage shows."""

    group_name: str
    jobs: int
    files: int
    bytes: int
    measured_at: str
    complete: bool


class CleanupQueries(ObjectType):
    """Queries about the cleanup and usage."""

    ph_job_artifact_cleanup = Field(
        PhJobArtifactCleanup,
        group_name=String(),
        description="What the cleanup would remove now, and why; of all one's own groups unless one is named.",
    )
    ph_job_artifact_usage = Field(PhJobArtifactUsage, group_name=NonNull(String))

    @staticmethod
    def resolve_ph_job_artifact_cleanup(_: None, info: ResolveInfo, group_name: str | None = None) -> CleanupPlan:
        request: Request = info.context
        if group_name is not None:
            groups: Sequence[str] | None = [visible_group(request.caller, group_name)]
        else:
            groups = None if request.caller.is_service else own_groups(request.caller)
        request.budget.look(WALK_LOOKS)
        return request.services.cleaner.plan(groups)

    @staticmethod
    def resolve_ph_job_artifact_usage(_: None, info: ResolveInfo, group_name: str) -> UsageRow:
        request: Request = info.context
        path = visible_group(request.caller, group_name)
        request.budget.look(WALK_LOOKS)
        measured = request.usage.of(path)
        counted = measured.tally
        at = time_text(measured.at) or ""
        return UsageRow(group_name, counted.jobs, counted.files, counted.bytes, at, counted.complete)


def own_groups(caller: Caller) -> Sequence[str] | None:
    """The paths of the groups that a cleanup of the caller's is about; None: all."""
    return None if caller.is_admin else sorted({path for path in map(group_path_or_none, caller.groups) if path})


def _rows(candidates: Sequence[Candidate], first: int | None) -> list[CandidateRow]:
    if first is None or not 0 <= first <= MOST_IN_PAGE:
        raise BadInput(f"first is a number from 0 to {MOST_IN_PAGE}")
    return [CandidateRow(c.group, c.job, c.due, time_text(c.expires_at), c.why) for c in candidates[:first]]
