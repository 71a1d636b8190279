"""Filters, orders and pages PhJobs. Pure.

Numbered pages are PrimeHub's: ten jobs each, and an empty page beyond the end. A cursor is a position in the order, so
a job that is created or deleted between two requests does not make a page repeat another job.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from api.auth.caller import Caller
from api.errors import BadInput
from api.folder import group_path_or_none
from api.jobs.job import Job
from api.jobs.order import NEWEST_FIRST, JobOrder, SortKey
from api.jobs.source import JobSource
from api.schema.types import check_page_size, parse_direction

PAGE_SIZE = 10


class PageArguments(NamedTuple):
    """The arguments that select a page of jobs: a page number, or cursors."""

    page: int | None = None
    first: int | None = None
    last: int | None = None
    after: str | None = None
    before: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether the client set any of the arguments."""
        return any(value is not None for value in self)

    @property
    def uses_cursors(self) -> bool:
        """Whether the client set any argument besides the page number."""
        return any(value is not None for value in self[1:])


class JobPage(NamedTuple):
    """A page of jobs. `number` and `page_count` are None if the page was selected by cursor."""

    jobs: Sequence[Job]
    has_next: bool
    has_previous: bool
    number: int | None = None
    page_count: int | None = None


def parse_order(order_by: Mapping[str, str | None]) -> JobOrder:
    """Parse the argument orderBy; the default is the newest job first. Raises BadInput."""
    directions = {_camel_case(name): direction for name, direction in order_by.items() if direction is not None}
    if len(directions) > 1:
        raise BadInput("`orderBy` must have one field; jobs that are equal in that field are ordered by id")
    if not directions:
        return NEWEST_FIRST
    ((field, direction),) = directions.items()
    return JobOrder(field, parse_direction(field, direction))


def select_jobs(jobs: JobSource, order: JobOrder, caller: Caller, where: Mapping[str, Any]) -> Sequence[Job]:
    """Return the jobs that the caller may see and that match the argument `where`, in this order."""
    if name := where.get("id"):
        job = jobs.get(name)
        return filter_jobs([job] if job else [], caller, where)
    return filter_jobs(jobs.all(order), caller, where)


def filter_jobs(jobs: Sequence[Job], caller: Caller, where: Mapping[str, Any]) -> Sequence[Job]:
    """Return the jobs that the caller may see and that match the argument `where`, except `id`."""
    jobs = _filter_groups(jobs, caller, where.get("group_id_in"))
    for condition in _conditions(caller, where):
        jobs = list(filter(condition, jobs))
    return jobs


def encode_cursor(order: JobOrder, job: Job) -> str:
    """Encode the job's position in the order; opaque to clients."""
    return urlsafe_b64encode(orjson.dumps([order.field, *order.sort_key(job)])).decode()


def _decode_cursor(order: JobOrder, cursor: str) -> SortKey:
    """Decode a cursor into a sort key. Raises BadInput."""
    try:
        field, value, name = orjson.loads(urlsafe_b64decode(cursor.encode()))
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"the cursor is invalid, got {cursor[:80]!r}: use an edge's cursor, or one of pageInfo"
        ) from error
    if field != order.field or not isinstance(value, str) or not isinstance(name, str):
        raise BadInput("the cursor is of a list with another orderBy: request the first page without a cursor")
    return value, name


def take_page(jobs: Sequence[Job], order: JobOrder, arguments: PageArguments) -> JobPage:
    """Take a page from the jobs, which must be sorted by `order`. Raises BadInput."""
    if arguments.uses_cursors:
        return _take_page_by_cursor(jobs, order, arguments)
    number = 1 if arguments.page is None else arguments.page
    if number < 1:
        raise BadInput(f"`page` must be 1 or more, got {number}")
    begin, end = (number - 1) * PAGE_SIZE, number * PAGE_SIZE
    page_count = max(1, -(-len(jobs) // PAGE_SIZE))
    return JobPage(jobs[begin:end], end < len(jobs), number > 1, number, page_count)


def _take_page_by_cursor(jobs: Sequence[Job], order: JobOrder, arguments: PageArguments) -> JobPage:
    begin, end = 0, len(jobs)
    if arguments.after:
        begin = order.count_before(jobs, _decode_cursor(order, arguments.after), inclusive=True)
    if arguments.before:
        end = max(begin, order.count_before(jobs, _decode_cursor(order, arguments.before)))
    begin, end = _limit_page(begin, end, arguments)
    return JobPage(jobs[begin:end], end < len(jobs), begin > 0)


def _limit_page(begin: int, end: int, arguments: PageArguments) -> tuple[int, int]:
    """Apply `first` and `last`, or the default size, to the range of a page."""
    first, last = arguments.first, arguments.last
    if first is not None:
        end = min(end, begin + check_page_size(first))
    if last is not None:
        begin = max(begin, end - check_page_size(last, "last"))
    if first is None and last is None:
        end = min(end, begin + PAGE_SIZE)
    return begin, end


def _conditions(caller: Caller, where: Mapping[str, Any]) -> list[Callable[[Job], bool]]:
    """Return one predicate per condition of `where`, except id and groups. Empty values are no conditions."""
    part, search = (where.get(field) or "" for field in ("display_name_contains", "search"))
    search, phases = search.casefold(), frozenset(where.get("phase_in") or ()) - {None}
    candidates: list[tuple[object, Callable[[Job], bool]]] = [
        (phases, lambda job: job.phase in phases),
        (where.get("mine"), lambda job: job.user_id == caller.id),
        (part, lambda job: part in job.display_name),
        (search, lambda job: search in job.display_name.casefold() or search in job.id),
    ]
    return [matches for value, matches in candidates if value]


def _filter_groups(jobs: Sequence[Job], caller: Caller, requested: Sequence[str | None] | None) -> Sequence[Job]:
    """Return the jobs of the groups that the caller may see and requested. Checks every group once."""
    paths = {_path(group) for group in requested or () if group is not None}
    groups = {job.group for job in jobs}
    selected = {group for group in groups if (not paths or _path(group) in paths) and caller.can_see(group)}
    return jobs if selected == groups else [job for job in jobs if job.group in selected]


def _path(group: str) -> str:
    """Return the group path, or the name itself if it is invalid: it then equals no other group."""
    return group_path_or_none(group) or group


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
