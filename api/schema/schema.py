"""The schema: all queries and mutations. `python -m api schema` prints it as SDL."""

# mypy: allow-subclassing-any

from collections.abc import Mapping

from graphene import Field, NonNull, ResolveInfo, Schema

from api.errors import job_not_found
from api.schema.accounts import AccountQueries
from api.schema.artifact import ArtifactView, PhJobArtifact, PhJobArtifactWhereInput
from api.schema.cleanup import CleanupQueries
from api.schema.context import RequestContext
from api.schema.jobs import JobQueries
from api.schema.mutations import Mutation, resolve_folder
from api.schema.store_files import FileQueries


class Query(AccountQueries, JobQueries, FileQueries, CleanupQueries):
    """All queries."""

    ph_job_artifact = Field(
        PhJobArtifact,
        where=NonNull(PhJobArtifactWhereInput),
        description="The artifacts of a job, even if its PhJob was deleted.",
    )

    @staticmethod
    def resolve_ph_job_artifact(_: None, info: ResolveInfo, where: Mapping[str, str]) -> ArtifactView:
        """Return the artifacts of a job, which may have no PhJob any more."""
        context: RequestContext = info.context
        folder = resolve_folder(context, where)
        if folder.phjob is None and not context.folders.exists(folder.prefix):
            raise job_not_found(folder.job)
        return ArtifactView(context, folder)


SCHEMA = Schema(query=Query, mutation=Mutation)
