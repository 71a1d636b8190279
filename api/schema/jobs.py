"""PhJobs in GraphQL: the types that PrimeHub's clients select, and the queries for them."""

# mypy: allow-subclassing-any

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from graphene import ID, Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.definitions.definition import InstanceTypeDefinition
from api.folder import folder_of_phjob, visible_job
from api.jobs.job import Job
from api.jobs.order import JobOrder
from api.schema.artifact import ArtifactView, PhJobArtifact
from api.schema.context import RequestContext
from api.schema.definitions import InstanceType, InstanceTypeRow
from api.schema.job_pages import PageArguments, encode_cursor, parse_order, select_jobs, take_page
from api.schema.types import JSON, PageInfo, PageInfoValues


class PhJob(ObjectType):
    """A command that runs once in one pod."""

    id = NonNull(ID)
    display_name = String()
    cancel = Boolean(description="Whether the end of the job was requested.")
    command = String(description='In lists, a long command is shortened and ends with " ...".')
    group_id = String(description="The group's name, which is also its id.")
    group_name = String()
    image = String()
    instance_type = Field(InstanceType)
    user_id = String()
    user_name = String()
    phase = String(description="Such as Pending, Running, Succeeded, Failed or Cancelled.")
    reason = String()
    message = String()
    schedule = String(description="Always null.")
    create_time = String()
    start_time = String()
    finish_time = String()
    log_endpoint = String(description="Always null.")
    artifact = Field(PhJobArtifact)
    active_deadline_seconds = Int()
    monitoring = Field(
        JSON,
        description="Beside PrimeHub: CPU, memory and GPU use of the job, as PrimeHub's monitoring agent wrote it. "
        "Null in lists of jobs, if the agent wrote nothing or invalid data, and after the expiry.",
    )


class PhJobEdge(ObjectType):
    """A job and its position in the list."""

    node = NonNull(PhJob)
    cursor = NonNull(String)


class PhJobConnection(ObjectType):
    """A page of jobs."""

    page_info = NonNull(PageInfo)
    edges = NonNull(List(PhJobEdge))


class PhJobWhereUniqueInput(InputObjectType):
    """Selects one job."""

    id = NonNull(ID)


class PhJobWhereInput(InputObjectType):
    """Selects the jobs that match all conditions."""

    id = ID()
    group_id_in = List(
        String, name="groupId_in", description="Names or paths of groups. If empty: all groups of the caller."
    )
    phase_in = List(String, name="phase_in", description="Phases such as Running. If empty: all phases.")
    display_name_contains = String(name="displayName_contains")
    search = String(description="Text to find in the display name or the id, ignoring case.")
    mine = Boolean(description="If true: only jobs of the caller.")


class PhJobOrderByInput(InputObjectType):
    """Set one field to "asc" or "desc". The default is the newest job first."""

    display_name = String()
    schedule = String()
    create_time = String()
    user_name = String()
    group_name = String()
    phase = String()


class JobNode:
    """The values of PhJob. `is_listed`: whether the job is part of a list; then its status replaces the store."""

    schedule = log_endpoint = None

    def __init__(self, job: Job, context: RequestContext, is_listed: bool = False) -> None:
        self.job, self._context, self._is_listed = job, context, is_listed

    def __getattr__(self, name: str) -> Any:
        """Return the job's attribute of that name, or None if it is ""."""
        value = getattr(self.job, name)
        return None if value == "" else value

    @property
    def group_id(self) -> str:
        """The id of the group, which is its name."""
        return self.job.group

    @property
    def group_name(self) -> str:
        """The name of the group."""
        return self.job.group

    @property
    def instance_type(self) -> InstanceTypeRow | None:
        """The instance type that the PhJob names; only its name if the cluster has no such InstanceType."""
        name = self.job.instance_type
        if not name:
            return None
        known = self._context.instance_types_by_name.get(name)
        return InstanceTypeRow(known or InstanceTypeDefinition(name, name))

    @property
    def active_deadline_seconds(self) -> int | None:
        """The deadline in seconds; None if the PhJob sets none."""
        seconds = self.job.active_deadline_seconds
        return seconds if seconds is not None and abs(seconds) < 2**31 else None

    @cached_property
    def artifact(self) -> ArtifactView | None:
        """The artifacts of the job."""
        folder = folder_of_phjob(self.job)
        return ArtifactView(self._context, folder, self._is_listed) if folder else None

    @property
    def monitoring(self) -> dict[str, Any] | None:
        """The job's use of resources; None in lists, and if there is no valid record."""
        folder = None if self._is_listed else folder_of_phjob(self.job)
        return self._context.folders.monitoring(folder) if folder else None


class JobEdge(NamedTuple):
    """The values of PhJobEdge."""

    node: JobNode
    cursor: str


class JobConnection(NamedTuple):
    """The values of PhJobConnection."""

    page_info: PageInfoValues
    edges: list[JobEdge]


_LIST_ARGUMENTS = {
    "where": PhJobWhereInput(),
    "page": Int(),
    "order_by": PhJobOrderByInput(),
    "before": String(),
    "after": String(),
    "first": Int(),
    "last": Int(),
}


class JobQueries(ObjectType):
    """Queries for PhJobs."""

    ph_job = Field(NonNull(PhJob), where=NonNull(PhJobWhereUniqueInput))
    ph_jobs = Field(NonNull(List(PhJob)), **_LIST_ARGUMENTS)
    ph_jobs_connection = Field(NonNull(PhJobConnection), **_LIST_ARGUMENTS)

    @staticmethod
    def resolve_ph_job(_: None, info: ResolveInfo, where: Mapping[str, str]) -> JobNode:
        """Return a job that the caller can see."""
        context: RequestContext = info.context
        job = visible_job(context.services.jobs, context.caller, where["id"])
        return JobNode(context.services.jobs.read(job) if job.is_shortened else job, context)

    @staticmethod
    def resolve_ph_jobs(_: None, info: ResolveInfo, **arguments: Any) -> list[JobNode]:
        """Return the jobs that the caller can see and `where` selects."""
        jobs, order, page_arguments = _select_jobs(info.context, arguments)
        if page_arguments.is_given:
            jobs = take_page(jobs, order, page_arguments).jobs
        info.context.budget.charge_jobs(len(jobs))
        return [JobNode(job, info.context, is_listed=True) for job in jobs]

    @staticmethod
    def resolve_ph_jobs_connection(_: None, info: ResolveInfo, **arguments: Any) -> JobConnection:
        """Return a page of these jobs."""
        jobs, order, page_arguments = _select_jobs(info.context, arguments)
        page = take_page(jobs, order, page_arguments)
        info.context.budget.charge_jobs(len(page.jobs))
        edges = [JobEdge(JobNode(job, info.context, is_listed=True), encode_cursor(order, job)) for job in page.jobs]
        start, end = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
        return JobConnection(
            PageInfoValues(page.has_next, page.has_previous, start, end, page.number, page.page_count), edges
        )


def _select_jobs(
    context: RequestContext, arguments: Mapping[str, Any]
) -> tuple[Sequence[Job], JobOrder, PageArguments]:
    """Return the jobs of all pages in their order, and the arguments that select a page."""
    order = parse_order(arguments.get("order_by") or {})
    jobs = select_jobs(context.services.jobs, order, context.caller, arguments.get("where") or {})
    page_arguments = {name: arguments[name] for name in PageArguments._fields if name in arguments}
    return jobs, order, PageArguments(**page_arguments)
