"""The cleanup and the groups' usage in GraphQL."""

# mypy: allow-subclassing-any

from collections.abc import Sequence
from typing import NamedTuple

from graphene import Boolean, Field, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.auth.caller import Caller
from api.cleanup.survey import Candidate, CleanupPlan
from api.folder import group_path_or_none, visible_group
from api.schema.budget import WALK_FOLDERS
from api.schema.context import RequestContext
from api.schema.types import Size, check_page_size, format_optional_time

PLAN_SECONDS = 10.0  # of a request; the cleanup itself has no limit


class PhJobArtifactCandidate(ObjectType):
    """A job folder that the cleanup checked."""

    group_name = NonNull(String)
    job = NonNull(String)
    due = NonNull(Boolean, description="Whether the cleanup would remove it.")
    expired_at = String()
    why = NonNull(String, description="Why the cleanup would remove or keep it.")


class PhJobArtifactCleanup(ObjectType):
    """What the cleanup would do now."""

    looked_at = NonNull(Int, description="The number of job folders that were checked.")
    due_count = NonNull(Int, description="The number of job folders that would be removed.")
    due = Field(NonNull(List(NonNull(PhJobArtifactCandidate))), first=Int(default_value=100))
    kept_count = NonNull(Int, description="The number of job folders that would be kept.")
    kept = Field(NonNull(List(NonNull(PhJobArtifactCandidate))), first=Int(default_value=100))
    refusal = String(
        description="Why the cleanup would refuse to run; null if it would run, or if `complete` is false."
    )
    complete = NonNull(
        Boolean,
        description="Whether all job folders were checked. If false, time ran out: counts and lists have only the "
        "folders that were checked, in the order of group and job. `python -m api cleanup --dry-run` checks all "
        "folders.",
    )

    @staticmethod
    def resolve_looked_at(plan: CleanupPlan, _: ResolveInfo) -> int:
        """Return the number of job folders that the plan examined."""
        return plan.examined_count

    @staticmethod
    def resolve_due_count(plan: CleanupPlan, _: ResolveInfo) -> int:
        """Return the number of due job folders."""
        return len(plan.due)

    @staticmethod
    def resolve_due(plan: CleanupPlan, _: ResolveInfo, first: int | None) -> list["CandidateRow"]:
        """Return the due job folders, up to `first`."""
        return _first_rows(plan.due, first)

    @staticmethod
    def resolve_kept_count(plan: CleanupPlan, _: ResolveInfo) -> int:
        """Return the number of job folders that are not due."""
        return len(plan.kept)

    @staticmethod
    def resolve_kept(plan: CleanupPlan, _: ResolveInfo, first: int | None) -> list["CandidateRow"]:
        """Return the job folders that are not due, up to `first`."""
        return _first_rows(plan.kept, first)

    @staticmethod
    def resolve_refusal(plan: CleanupPlan, _: ResolveInfo) -> str | None:
        """Return why the guard would refuse this run; None if it would not."""
        return plan.refusal or None


class PhJobArtifactUsage(ObjectType):
    """How much space the artifacts of a group use."""

    group_name = NonNull(String)
    jobs = NonNull(Int)
    files = NonNull(Size)
    bytes = NonNull(Size)
    measured_at = NonNull(String)
    complete = NonNull(
        Boolean,
        description="If false, there may be more files: the API may not read all folders, or counting took too long.",
    )


class CandidateRow(NamedTuple):
    """The values of PhJobArtifactCandidate."""

    group_name: str
    job: str
    due: bool
    expired_at: str | None
    why: str


class UsageRow(NamedTuple):
    """The values of PhJobArtifactUsage."""

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
        description="What the cleanup would remove now. Without groupName: in all groups of the caller.",
    )
    ph_job_artifact_usage = Field(PhJobArtifactUsage, group_name=NonNull(String))

    @staticmethod
    def resolve_ph_job_artifact_cleanup(_: None, info: ResolveInfo, group_name: str | None = None) -> CleanupPlan:
        """Plan a cleanup of the caller's groups, without removing anything."""
        context: RequestContext = info.context
        if group_name is not None:
            groups: Sequence[str] | None = [visible_group(context.caller, group_name)]
        else:
            groups = None if context.caller.is_service else cleanup_groups(context.caller)
        context.budget.charge_folders(WALK_FOLDERS)
        return context.services.cleaner.plan(groups, PLAN_SECONDS)

    @staticmethod
    def resolve_ph_job_artifact_usage(_: None, info: ResolveInfo, group_name: str) -> UsageRow:
        """Return the usage of a group."""
        context: RequestContext = info.context
        path = visible_group(context.caller, group_name)
        context.budget.charge_folders(WALK_FOLDERS)
        measured = context.usage.get(path)
        usage, measured_at = measured.usage, format_optional_time(measured.measured_at) or ""
        return UsageRow(group_name, usage.jobs, usage.files, usage.bytes, measured_at, usage.complete)


def cleanup_groups(caller: Caller) -> Sequence[str] | None:
    """Return the paths of the groups that the caller may clean; None means all groups."""
    return None if caller.is_admin else sorted({path for path in map(group_path_or_none, caller.groups) if path})


def _first_rows(candidates: Sequence[Candidate], first: int | None) -> list[CandidateRow]:
    return [
        CandidateRow(c.group, c.job, c.is_due, format_optional_time(c.expires_at), c.reason)
        for c in candidates[: check_page_size(first)]
    ]
