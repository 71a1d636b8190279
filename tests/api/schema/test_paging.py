"""Which jobs, in what order, and which page: by number as PrimeHub counts, and by cursor as jobs come and go."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.auth.caller import Caller
from api.errors import BadInput
from api.jobs.job import Job
from api.schema.job_pages import JobPage, PageArguments, filter_jobs, parse_order, sort_jobs, take_page

ADMIN = Caller("1", "root", is_admin=True)


def job(name: str, **fields: Any) -> Job:
    return Job(**({"id": name, "uid": "uid", "group": "a"} | fields))


jobs = st.lists(
    st.builds(job, st.text("ab-0", min_size=1, max_size=3), create_time=st.sampled_from(["1", "2", ""])),
    unique_by=lambda one: one.id,
    max_size=30,
)
orders = st.sampled_from([{}, {"create_time": "asc"}, {"display_name": "desc"}, {"group_name": "desc", "phase": None}])


def ids(page: JobPage) -> list[str]:
    return [one.id for one in page.jobs]


@given(jobs, orders)
def test_pages_by_number_are_the_whole(known: list[Job], order_by: dict[str, str]) -> None:
    order = parse_order(order_by)
    arranged = sort_jobs(known, order)
    pages = [take_page(arranged, order, PageArguments(page=number)) for number in range(1, 5)]
    assert [name for page in pages for name in ids(page)] == [one.id for one in arranged]
    assert {page.page_count for page in pages} == {max(1, (len(known) + 9) // 10)}
    assert [page.has_next for page in pages] == [len(known) > 10 * number for number in range(1, 5)]
    assert ids(take_page(arranged, order, PageArguments(page=99))) == []


@given(jobs, orders, st.integers(1, 7), st.booleans())
def test_pages_by_cursor_are_the_whole_in_both_directions(
    known: list[Job], order_by: dict[str, str], size: int, forth: bool
) -> None:
    order = parse_order(order_by)
    arranged = sort_jobs(known, order)
    found: list[str] = []
    asked = PageArguments(first=size) if forth else PageArguments(last=size)
    while True:
        page = take_page(arranged, order, asked)
        found = found + ids(page) if forth else ids(page) + found
        if not (page.has_next if forth else page.has_previous):
            break
        asked = (
            PageArguments(first=size, after=order.cursor(page.jobs[-1]))
            if forth
            else PageArguments(last=size, before=order.cursor(page.jobs[0]))
        )
    assert found == [one.id for one in arranged]


@given(jobs, st.data())
def test_a_job_that_goes_or_comes_shows_no_other_twice(known: list[Job], data: st.DataObject) -> None:
    order = parse_order({})
    first = take_page(sort_jobs(known, order), order, PageArguments(first=3))
    if not first.jobs:
        return
    gone = data.draw(st.sampled_from(known))
    later = [one for one in known if one != gone] + [job("new", create_time="3")]
    second = take_page(sort_jobs(later, order), order, PageArguments(first=99, after=order.cursor(first.jobs[-1])))
    assert set(ids(first)).isdisjoint(ids(second))
    assert set(ids(first)) | set(ids(second)) | {gone.id} >= {one.id for one in known}


def test_newest_come_first() -> None:
    order = parse_order({"create_time": None})
    known = [job("old", create_time="2026-01-01T00:00:00Z"), job("new", create_time="2026-01-02T00:00:00Z")]
    assert [one.id for one in sort_jobs(known, order)] == ["new", "old"]


def test_without_a_page_there_are_ten() -> None:
    order = parse_order({})
    known = sort_jobs([job(str(number)) for number in range(12)], order)
    assert (
        len(take_page(known, order, PageArguments()).jobs)
        == len(take_page(known, order, PageArguments(after=order.cursor(known[0]))).jobs)
        == 10
    )


@pytest.mark.parametrize(
    "asked",
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
def test_a_page_that_is_none_is_refused(asked: PageArguments) -> None:
    with pytest.raises(BadInput):
        take_page([job("a")], parse_order({}), asked)


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
def test_jobs_are_selected(where: dict[str, Any], expected: set[str]) -> None:
    known = [
        job("a1", group="Team_A", display_name="Train"),
        job("a2", group="Team_A", display_name="test", user_id="1", phase="Running"),
        job("b1", group="b", phase="Failed"),
    ]
    assert {one.id for one in filter_jobs(known, ADMIN, where)} == expected
