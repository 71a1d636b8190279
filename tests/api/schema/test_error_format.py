"""Errors that occur before GraphQL have GraphQL's format on its path, and REST's format on other paths."""

import json
from pathlib import Path

import pytest

from tests.api.cleanup.environment import directory_environment
from tests.api.files.download_server import make_app

PORT = 8080
HEADERS = {"Host": f"localhost:{PORT}", "Content-Type": "application/json"}
REFUSALS = {
    "a foreign Origin": ("POST", {"Origin": "https://evil.example.com"}, 403, "NOT_AUTH"),
    "a rebound Host": ("POST", {"Host": "evil.example.com"}, 403, "NOT_AUTH"),
    "GET": ("GET", {}, 405, "METHOD_NOT_ALLOWED"),
    "PUT": ("PUT", {}, 405, "METHOD_NOT_ALLOWED"),
    "no token": ("POST", {}, 401, "UNAUTHENTICATED"),
}


@pytest.mark.parametrize(("method", "headers", "status", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_have_graphql_format_only_on_the_graphql_path(
    tmp_path: Path, method: str, headers: dict[str, str], status: int, code: str
) -> None:
    client = make_app(directory_environment(tmp_path / "phfs"), PORT).test_client()
    answer = client.open("/api/graphql", method=method, headers=HEADERS | headers, data=b'{"query": "{ me { id } }"}')
    (error,) = json.loads(answer.data)["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code)
    assert error["message"]
    if status == 405:
        assert "POST" in answer.headers["Allow"]
    elsewhere = client.get("/api/graphql/", headers=HEADERS | headers)
    assert list(json.loads(elsewhere.data)) == ["error"]
