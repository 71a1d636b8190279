"""The schema: all queries and mutations. `python -m api schema` prints it as SDL."""

# mypy: allow-subclassing-any

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from graphene import Field, NonNull, ResolveInfo, Schema

from api.errors import job_not_found
from api.schema.artifact import ArtifactView, PhJobArtifact, PhJobArtifactWhereInput
from api.schema.cleanup import CleanupQueries
from api.schema.context import RequestContext
from api.schema.jobs import JobQueries
from api.schema.mutations import Mutation, resolve_folder
from api.schema.store_files import FileQueries
from api.schema.types import Me


@dataclass(frozen=True)
class GroupRow:
    """The values of Group. Only the name is available."""

    id: str
    name: str
    display_name: str

    quota_cpu = quota_gpu = quota_memory = user_volume_capacity = None
    project_quota_cpu = project_quota_gpu = project_quota_memory = None
    enabled_shared_volume = shared_volume_capacity = home_symlink = launch_group_only = None
    enabled_deployment = max_deploy = deployments_usage = None
    job_default_active_deadline_seconds = writable = admins = None


class MeRow(NamedTuple):
    """The values of Me."""

    id: str
    username: str
    is_admin: bool
    effective_groups: Sequence[GroupRow]


class Query(JobQueries, FileQueries, CleanupQueries):
    """All queries."""

    me = Field(NonNull(Me))
    ph_job_artifact = Field(
        PhJobArtifact,
        where=NonNull(PhJobArtifactWhereInput),
        description="The artifacts of a job, even if its PhJob was deleted.",
    )

    @staticmethod
    def resolve_me(_: None, info: ResolveInfo) -> MeRow:
        """Return the caller."""
        caller = info.context.caller
        groups = [GroupRow(group, group, group) for group in caller.groups]
        return MeRow(caller.id, caller.username, caller.is_admin, groups)

    @staticmethod
    def resolve_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str]) -> ArtifactView:
        """Return the artifacts of a job, which may have no PhJob any more."""
        context: RequestContext = info.context
        folder = resolve_folder(context, where)
        if folder.phjob is None and not context.folders.exists(folder.prefix):
            raise job_not_found(folder.job)
        return ArtifactView(context, folder)


SCHEMA = Schema(query=Query, mutation=Mutation)
