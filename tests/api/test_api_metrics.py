"""The API's /metrics over HTTP, and the errors that it counts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from api.errors import CODES, ApiError, BadInput
from api.schema import errors as graphql_errors
from tests.api.cleanup.environment import directory_environment
from tests.api.files.download_server import DownloadServer, serving

QUERY = b'{"query": "{ phJob(where: {id: \\"nowhere\\"}) { id } a: me { id } }"}'


@pytest.fixture
def served(tmp_path: Path) -> Iterator[DownloadServer]:
    env = directory_environment(tmp_path / "phfs")
    env.add_phjob("job-1", "team-a")
    with serving(env, tmp_path / "phfs") as served:
        yield served


def errors(served: DownloadServer) -> dict[str, float]:
    """Return the counted errors by code."""
    counts = {code: served.metric("request_errors_total", code=code) for code in (*CODES, "other")}
    return {code: count for code, count in counts.items() if count}


def ask(served: DownloadServer, body: bytes, user: str = "alice") -> int:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    with served.open("/api/graphql", user, "POST", headers, body) as response:
        response.read()
        return response.status


def test_errors_are_counted_by_code_except_for_probes(served: DownloadServer) -> None:
    served.write("a")
    served.get("/nowhere")
    served.get("x", user="")
    served.get("x")
    served.get("/api/graphql")
    ask(served, QUERY)
    ask(served, b'{"query": "{"}')
    ask(served, b'{"query": "{ nothing }"}')
    ask(served, b"[]")
    served.root.rename(served.root.with_name("away"))
    assert served.get("/readyz").status == 503
    assert errors(served) == {
        "NOT_FOUND": 3,
        "UNAUTHENTICATED": 1,
        "other": 1,  # a method that is not allowed
        "GRAPHQL_PARSE_FAILED": 1,
        "GRAPHQL_VALIDATION_FAILED": 1,
        "BAD_USER_INPUT": 1,
    }


def test_every_error_code_has_its_own_label() -> None:
    codes = {ApiError.code, BadInput.code, *(error.code for error in _subclasses(ApiError))}
    codes |= {graphql_errors.PARSE_FAILED, graphql_errors.VALIDATION_FAILED, graphql_errors.BAD_USER_INPUT}
    assert codes == set(CODES)


def _subclasses(of: type[Any]) -> Iterator[type[Any]]:
    for subclass in of.__subclasses__():
        if subclass.__module__.startswith("api."):
            yield subclass
            yield from _subclasses(subclass)


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "application/openmetrics-text; version=x", "\x7f;=,;;"])
def test_metrics_are_plain_text_by_default(served: DownloadServer, accept: str) -> None:
    answer = served.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in read_text(answer.body.decode())}
    assert "phjob_artifact_graphql_seconds" in names
    assert not [name for name in names if name.endswith("_created")]


def test_openmetrics_is_returned_on_request(served: DownloadServer) -> None:
    answer = served.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    families = {family.name: family.type for family in read_openmetrics(answer.body.decode())}  # type: ignore[no-untyped-call]
    assert families["phjob_artifact_build"] == "info"
    assert families["phjob_artifact_downloads"] == "counter"
