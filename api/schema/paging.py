"""Which PhJobs a client asks for, in what order, and which page of them. Pure.

Pages by number are PrimeHub's: ten a page, an empty one past the end. Cursors tell a place in the order, so that a
job that is gone, or a new one, makes no page show a job twice.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from api.auth.caller import Caller
from api.errors import BadInput
from api.folder import group_path_or_none
from api.jobs.job import Job
from api.listing import MOST_IN_PAGE

PAGE_SIZE = 10
_ORDERS: dict[str, Callable[[Job], str]] = {
    "displayName": lambda job: job.display_name.casefold(),
    "schedule": lambda job: "",
    "createTime": lambda job: job.create_time,
    "userName": lambda job: job.user_name.casefold(),
    "groupName": lambda job: job.group.casefold(),
    "phase": lambda job: job.phase,
}
_NEWEST = ("createTime", "desc")

Key = tuple[str, str]


class Order(NamedTuple):
    """What jobs are ordered by; equal ones by name."""

    field: str
    descending: bool

    def key(self, job: Job) -> Key:
        """The job's place."""
        return _ORDERS[self.field](job), job.id

    def cursor(self, job: Job) -> str:
        """The job's place, opaque to clients."""
        return urlsafe_b64encode(orjson.dumps([self.field, *self.key(job)])).decode()

    def read(self, cursor: str) -> Key:
        """The place that a cursor tells. Raises BadInput."""
        try:
            field, value, name = orjson.loads(urlsafe_b64decode(cursor.encode()))
        except (ValueError, TypeError) as error:
            raise BadInput("this is no cursor of a job: take an edge's cursor, or pageInfo's") from error
        if field != self.field or not isinstance(value, str) or not isinstance(name, str):
            raise BadInput("this is a cursor of another orderBy: begin without it")
        return value, name


class Asked(NamedTuple):
    """The page that is asked for, as arguments tell it."""

    page: int | None = None
    first: int | None = None
    last: int | None = None
    after: str | None = None
    before: str | None = None

    @property
    def is_anything(self) -> bool:
        """Whether a page is asked for at all."""
        return any(value is not None for value in self)


class JobPage(NamedTuple):
    """A page of jobs, and where it is among the pages; numbers are None where it was asked for by cursor."""

    jobs: Sequence[Job]
    has_next: bool
    has_previous: bool
    number: int | None = None
    pages: int | None = None


def read_order(order_by: Mapping[str, str | None]) -> Order:
    """The order of `order_by`; newest first where there is none. Raises BadInput."""
    named = {_camel(name): way for name, way in order_by.items() if way is not None}
    if len(named) > 1:
        raise BadInput("orderBy: name one field; jobs that are equal in it come by id")
    field, way = next(iter(named.items()), _NEWEST)
    if way not in ("asc", "desc"):
        raise BadInput(f'orderBy {field}: use "asc" or "desc"')
    return Order(field, way == "desc")


def select(jobs: Sequence[Job], caller: Caller, where: Mapping[str, Any]) -> list[Job]:
    """The jobs that the caller may see and that `where` asks for."""
    groups = _Groups(caller, where.get("group_id_in"))
    name, part, search = (where.get(field) or "" for field in ("id", "display_name_contains", "search"))
    search, phases = search.casefold(), frozenset(where.get("phase_in") or ()) - {None}
    mine = bool(where.get("mine"))
    return [
        job
        for job in jobs
        if groups.has(job.group)
        and (not name or job.id == name)
        and (not phases or job.phase in phases)
        and (not mine or job.user_id == caller.id)
        and (not part or part in job.display_name)
        and (not search or search in job.display_name.casefold() or search in job.id)
    ]


def arrange(jobs: Sequence[Job], order: Order) -> list[Job]:
    """The jobs in their order."""
    return sorted(jobs, key=order.key, reverse=order.descending)


def take(jobs: Sequence[Job], order: Order, asked: Asked) -> JobPage:
    """The page of `jobs`, which are in their order. Raises BadInput."""
    if any(value is not None for value in asked[1:]):
        return _by_cursor(jobs, order, asked)
    number = 1 if asked.page is None else asked.page
    if number < 1:
        raise BadInput("pages are counted from 1")
    begin, end = (number - 1) * PAGE_SIZE, number * PAGE_SIZE
    pages = max(1, -(-len(jobs) // PAGE_SIZE))
    return JobPage(jobs[begin:end], end < len(jobs), number > 1, number, pages)


def _by_cursor(jobs: Sequence[Job], order: Order, asked: Asked) -> JobPage:
    begin, end = 0, len(jobs)
    if asked.after:
        begin = _place(jobs, order, order.read(asked.after), behind=True)
    if asked.before:
        end = max(begin, _place(jobs, order, order.read(asked.before), behind=False))
    for size in (asked.first, asked.last):
        if size is not None and not 0 <= size <= MOST_IN_PAGE:
            raise BadInput(f"first and last are numbers from 0 to {MOST_IN_PAGE}")
    if asked.first is not None:
        end = min(end, begin + asked.first)
    if asked.last is not None:
        begin = max(begin, end - asked.last)
    if asked.first is None and asked.last is None:
        end = min(end, begin + PAGE_SIZE)
    return JobPage(jobs[begin:end], end < len(jobs), begin > 0)


def _place(jobs: Sequence[Job], order: Order, key: Key, *, behind: bool) -> int:
    """The number of jobs before the place, or, with `behind`, up to it."""

    def is_before(job: Job) -> bool:
        own = order.key(job)
        return (behind and own == key) or (own > key if order.descending else own < key)

    return sum(map(is_before, jobs))


class _Groups:
    """Which groups' jobs are shown. Each group's name is looked at once."""

    def __init__(self, caller: Caller, asked: Sequence[str | None] | None) -> None:
        self._caller = caller
        self._asked = {_path(group) for group in asked or () if group is not None}
        self._known: dict[str, bool] = {}

    def has(self, group: str) -> bool:
        if group not in self._known:
            is_asked = not self._asked or _path(group) in self._asked
            self._known[group] = is_asked and self._caller.can_see(group)
        return self._known[group]


def _path(group: str) -> str:
    return group_path_or_none(group) or group


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
