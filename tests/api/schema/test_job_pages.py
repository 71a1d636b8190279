"""Filters, orders and pages of jobs: by number as in PrimeHub, and by cursor while jobs are created and deleted."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.caller import Caller
from api.errors import BadInput
from api.jobs.job import Job
from api.jobs.order import NEWEST_FIRST, JobOrder
from api.jobs.sorted_jobs import SortedJobs
from api.schema.job_pages import JobPage, PageArguments, encode_cursor, parse_order, select_jobs, take_page
from tests.api.schema.graphql_api import FakeJobSource

ADMIN = Caller("1", "root", is_admin=True)


def make_job(name: str, **fields: Any) -> Job:
    return Job(**({"id": name, "uid": "uid", "group": "a"} | fields))


job_lists = st.lists(
    st.builds(make_job, st.text("ab-0", min_size=1, max_size=3), create_time=st.sampled_from(["1", "2", ""])),
    unique_by=lambda job: job.id,
    max_size=30,
)
orders = st.sampled_from([{}, {"create_time": "asc"}, {"display_name": "desc"}, {"group_name": "desc", "phase": None}])


def ids(page: JobPage) -> list[str]:
    return [job.id for job in page.jobs]


@given(job_lists, orders)
def test_numbered_pages_together_have_all_jobs(jobs: list[Job], order_by: dict[str, str]) -> None:
    order = parse_order(order_by)
    sorted_jobs = order.sort(jobs)
    pages = [take_page(sorted_jobs, order, PageArguments(page=number)) for number in range(1, 5)]
    assert [name for page in pages for name in ids(page)] == [job.id for job in sorted_jobs]
    assert {page.page_count for page in pages} == {max(1, (len(jobs) + 9) // 10)}
    assert [page.has_next for page in pages] == [len(jobs) > 10 * number for number in range(1, 5)]
    assert ids(take_page(sorted_jobs, order, PageArguments(page=99))) == []


@given(job_lists, orders, st.integers(1, 7), st.booleans())
def test_cursor_pages_have_all_jobs_in_both_directions(
    jobs: list[Job], order_by: dict[str, str], size: int, forwards: bool
) -> None:
    order = parse_order(order_by)
    sorted_jobs = order.sort(jobs)
    found: list[str] = []
    arguments = PageArguments(first=size) if forwards else PageArguments(last=size)
    while True:
        page = take_page(sorted_jobs, order, arguments)
        found = found + ids(page) if forwards else ids(page) + found
        if not (page.has_next if forwards else page.has_previous):
            break
        arguments = (
            PageArguments(first=size, after=encode_cursor(order, page.jobs[-1]))
            if forwards
            else PageArguments(last=size, before=encode_cursor(order, page.jobs[0]))
        )
    assert found == [job.id for job in sorted_jobs]


@given(job_lists, st.data())
def test_deleted_and_new_jobs_do_not_repeat_others(jobs: list[Job], data: st.DataObject) -> None:
    order = parse_order({})
    first = take_page(order.sort(jobs), order, PageArguments(first=3))
    if not first.jobs:
        return
    deleted = data.draw(st.sampled_from(jobs))
    later = [job for job in jobs if job != deleted] + [make_job("new", create_time="3")]
    second = take_page(order.sort(later), order, PageArguments(first=99, after=encode_cursor(order, first.jobs[-1])))
    assert set(ids(first)).isdisjoint(ids(second))
    assert set(ids(first)) | set(ids(second)) | {deleted.id} >= {job.id for job in jobs}


@given(job_lists, orders, st.lists(job_lists, max_size=20), st.integers(1, 5))
def test_each_unchanged_job_is_on_one_page_while_others_change(
    jobs: list[Job], order_by: dict[str, str], changes: list[list[Job]], size: int
) -> None:
    order, source = parse_order(order_by), SortedJobs()
    source.replace({job.id: job for job in jobs})
    changed = {job.id for change in changes for job in change}
    found, after = list[str](), None
    for change in itertools.chain(changes, itertools.repeat([])):
        page = take_page(source.all(order), order, PageArguments(first=size, after=after))
        found += ids(page)
        if not page.has_next:
            break
        after = encode_cursor(order, page.jobs[-1])
        for number, job in enumerate(change):
            source.put(job.id, job if number % 2 else None)
    unchanged = [job.id for job in order.sort(jobs) if job.id not in changed]
    assert [name for name in found if name not in changed] == unchanged


def test_a_cursor_finds_its_place_without_looking_at_all_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    order, count = parse_order({}), 10_000
    jobs = order.sort(make_job(str(number), create_time=f"{number:05}") for number in range(count))
    cursor, looked_at = encode_cursor(order, jobs[count // 2]), list[Job]()
    sort_key = JobOrder.sort_key

    def recorded(order: JobOrder, job: Job) -> tuple[str, str]:
        looked_at.append(job)
        return sort_key(order, job)

    monkeypatch.setattr(JobOrder, "sort_key", recorded)
    assert take_page(jobs, order, PageArguments(first=3, after=cursor)).jobs == jobs[count // 2 + 1 :][:3]
    assert len(looked_at) <= 20


def test_newest_job_is_first_by_default() -> None:
    order = parse_order({"create_time": None})
    jobs = [make_job("old", create_time="2026-01-01T00:00:00Z"), make_job("new", create_time="2026-01-02T00:00:00Z")]
    assert [job.id for job in order.sort(jobs)] == ["new", "old"]


def test_default_page_has_ten_jobs() -> None:
    order = parse_order({})
    jobs = order.sort(make_job(str(number)) for number in range(12))
    assert (
        len(take_page(jobs, order, PageArguments()).jobs)
        == len(take_page(jobs, order, PageArguments(after=encode_cursor(order, jobs[0]))).jobs)
        == 10
    )


@pytest.mark.parametrize(
    "arguments",
    [
        PageArguments(page=0),
        PageArguments(page=-1),
        PageArguments(first=-1),
        PageArguments(last=1001),
        PageArguments(after="x"),
        PageArguments(before="WzFd"),
        PageArguments(after="W10="),
    ],
)
def test_invalid_page_arguments_are_refused(arguments: PageArguments) -> None:
    with pytest.raises(BadInput):
        take_page([make_job("a")], parse_order({}), arguments)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, {"a1", "a2", "b1"}),
        ({"id": "a1"}, {"a1"}),
        ({"id": "a"}, set()),
        ({"group_id_in": ["Team_A"]}, {"a1", "a2"}),
        ({"group_id_in": ["team-a"]}, {"a1", "a2"}),
        ({"group_id_in": [None]}, {"a1", "a2", "b1"}),
        ({"group_id_in": ["none"]}, set()),
        ({"group_id_in": ["b", "../b"]}, {"b1"}),
        ({"mine": True}, {"a2"}),
        ({"mine": False}, {"a1", "a2", "b1"}),
        ({"display_name_contains": "Tra"}, {"a1"}),
        ({"display_name_contains": "tra"}, set()),
        ({"search": "TRAIN"}, {"a1"}),
        ({"search": "B1"}, {"b1"}),
        ({"search": "t", "mine": True}, {"a2"}),
        ({"phase_in": ["Running"]}, {"a2"}),
        ({"phase_in": ["Running", "Failed", "Running"]}, {"a2", "b1"}),
        ({"phase_in": ["running"]}, set()),
        ({"phase_in": []}, {"a1", "a2", "b1"}),
        ({"phase_in": [None]}, {"a1", "a2", "b1"}),
        ({"phase_in": ["Failed"], "group_id_in": ["Team_A"]}, set()),
    ],
)
def test_jobs_are_filtered(where: dict[str, Any], expected: set[str]) -> None:
    jobs = [
        make_job("a1", group="Team_A", display_name="Train"),
        make_job("a2", group="Team_A", display_name="test", user_id="1", phase="Running"),
        make_job("b1", group="b", phase="Failed"),
    ]
    source = FakeJobSource()
    source.jobs = {job.id: job for job in jobs}
    assert {job.id for job in select_jobs(source, NEWEST_FIRST, ADMIN, where)} == expected


def test_only_jobs_of_the_callers_groups_are_selected() -> None:
    source = FakeJobSource()
    source.jobs = {name: make_job(name, group=name) for name in ("Team_A", "team-a", "b", "../a")}
    caller = Caller("2", "bob", ["team_a", "../a"])
    assert {job.id for job in select_jobs(source, NEWEST_FIRST, caller, {})} == {"Team_A", "team-a"}
    assert select_jobs(source, NEWEST_FIRST, caller, {"id": "b"}) == []


def test_a_job_is_found_by_its_id_without_a_list_of_all_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeJobSource()
    source.jobs = {"a": make_job("a")}
    monkeypatch.delattr(FakeJobSource, "all")
    assert [job.id for job in select_jobs(source, NEWEST_FIRST, ADMIN, {"id": "a"})] == ["a"]
