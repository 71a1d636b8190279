"""PhJobs in GraphQL: the types that PrimeHub's clients select, and the queries for them."""

# mypy: allow-subclassing-any

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from graphene import ID, Boolean, Field, InputObjectType, Int, List, NonNull, ObjectType, ResolveInfo, String

from api.folder import folder_of_phjob, visible_job
from api.jobs.job import Job
from api.schema.artifact import Artifact, PhJobArtifact
from api.schema.paging import Asked, Order, arrange, read_order, select, take
from api.schema.request import Request
from api.schema.types import JSON, InstanceType, PageInfo


class PhJob(ObjectType):
    """A command that is run once in one pod."""

    id = NonNull(ID)
    display_name = String()
    cancel = Boolean()
    command = String()
    group_id = String(description="The group's name, which serves as its id.")
    group_name = String()
    image = String()
    instance_type = Field(InstanceType)
    user_id = String()
    user_name = String()
    phase = String()
    reason = String()
    message = String()
    schedule = String()
    create_time = String()
    start_time = String()
    finish_time = String()
    log_endpoint = String()
    artifact = Field(PhJobArtifact)
    active_deadline_seconds = Int()
    monitoring = Field(JSON)


class PhJobEdge(ObjectType):
    """A job in a connection."""

    node = NonNull(PhJob)
    cursor = NonNull(String)


class PhJobConnection(ObjectType):
    """A page of jobs."""

    page_info = NonNull(PageInfo)
    edges = NonNull(List(PhJobEdge))


class PhJobWhereUniqueInput(InputObjectType):
    """Which job."""

    id = NonNull(ID)


class PhJobWhereInput(InputObjectType):
    """Which jobs; all conditions hold."""

    id = ID()
    group_id_in = List(String, name="groupId_in", description="Names of groups, or their paths; empty: all one's own.")
    phase_in = List(String, name="phase_in", description="Such as Running; empty: all.")
    display_name_contains = String(name="displayName_contains")
    search = String(description="In the display name or the id, in any case.")
    mine = Boolean()


class PhJobOrderByInput(InputObjectType):
    """One of them, "asc" or "desc"."""

    display_name = String()
    schedule = String()
    create_time = String()
    user_name = String()
    group_name = String()
    phase = String()


class NamedInstanceType(NamedTuple):
    """An instance type of which the name is known."""

    id: str
    name: str
    display_name: str
    description: None = None
    cpu_limit: None = None
    memory_limit: None = None
    gpu_limit: None = None


class JobRow:
    """A PhJob as GraphQL shows it. `listed`: one of many, whose store is not asked for what its status tells."""

    schedule = log_endpoint = monitoring = None

    def __init__(self, job: Job, request: Request, listed: bool = False) -> None:
        self.job, self._request, self._listed = job, request, listed

    def __getattr__(self, name: str) -> Any:
        """The job's own field; "" is told as null."""
        value = getattr(self.job, name)
        return None if value == "" else value

    @property
    def group_id(self) -> str:
        return self.job.group

    @property
    def group_name(self) -> str:
        return self.job.group

    @property
    def instance_type(self) -> NamedInstanceType | None:
        name = self.job.instance_type
        return NamedInstanceType(name, name, name) if name else None

    @property
    def active_deadline_seconds(self) -> int | None:
        seconds = self.job.active_deadline_seconds
        return seconds if seconds is not None and abs(seconds) < 2**31 else None

    @cached_property
    def artifact(self) -> Artifact | None:
        folder = folder_of_phjob(self.job)
        return Artifact(self._request, folder, self._listed) if folder else None


class JobEdge(NamedTuple):
    """An edge of a connection."""

    node: JobRow
    cursor: str


class ShownPage(NamedTuple):
    """What PageInfo shows."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None
    current_page: int | None = None
    total_page: int | None = None


class Jobs(NamedTuple):
    """What PhJobConnection shows."""

    page_info: ShownPage
    edges: list[JobEdge]


_ARGUMENTS = {
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
    ph_jobs = Field(NonNull(List(PhJob)), **_ARGUMENTS)
    ph_jobs_connection = Field(NonNull(PhJobConnection), **_ARGUMENTS)

    @staticmethod
    def resolve_ph_job(_: None, info: ResolveInfo, where: Mapping[str, str]) -> JobRow:
        request: Request = info.context
        return JobRow(visible_job(request.services.jobs, request.caller, where["id"]), request)

    @staticmethod
    def resolve_ph_jobs(_: None, info: ResolveInfo, **arguments: Any) -> list[JobRow]:
        jobs, order, asked = _selected(info.context, arguments)
        if asked.is_anything:
            jobs = list(take(jobs, order, asked).jobs)
        info.context.budget.give_jobs(len(jobs))
        return [JobRow(job, info.context, listed=True) for job in jobs]

    @staticmethod
    def resolve_ph_jobs_connection(_: None, info: ResolveInfo, **arguments: Any) -> Jobs:
        jobs, order, asked = _selected(info.context, arguments)
        page = take(jobs, order, asked)
        info.context.budget.give_jobs(len(page.jobs))
        edges = [JobEdge(JobRow(job, info.context, listed=True), order.cursor(job)) for job in page.jobs]
        start, end = (edges[0].cursor, edges[-1].cursor) if edges else (None, None)
        return Jobs(ShownPage(page.has_next, page.has_previous, start, end, page.number, page.pages), edges)


def _selected(request: Request, arguments: dict[str, Any]) -> tuple[list[Job], Order, Asked]:
    order = read_order(arguments.pop("order_by", None) or {})
    where = arguments.pop("where", None) or {}
    jobs = arrange(select(request.services.jobs.all(), request.caller, where), order)
    return jobs, order, Asked(**arguments)
