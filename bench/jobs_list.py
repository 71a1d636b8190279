"""Measures the processor time of requests for the list of jobs, by the number of PhJobs.

One PhJob changes before each request, as on a busy cluster. The caller is in nine of ten groups.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from api.auth.caller import Caller
from api.jobs.job import ArtifactStatus, Job, format_time
from bench.graphql import Serve, graphql_app, services_of, serving
from bench.jobs import EndedJobs
from bench.stores import Disk
from bench.table import Row, value_row

COUNTS = (1_000, 10_000, 50_000)
_NOW = 1_800_000_000.0
_GROUPS = tuple(f"group-{number}" for number in range(10))
_CALLER = Caller("1", "bench", _GROUPS[1:])
_LIST = """{ phJobsConnection(%s) { pageInfo { hasNextPage endCursor totalPage } edges { cursor node {
  id displayName groupName userName phase createTime finishTime artifact { state totalCount totalSize } } } } }"""
_FIRST_PAGE_MS, _ID_MS = 30, 10


def rows(_: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    for count in COUNTS:
        name = f"jobs list, {count:,} PhJobs, CPU time:"
        if is_selected(name):
            yield from _measure(name, count, 10 if quick else 50)


def _measure(name: str, count: int, rounds: int) -> Iterator[Row]:
    jobs = [_job(number) for number in range(count)]
    source = EndedJobs(jobs)
    app = graphql_app(services_of(source), _CALLER)
    page = json.loads(serving(app, _LIST % "page: 50")())["data"]["phJobsConnection"]
    cursor = page["edges"][-1]["cursor"]
    for title, arguments, goal in (
        ("first page", "", _FIRST_PAGE_MS),
        ("page after a cursor", f'first: 10, after: "{cursor}"', _FIRST_PAGE_MS),
        ("search", 'where: {search: "7"}', None),
        ("where: {id}", f'where: {{id: "{jobs[1].id}"}}', _ID_MS),
    ):
        serve = serving(app, _LIST % arguments if arguments else _LIST.replace("(%s)", ""))
        yield value_row(f"{name} {title}", _request(serve, source, jobs, rounds), " ms", goal)


def _request(serve: Serve, source: EndedJobs, jobs: list[Job], rounds: int) -> list[float]:
    """Return the processor milliseconds of each request."""
    milliseconds = []
    serve()
    for number in range(rounds):
        changed = jobs[number * 997 % len(jobs)]
        source.change(replace(changed, cancel=bool(number % 2)))
        started = time.process_time()
        serve()
        milliseconds.append((time.process_time() - started) * 1000)
    return milliseconds


def _job(number: int) -> Job:
    status = ArtifactStatus("sealed", 12, 3456, int(_NOW + 86400))
    times: dict[str, Any] = {"create_time": format_time(_NOW - 60 * number), "finish_time": format_time(_NOW)}
    return Job(
        f"job-{number}",
        "uid",
        _GROUPS[number % len(_GROUPS)],
        display_name=f"Job {number}",
        user_name="bench",
        phase="Succeeded",
        artifact_status=status,
        **times,
    )
