"""Filters, orders and pages of jobs: by number as in PrimeHub, and by cursor while jobs are created and deleted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.caller import Caller
from api.errors import BadInput
from api.jobs.job import Job
from api.schema.job_pages import JobPage, PageArguments, filter_jobs, parse_order, sort_jobs, take_page

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
    sorted_jobs = sort_jobs(jobs, order)
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
    sorted_jobs = sort_jobs(jobs, order)
    found: list[str] = []
    arguments = PageArguments(first=size) if forwards else PageArguments(last=size)
    while True:
        page = take_page(sorted_jobs, order, arguments)
        found = found + ids(page) if forwards else ids(page) + found
        if not (page.has_next if forwards else page.has_previous):
            break
        arguments = (
            PageArguments(first=size, after=order.cursor(page.jobs[-1]))
            if forwards
            else PageArguments(last=size, before=order.cursor(page.jobs[0]))
        )
    assert found == [job.id for job in sorted_jobs]


@given(job_lists, st.data())
def test_deleted_and_new_jobs_do_not_repeat_others(jobs: list[Job], data: st.DataObject) -> None:
    order = parse_order({})
    first = take_page(sort_jobs(jobs, order), order, PageArguments(first=3))
    if not first.jobs:
        return
    deleted = data.draw(st.sampled_from(jobs))
    later = [job for job in jobs if job != deleted] + [make_job("new", create_time="3")]
    second = take_page(sort_jobs(later, order), order, PageArguments(first=99, after=order.cursor(first.jobs[-1])))
    assert set(ids(first)).isdisjoint(ids(second))
    assert set(ids(first)) | set(ids(second)) | {deleted.id} >= {job.id for job in jobs}


def test_newest_job_is_first_by_default() -> None:
    order = parse_order({"create_time": None})
    jobs = [make_job("old", create_time="2026-01-01T00:00:00Z"), make_job("new", create_time="2026-01-02T00:00:00Z")]
    assert [job.id for job in sort_jobs(jobs, order)] == ["new", "old"]


def test_default_page_has_ten_jobs() -> None:
    order = parse_order({})
    jobs = sort_jobs([make_job(str(number)) for number in range(12)], order)
    assert (
        len(take_page(jobs, order, PageArguments()).jobs)
        == len(take_page(jobs, order, PageArguments(after=order.cursor(jobs[0]))).jobs)
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
    assert {job.id for job in filter_jobs(jobs, ADMIN, where)} == expected
