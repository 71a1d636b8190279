"""The API of local mode, called by its user, and by a web site that the user visits."""

import json
import stat
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest

from local.api_server import address_file
from tests.local.driver import TIMEOUT_SECONDS, JobDriver, wait_for
from tests.local.test_serve import FINAL_PHASES, serving, stop

CREATE = "mutation($data: PhJobCreateInput!) { createPhJob(data: $data) { id phase } }"
WRITES_FILES = "mkdir -p artifacts/sub; echo hello > artifacts/test.txt; echo hello > artifacts/sub/test.txt"
DRAFT = {"displayName": "hello", "groupId": "local", "command": WRITES_FILES}


class LocalApiClient:
    """A client of the server that runs in the data directory of `jobs`."""

    def __init__(self, jobs: JobDriver) -> None:
        path = address_file(jobs.data)
        wait_for(path.exists)
        address = json.loads(path.read_text())
        self.host, self.token = address["url"].removeprefix("http://"), address["token"]

    def send(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; return status and body. "_" in header names becomes "-"."""
        connection = HTTPConnection(self.host, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def post(self, query: str, variables: object = None, **headers: str) -> tuple[int, Any]:
        """Post a GraphQL query as JSON with the token. `headers` override the default ones; "" removes one."""
        merged = {"Content_Type": "application/json", "Authorization": f"Bearer {self.token}"} | headers
        request = json.dumps({"query": query, "variables": variables})
        status, body = self.send("POST", "/api/graphql", request, **{k: v for k, v in merged.items() if v})
        return status, json.loads(body)

    def create(self) -> str:
        """Create a job; return its name."""
        status, answer = self.post(CREATE, {"data": DRAFT})
        assert status == 200, answer
        job = answer["data"]["createPhJob"]["id"]
        assert isinstance(job, str)
        return job


@pytest.fixture
def api(jobs: JobDriver) -> Iterator[LocalApiClient]:
    """A client of a running server."""
    with serving(jobs):
        yield LocalApiClient(jobs)


def has_jobs(jobs: JobDriver) -> bool:
    """Whether the queue has any job."""
    return any((jobs.data / "phjobs").glob("*.json"))


def test_job_created_with_graphql_is_run_listed_downloaded_and_deleted(jobs: JobDriver, api: LocalApiClient) -> None:
    job = api.create()
    query = f'{{ phJob(where: {{id: "{job}"}}) {{ phase artifact {{ prefix items {{ name size }} }} }} }}'
    wait_for(lambda: api.post(query)[1]["data"]["phJob"]["phase"] in FINAL_PHASES)
    found = api.post(query)[1]["data"]["phJob"]
    assert found["phase"] == "Succeeded"
    assert found["artifact"]["prefix"] == f"groups/local/jobArtifacts/{job}"
    assert found["artifact"]["items"] == [{"name": "sub/test.txt", "size": 6}, {"name": "test.txt", "size": 6}]
    path = f"/api/files/groups/local/jobArtifacts/{job}/sub/test.txt"
    assert api.send("GET", path, Authorization=f"Bearer {api.token}") == (200, b"hello\n")
    deleted = f'mutation {{ deletePhJobArtifact(where: {{id: "{job}"}}) {{ files bytes }} }}'
    wait_for(lambda: api.post(deleted)[1].get("data") == {"deletePhJobArtifact": {"files": 2, "bytes": 12}})
    assert api.post(query)[1]["data"]["phJob"]["artifact"]["items"] == []


def test_job_is_cancelled_with_graphql(jobs: JobDriver, api: LocalApiClient) -> None:
    draft = DRAFT | {"command": "sleep 60"}
    job = api.post(CREATE, {"data": draft})[1]["data"]["createPhJob"]["id"]
    api.post(f'mutation {{ cancelPhJob(where: {{id: "{job}"}}) {{ id }} }}')
    query = f'{{ phJob(where: {{id: "{job}"}}) {{ phase }} }}'
    wait_for(lambda: api.post(query)[1]["data"]["phJob"]["phase"] == "Cancelled")


FOREIGN_HEADERS: dict[str, dict[str, str]] = {
    "no token": {"Authorization": ""},
    "wrong token": {"Authorization": "Bearer wrong"},
    "foreign Origin": {"Origin": "https://evil.example"},
    "Origin null": {"Origin": "null"},
    "rebound Host": {"Host": "evil.example"},
    "its port": {"Host": "evil.example:8080"},
    "wrong cookie": {"Authorization": "", "Cookie": "phjob_token=wrong"},
}


def test_web_site_cannot_run_commands(jobs: JobDriver, api: LocalApiClient) -> None:
    for name, headers in FOREIGN_HEADERS.items():
        status, answer = api.post(CREATE, {"data": DRAFT}, **headers)
        assert status in (401, 403), (name, answer)
    form = urlencode({"query": CREATE, "variables": json.dumps({"data": DRAFT})})
    for content_type in ("application/x-www-form-urlencoded", "text/plain"):
        for origin in ({"Origin": "https://evil.example"}, {}):
            headers = {"Content_Type": content_type, "Cookie": f"phjob_token={api.token}", **origin}
            assert api.send("POST", "/api/graphql", form, **headers)[0] == 403, headers
    assert not has_jobs(jobs)
    headers = {"Content_Type": "application/x-www-form-urlencoded", "authorization": f"Bearer {api.token}"}
    status, answer = api.send("POST", "/api/graphql", form, **headers)
    assert status == 200
    assert json.loads(answer)["data"]["createPhJob"]["phase"] == "Pending"


def test_user_belongs_to_every_group_with_jobs(jobs: JobDriver, api: LocalApiClient) -> None:
    jobs.queue("true")
    groups = api.post("{ me { isAdmin effectiveGroups { name } } }")[1]["data"]["me"]
    assert groups == {"isAdmin": True, "effectiveGroups": [{"name": "Test_Group"}, {"name": "local"}]}


def test_printed_address_signs_in_until_the_server_ends(jobs: JobDriver) -> None:
    with serving(jobs) as server:
        api = LocalApiClient(jobs)
        path = address_file(jobs.data)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        output = stop(jobs, server)
        assert not path.exists()
    assert f"http://{api.host}/api/graphql" in output
    assert f"Bearer {api.token}" in output
    (address,) = [line.strip() for line in output.splitlines() if line.strip().startswith("http")]
    assert address == f"http://{api.host}/#token={api.token}"
    with serving(jobs):
        api = LocalApiClient(jobs)
        headers = {"Content_Type": "application/json", "Origin": f"http://{api.host}"}
        assert api.send("GET", "/")[0] == 200
        status, answer = api.send("POST", "/api/session", json.dumps({"token": api.token}), **headers)
        assert (status, json.loads(answer)["local"]) == (200, True)
        expired = json.dumps({"token": address.partition("=")[2]})
        assert api.send("POST", "/api/session", expired, **headers)[0] == 401


def test_address_file_of_another_server_is_not_removed(jobs: JobDriver) -> None:
    with serving(jobs) as server:
        LocalApiClient(jobs)
        address_file(jobs.data).write_text("another service's")
        stop(jobs, server)
    assert address_file(jobs.data).read_text() == "another service's"


def test_api_settings_apply(jobs: JobDriver) -> None:
    settings = {"PHJOB_API_INTROSPECTION": "true", "PHJOB_API_INTROSPECTON": "x"}
    with serving(jobs, **settings) as server:
        status, answer = LocalApiClient(jobs).post("{ __schema { queryType { name } } }")
        assert (status, answer["data"]) == (200, {"__schema": {"queryType": {"name": "Query"}}})
        output = stop(jobs, server)
    assert "PHJOB_API_INTROSPECTON is not a setting" in output
    assert "PHJOB_API_INTROSPECTION is" not in output


def test_used_port_is_reported_with_advice(jobs: JobDriver, api: LocalApiClient) -> None:
    port = api.host.rpartition(":")[2]
    second = jobs.wait(jobs.serve(f"--port={port}"))
    assert second.returncode == 2
    assert f"cannot listen on {api.host}: Address already in use. Choose another --port, or 0" in second.stderr


def test_invalid_cleanup_settings_are_reported(jobs: JobDriver) -> None:
    result = jobs.wait(jobs.serve(PHJOB_CLEANUP_AT="noon"))
    assert result.returncode == 2
    assert "PHJOB_CLEANUP_AT='noon'" in result.stderr
