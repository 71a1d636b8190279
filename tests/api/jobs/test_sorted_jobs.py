"""Jobs that are kept sorted: always as if they were sorted anew, whatever changes, and without sorting anew."""

import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.jobs.job import Job
from api.jobs.order import NEWEST_FIRST, JobOrder
from api.jobs.sorted_jobs import SortedJobs
from api.schema.job_pages import parse_order
from api.schema.jobs import PhJobOrderByInput

ORDERS = [parse_order({field: direction}) for field in PhJobOrderByInput._meta.fields for direction in ("asc", "desc")]
NAMES = [f"job-{number}" for number in range(40)]

values = st.sampled_from(["", "a", "A", "b", "ß", "ss", "\U0001f600"])
jobs = st.builds(
    Job,
    id=st.sampled_from(NAMES),
    uid=st.just(""),
    group=values,
    display_name=values,
    user_name=values,
    phase=values,
    create_time=values,
)
changes = st.one_of(
    st.tuples(st.just("put"), jobs),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
    st.tuples(st.just("replace"), st.lists(jobs, max_size=50)),
    st.tuples(st.just("read"), st.sampled_from(ORDERS)),
)


def apply(step: str, argument: Any, sorted_jobs: SortedJobs, current: dict[str, Job]) -> None:
    if step == "put":
        current[argument.id] = argument
        sorted_jobs.put(argument.id, argument)
    elif step == "remove":
        current.pop(argument, None)
        sorted_jobs.put(argument, None)
    elif step == "replace":
        kept = {name: job for name, job in current.items() if name > "job-2"}
        current.clear()
        current.update(kept | {job.id: job for job in argument})
        sorted_jobs.replace(current)
    else:
        assert sorted_jobs.all(argument) == argument.sort(current.values())


@pytest.mark.parametrize("jobs_per_change", [1, 32])
@settings(max_examples=150, deadline=None)
@given(steps=st.lists(changes, max_size=40))
def test_jobs_are_always_as_if_sorted_anew(jobs_per_change: int, steps: list[tuple[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.jobs.sorted_jobs._JOBS_PER_CHANGE", jobs_per_change)
        sorted_jobs, current = SortedJobs(), dict[str, Job]()
        for step, argument in steps:
            apply(step, argument, sorted_jobs, current)
        for order in ORDERS:
            apply("read", order, sorted_jobs, current)


def test_a_list_that_was_returned_does_not_change() -> None:
    sorted_jobs = SortedJobs()
    sorted_jobs.put("a", Job("a", "", "g"))
    before = sorted_jobs.all(NEWEST_FIRST)
    sorted_jobs.put("b", Job("b", "", "g"))
    sorted_jobs.put("a", None)
    assert ([job.id for job in before], [job.id for job in sorted_jobs.all(NEWEST_FIRST)]) == (["a"], ["b"])


def test_a_change_costs_a_logarithmic_number_of_sort_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter[str]()
    sort_key = JobOrder.sort_key

    def counted(order: JobOrder, job: Job) -> tuple[str, str]:
        counts["keys"] += 1
        return sort_key(order, job)

    monkeypatch.setattr(JobOrder, "sort_key", counted)
    count = 10_000
    sorted_jobs = SortedJobs()
    sorted_jobs.replace({f"job-{n}": Job(f"job-{n}", "", "g", create_time=f"{n:05}") for n in range(count)})
    sorted_jobs.all(NEWEST_FIRST)
    counts.clear()
    sorted_jobs.all(NEWEST_FIRST)
    assert counts["keys"] == 0
    for number in range(0, count, 1000):
        sorted_jobs.put(f"job-{number}", Job(f"job-{number}", "", "g", create_time="x"))
        sorted_jobs.all(NEWEST_FIRST)
    assert counts["keys"] <= 10 * 40


def test_an_order_that_nobody_requests_is_forgotten() -> None:
    sorted_jobs = SortedJobs()
    sorted_jobs.replace({name: Job(name, "", "g") for name in NAMES})
    sorted_jobs.all(NEWEST_FIRST)
    for name in NAMES:
        sorted_jobs.put(name, None)
    assert sorted_jobs._lists == {}
    assert sorted_jobs.all(NEWEST_FIRST) == []


def test_readers_see_each_moment_as_a_whole_while_jobs_change() -> None:
    sorted_jobs, stop, mixed = SortedJobs(), threading.Event(), list[object]()
    generations = [{name: Job(name, "", "g", create_time=str(number)) for name in NAMES} for number in range(2)]
    sorted_jobs.replace(generations[0])

    def read() -> None:
        while not stop.is_set():
            times = {job.create_time for job in sorted_jobs.all(NEWEST_FIRST)}
            if len(times) != 1:
                mixed.append(times)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        sorted_jobs.replace(generations[number % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert mixed == []


def test_a_changed_job_moves_to_its_new_place() -> None:
    sorted_jobs = SortedJobs()
    running = Job("a", "", "g", phase="Running")
    sorted_jobs.replace({"a": running, "b": Job("b", "", "g", phase="Succeeded")})
    by_phase = JobOrder("phase", descending=False)
    assert [job.id for job in sorted_jobs.all(by_phase)] == ["a", "b"]
    sorted_jobs.put("a", replace(running, phase="Succeeding"))
    assert [job.id for job in sorted_jobs.all(by_phase)] == ["b", "a"]
