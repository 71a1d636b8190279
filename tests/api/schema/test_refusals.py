"""What the whole service refuses before GraphQL is reached is told in GraphQL's form there, and in REST's elsewhere."""

import json
from pathlib import Path

import pytest

from tests.api.cleanup.environment import directory_environment
from tests.api.files.download_server import make_app

PORT = 8080
OWN = {"Host": f"localhost:{PORT}", "Content-Type": "application/json"}
REFUSED = {
    "a page of another site": ("POST", {"Origin": "https://evil.example.com"}, 403, "NOT_AUTH"),
    "a name that was made to point here": ("POST", {"Host": "evil.example.com"}, 403, "NOT_AUTH"),
    "GET": ("GET", {}, 405, "METHOD_NOT_ALLOWED"),
    "PUT": ("PUT", {}, 405, "METHOD_NOT_ALLOWED"),
    "no token": ("POST", {}, 401, "UNAUTHENTICATED"),
}


@pytest.mark.parametrize(("method", "headers", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_have_graphqls_form_on_its_path_alone(
    tmp_path: Path, method: str, headers: dict[str, str], status: int, code: str
) -> None:
    client = make_app(directory_environment(tmp_path / "phfs"), PORT).test_client()
    answer = client.open("/api/graphql", method=method, headers=OWN | headers, data=b'{"query": "{ me { id } }"}')
    (error,) = json.loads(answer.data)["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (status, code)
    assert error["message"]
    if status == 405:
        assert "POST" in answer.headers["Allow"]
    elsewhere = client.get("/api/graphql/", headers=OWN | headers)
    assert list(json.loads(elsewhere.data)) == ["error"]
