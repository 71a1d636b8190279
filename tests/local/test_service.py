"""The API of local mode: the real command, asked as its user would, and as a web site that the user visits would."""

import json
import stat
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest

from local.service import address_file
from tests.local.jobs import PATIENCE_SECONDS, Jobs, wait_for
from tests.local.test_serve import ENDED, serving, stop

CREATE = "mutation($data: PhJobCreateInput!) { createPhJob(data: $data) { id phase } }"
KEEPS = "mkdir -p artifacts/sub; echo hello > artifacts/test.txt; echo hello > artifacts/sub/test.txt"
ORDER = {"displayName": "hello", "groupId": "local", "command": KEEPS}


class Api:
    """The service of a server that runs in `jobs`' data directory."""

    def __init__(self, jobs: Jobs) -> None:
        path = address_file(jobs.data)
        wait_for(path.exists)
        told = json.loads(path.read_text())
        self.host, self.token = told["url"].removeprefix("http://"), told["token"]

    def send(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self.host, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def post(self, query: str, variables: object = None, **headers: str) -> tuple[int, Any]:
        """Ask as JSON, with the token unless the headers say otherwise."""
        given = {"Content_Type": "application/json", "Authorization": f"Bearer {self.token}"} | headers
        body = json.dumps({"query": query, "variables": variables})
        status, answer = self.send("POST", "/api/graphql", body, **{k: v for k, v in given.items() if v})
        return status, json.loads(answer)

    def create(self) -> str:
        status, answer = self.post(CREATE, {"data": ORDER})
        assert status == 200, answer
        job = answer["data"]["createPhJob"]["id"]
        assert isinstance(job, str)
        return job


@pytest.fixture
def api(jobs: Jobs) -> Iterator[Api]:
    with serving(jobs):
        yield Api(jobs)


def no_job_was_made(jobs: Jobs) -> bool:
    return not list((jobs.data / "phjobs").glob("*.json"))


def test_a_job_created_by_graphql_is_run_listed_downloaded_and_deleted(jobs: Jobs, api: Api) -> None:
    job = api.create()
    query = f'{{ phJob(where: {{id: "{job}"}}) {{ phase artifact {{ prefix items {{ name size }} }} }} }}'
    wait_for(lambda: api.post(query)[1]["data"]["phJob"]["phase"] in ENDED)
    found = api.post(query)[1]["data"]["phJob"]
    assert found["phase"] == "Succeeded"
    assert found["artifact"]["prefix"] == f"groups/local/jobArtifacts/{job}"
    assert found["artifact"]["items"] == [{"name": "sub/test.txt", "size": 6}, {"name": "test.txt", "size": 6}]
    path = f"/api/files/groups/local/jobArtifacts/{job}/sub/test.txt"
    assert api.send("GET", path, Authorization=f"Bearer {api.token}") == (200, b"hello\n")
    deleted = f'mutation {{ deletePhJobArtifact(where: {{id: "{job}"}}) {{ files bytes }} }}'
    wait_for(lambda: api.post(deleted)[1].get("data") == {"deletePhJobArtifact": {"files": 2, "bytes": 12}})
    assert api.post(query)[1]["data"]["phJob"]["artifact"]["items"] == []


def test_a_job_is_cancelled_by_graphql(jobs: Jobs, api: Api) -> None:
    order = ORDER | {"command": "sleep 60"}
    job = api.post(CREATE, {"data": order})[1]["data"]["createPhJob"]["id"]
    api.post(f'mutation {{ cancelPhJob(where: {{id: "{job}"}}) {{ id }} }}')
    query = f'{{ phJob(where: {{id: "{job}"}}) {{ phase }} }}'
    wait_for(lambda: api.post(query)[1]["data"]["phJob"]["phase"] == "Cancelled")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer wrong"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8080"},
        {"Authorization": "", "Cookie": "phjob_token=wrong"},
    ],
    ids=["no token", "wrong token", "foreign Origin", "Origin null", "rebound Host", "its port", "wrong cookie"],
)
def test_a_web_site_cannot_run_commands_here(jobs: Jobs, api: Api, headers: dict[str, str]) -> None:
    status, answer = api.post(CREATE, {"data": ORDER}, **headers)
    assert status in (401, 403), answer
    assert no_job_was_made(jobs)


@pytest.mark.parametrize("origin", ["https://evil.example", ""])
def test_a_form_of_a_web_site_cannot_either_though_the_browser_sends_the_cookie(
    jobs: Jobs, api: Api, origin: str
) -> None:
    form = urlencode({"query": CREATE, "variables": json.dumps({"data": ORDER})})
    for content_type in ("application/x-www-form-urlencoded", "text/plain"):
        headers = {"Content_Type": content_type, "Cookie": f"phjob_token={api.token}", "Origin": origin}
        status, _ = api.send("POST", "/api/graphql", form, **{name: text for name, text in headers.items() if text})
        assert status == 403
    assert no_job_was_made(jobs)


def test_the_sdk_s_form_with_the_token_in_its_header_is_answered(api: Api) -> None:
    form = urlencode({"query": CREATE, "variables": json.dumps({"data": ORDER})})
    headers = {"Content_Type": "application/x-www-form-urlencoded", "authorization": f"Bearer {api.token}"}
    status, answer = api.send("POST", "/api/graphql", form, **headers)
    assert status == 200
    assert json.loads(answer)["data"]["createPhJob"]["phase"] == "Pending"


def test_the_user_is_of_every_group_that_has_jobs(jobs: Jobs, api: Api) -> None:
    jobs.queue("true")
    groups = api.post("{ me { isAdmin effectiveGroups { name } } }")[1]["data"]["me"]
    assert groups == {"isAdmin": True, "effectiveGroups": [{"name": "Test_Group"}, {"name": "local"}]}


def test_the_address_is_for_this_user_alone_and_goes_with_the_service(jobs: Jobs) -> None:
    with serving(jobs) as server:
        api = Api(jobs)
        path = address_file(jobs.data)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        said = stop(jobs, server)
        assert not path.exists()
    assert f"http://{api.host}/api/graphql" in said
    assert f"Bearer {api.token}" in said


def test_every_start_has_a_token_of_its_own(jobs: Jobs) -> None:
    tokens = set()
    for _ in range(2):
        with serving(jobs) as server:
            tokens.add(Api(jobs).token)
            stop(jobs, server)
    assert len(tokens) == 2


def test_the_page_s_address_that_is_printed_signs_in(jobs: Jobs) -> None:
    with serving(jobs) as server:
        api = Api(jobs)
        said = stop(jobs, server)
    (address,) = [line.strip() for line in said.splitlines() if line.strip().startswith("http")]
    assert address == f"http://{api.host}/#token={api.token}"
    with serving(jobs):
        api = Api(jobs)
        own = {"Content_Type": "application/json", "Origin": f"http://{api.host}"}
        assert api.send("GET", "/")[0] == 200
        status, answer = api.send("POST", "/api/session", json.dumps({"token": api.token}), **own)
        assert (status, json.loads(answer)["local"]) == (200, True)
        earlier = json.dumps({"token": address.partition("=")[2]})
        assert api.send("POST", "/api/session", earlier, **own)[0] == 401


def test_an_address_that_is_another_service_s_stays(jobs: Jobs) -> None:
    with serving(jobs) as server:
        Api(jobs)
        address_file(jobs.data).write_text("another service's")
        stop(jobs, server)
    assert address_file(jobs.data).read_text() == "another service's"


def test_settings_of_the_service_hold_here_too(jobs: Jobs) -> None:
    settings = {"PHJOB_API_INTROSPECTION": "true", "PHJOB_API_INTROSPECTON": "x"}
    with serving(jobs, **settings) as server:
        status, answer = Api(jobs).post("{ __schema { queryType { name } } }")
        assert (status, answer["data"]) == (200, {"__schema": {"queryType": {"name": "Query"}}})
        said = stop(jobs, server)
    assert "PHJOB_API_INTROSPECTON is no setting" in said
    assert "PHJOB_API_INTROSPECTION is" not in said


def test_a_port_that_is_taken_is_told_with_what_to_do(jobs: Jobs, api: Api) -> None:
    port = api.host.rpartition(":")[2]
    second = jobs.end(jobs.serve(f"--port={port}"))
    assert second.returncode == 2
    assert f"cannot listen on {api.host}: Address already in use. Choose another --port, or 0" in second.stderr


def test_wrong_settings_of_the_cleanup_are_told(jobs: Jobs) -> None:
    ended = jobs.end(jobs.serve(PHJOB_CLEANUP_AT="noon"))
    assert ended.returncode == 2
    assert "PHJOB_CLEANUP_AT='noon'" in ended.stderr
