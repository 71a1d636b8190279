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
from api.schema.types import check_page_size, parse_direction

PAGE_SIZE = 10
_SORT_VALUES: dict[str, Callable[[Job], str]] = {
    "displayName": lambda job: job.display_name.casefold(),
    "schedule": lambda job: "",
    "createTime": lambda job: job.create_time,
    "userName": lambda job: job.user_name.casefold(),
    "groupName": lambda job: job.group.casefold(),
    "phase": lambda job: job.phase,
}
_NEWEST_FIRST = ("createTime", "desc")

SortKey = tuple[str, str]


class JobOrder(NamedTuple):
    """An order of jobs by one field; equal jobs are ordered by id."""

    field: str
    descending: bool

    def sort_key(self, job: Job) -> SortKey:
        """Return the job's sort key."""
        return _SORT_VALUES[self.field](job), job.id

    def cursor(self, job: Job) -> str:
        """Encode the job's position in the order; opaque to clients."""
        return urlsafe_b64encode(orjson.dumps([self.field, *self.sort_key(job)])).decode()

    def decode_cursor(self, cursor: str) -> SortKey:
        """Decode a cursor into a sort key. Raises BadInput."""
        try:
            field, value, name = orjson.loads(urlsafe_b64decode(cursor.encode()))
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"the cursor is invalid, got {cursor[:80]!r}: use an edge's cursor, or one of pageInfo"
            ) from error
        if field != self.field or not isinstance(value, str) or not isinstance(name, str):
            raise BadInput("the cursor is of a list with another orderBy: request the first page without a cursor")
        return value, name


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
    field, direction = next(iter(directions.items()), _NEWEST_FIRST)
    return JobOrder(field, parse_direction(field, direction))


def filter_jobs(jobs: Sequence[Job], caller: Caller, where: Mapping[str, Any]) -> list[Job]:
    """Return the jobs that the caller may see and that match the argument `where`."""
    groups = _GroupFilter(caller, where.get("group_id_in"))
    conditions = _conditions(caller, where)
    return [job for job in jobs if groups.matches(job.group) and all(matches(job) for matches in conditions)]


def sort_jobs(jobs: Sequence[Job], order: JobOrder) -> list[Job]:
    """Return the jobs in this order."""
    return sorted(jobs, key=order.sort_key, reverse=order.descending)


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
        begin = _count_before(jobs, order, order.decode_cursor(arguments.after), inclusive=True)
    if arguments.before:
        end = max(begin, _count_before(jobs, order, order.decode_cursor(arguments.before), inclusive=False))
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


def _count_before(jobs: Sequence[Job], order: JobOrder, key: SortKey, *, inclusive: bool) -> int:
    """Count the jobs before the key, or up to the key if `inclusive`."""

    def is_before(job: Job) -> bool:
        job_key = order.sort_key(job)
        return (inclusive and job_key == key) or (job_key > key if order.descending else job_key < key)

    return sum(map(is_before, jobs))


def _conditions(caller: Caller, where: Mapping[str, Any]) -> list[Callable[[Job], bool]]:
    """Return one predicate per condition of `where`, except the groups. Empty values are no conditions."""
    name, part, search = (where.get(field) or "" for field in ("id", "display_name_contains", "search"))
    search, phases = search.casefold(), frozenset(where.get("phase_in") or ()) - {None}
    candidates: list[tuple[object, Callable[[Job], bool]]] = [
        (name, lambda job: job.id == name),
        (phases, lambda job: job.phase in phases),
        (where.get("mine"), lambda job: job.user_id == caller.id),
        (part, lambda job: part in job.display_name),
        (search, lambda job: search in job.display_name.casefold() or search in job.id),
    ]
    return [matches for value, matches in candidates if value]


class _GroupFilter:
    """Selects the groups that the caller may see and requested. Checks every group once."""

    def __init__(self, caller: Caller, requested: Sequence[str | None] | None) -> None:
        self._caller = caller
        self._requested = {_path(group) for group in requested or () if group is not None}
        self._checked: dict[str, bool] = {}

    def matches(self, group: str) -> bool:
        if group not in self._checked:
            is_requested = not self._requested or _path(group) in self._requested
            self._checked[group] = is_requested and self._caller.can_see(group)
        return self._checked[group]


def _path(group: str) -> str:
    """Return the group path, or the name itself if it is invalid: it then equals no other group."""
    return group_path_or_none(group) or group


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
