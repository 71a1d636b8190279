"""The literal queries of PrimeHub's SDK and console."""

import json
import re
import urllib.parse
from typing import Any

import pytest

from api.auth.caller import Caller
from api.monitoring import MAX_BYTES
from tests.api.schema.graphql_api import CALLERS, NOT_FOUND_MESSAGE, Api

JOB_FIELDS = """
    id displayName cancel command groupId groupName schedule image
    instanceType { id name displayName cpuLimit memoryLimit gpuLimit }
    userId userName phase reason message createTime startTime finishTime
"""
SDK_LIST = """
        query ($where: PhJobWhereInput, $page: Int, $orderBy: PhJobOrderByInput) {
          phJobsConnection(where: $where, page: $page, orderBy: $orderBy) {
            pageInfo { totalPage currentPage }
            edges { cursor node { FIELDS } }
          }
        }
""".replace("FIELDS", JOB_FIELDS)
SDK_GET = "query ($where: PhJobWhereUniqueInput!) { phJob(where: $where) { FIELDS } }".replace("FIELDS", JOB_FIELDS)
SDK_ARTIFACTS = """
        query ($where: PhJobWhereUniqueInput!) {
          phJob(where: $where) { artifact { prefix items { name size lastModified } } }
        }
"""
SDK_FILES = """
        query files($where: StoreFileWhereInput!, $options: StoreFileListOptionInput) {
          files(where: $where, options: $options) { phfsPrefix items { name size lastModified } }
        }
"""
SDK_GROUPS = """
        {
          me {
            effectiveGroups {
              id
              name
              displayName
              # user quota
              quotaCpu
              quotaGpu
              quotaMemory
              # group quota
              projectQuotaCpu
              projectQuotaGpu
              projectQuotaMemory
            }
          }
        }
"""
CONSOLE_JOB = """
query phJob($where: PhJobWhereUniqueInput!) {
  phJob(where: $where) {
    ...PhJobInfo artifact { prefix items { name size lastModified __typename } __typename } __typename
  }
}
fragment PhJobInfo on PhJob { FIELDS logEndpoint activeDeadlineSeconds monitoring __typename }
""".replace("FIELDS", JOB_FIELDS)
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def sdk(api: Api, query: str, variables: dict[str, Any], user: str = "alice") -> Any:
    """Send a query like the SDK, which posts a form; return the data."""
    body = urllib.parse.urlencode({"variables": json.dumps(variables), "query": query}).encode()
    status, answer = api.send(body, "application/x-www-form-urlencoded", user)
    assert status == 200, answer
    assert "errors" not in answer, answer
    return answer["data"]


def test_sdk_lists_jobs_until_a_page_is_empty(api: Api) -> None:
    for number in range(12):
        api.add_job(f"job-{number}", instance_type="cpu-1")
    api.add_job("job-foreign", group="b")
    found = []
    for page in (1, 2, 3):
        jobs = sdk(api, SDK_LIST, {"where": {"groupId_in": ["Team_A"]}, "page": page})["phJobsConnection"]
        assert jobs["pageInfo"] == {"totalPage": 2, "currentPage": page}
        found += [edge["node"]["id"] for edge in jobs["edges"]]
    assert sorted(found) == sorted(f"job-{number}" for number in range(12))


def test_sdk_gets_a_job_with_all_fields(api: Api) -> None:
    api.add_job(
        "job-1", display_name="train", command="python train.py", instance_type="gpu", user_id="1", user_name="alice"
    )
    job = sdk(api, SDK_GET, {"where": {"id": "job-1"}})["phJob"]
    assert job["instanceType"] == {
        "id": "gpu", "name": "gpu", "displayName": "gpu", "cpuLimit": None, "memoryLimit": None, "gpuLimit": None,
    }  # fmt: skip
    assert (job["groupId"], job["groupName"], job["cancel"], job["startTime"]) == ("Team_A", "Team_A", False, None)


def test_sdk_lists_artifacts_with_their_prefix(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a.txt": b"12345", "sub/test.txt": b"x"})
    artifact = sdk(api, SDK_ARTIFACTS, {"where": {"id": "job-1"}})["phJob"]["artifact"]
    assert artifact["prefix"] == "groups/team-a/jobArtifacts/job-1"
    assert [(item["name"], item["size"]) for item in artifact["items"]] == [("a.txt", 5), ("sub/test.txt", 1)]
    assert all(re.fullmatch(TIME, item["lastModified"]) for item in artifact["items"])
    assert all(type(item["size"]) is int for item in artifact["items"])


def test_sdk_builds_download_paths_from_listed_names(api: Api) -> None:
    """The SDK concatenates the requested path and each name."""
    api.write_folder("job-1", {"a.txt": b"12345", "sub/deep/b.txt": b"x"})
    where = {"phfsPrefix": "/jobArtifacts/job-1", "groupName": "Team_A"}
    items = sdk(api, SDK_FILES, {"where": where, "options": {"recursive": True, "limit": 1000}})["files"]["items"]
    paths = ["groups/team-a" + where["phfsPrefix"] + item["name"] for item in items]
    assert [api.store.stat(path).size for path in paths] == [5, 1]


def test_sdk_distinguishes_files_from_folders(api: Api) -> None:
    """A file has no items without `recursive`; with `recursive`, its name is empty."""
    api.write_folder("job-1", {"a.txt": b"12345"})

    def names(path: str, recursive: bool) -> list[str]:
        where = {"phfsPrefix": path, "groupName": "Team_A"}
        answer = sdk(api, SDK_FILES, {"where": where, "options": {"recursive": recursive, "limit": 1}})
        return [item["name"] for item in answer["files"]["items"]]

    assert names("/jobArtifacts/job-1", recursive=False) == ["a.txt"]
    assert names("/jobArtifacts/job-1/a.txt", recursive=False) == []
    assert names("/jobArtifacts/job-1/a.txt", recursive=True) == [""]
    assert names("/jobArtifacts/job-1/none", recursive=True) == []
    assert names("/", recursive=False) == ["jobArtifacts/"]
    assert names("/jobArtifacts", recursive=False) == ["job-1/"]


def test_sdk_finds_its_group(api: Api) -> None:
    (group, other) = sdk(api, SDK_GROUPS, {})["me"]["effectiveGroups"]
    assert (group["id"], group["name"], group["displayName"]) == ("Team_A", "Team_A", "Team_A")
    assert other["name"] == "other"


def test_sdk_submits_reruns_and_cancels_jobs(api: Api) -> None:
    data = {"displayName": "x", "groupId": "Team_A", "instanceType": "cpu-1", "image": "base", "command": "true"}
    create = "mutation ($data: PhJobCreateInput!) { createPhJob(data: $data) { id displayName groupName userName } }"
    made = sdk(api, create, {"data": data})["createPhJob"]
    assert (made["groupName"], made["userName"]) == ("Team_A", "alice")
    rerun = "mutation ($where: PhJobWhereUniqueInput!) { rerunPhJob(where: $where) { id command image } }"
    again = sdk(api, rerun, {"where": {"id": made["id"]}})["rerunPhJob"]
    assert again["id"] != made["id"]
    assert (again["command"], again["image"]) == ("true", "base")
    cancel = "mutation ($where: PhJobWhereUniqueInput!) { cancelPhJob(where: $where) { id } }"
    assert sdk(api, cancel, {"where": {"id": made["id"]}}) == {"cancelPhJob": {"id": made["id"]}}
    assert api.jobs.cancelled == [made["id"]]


def test_console_query_returns_a_job_with_artifacts(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a.txt": b"12345"})
    job = api.execute(CONSOLE_JOB, where={"id": "job-1"})["phJob"]
    assert job["artifact"]["items"][0]["__typename"] == "PhJobArtifactItem"
    assert (job["logEndpoint"], job["monitoring"], job["__typename"]) == (None, None, "PhJob")


MONITORING = ".metadata/monitoring"
MONITORED = b'{"spec":{"mem_total":7,"GPU":null},"datasets":{"15m":[{"timestamp":1,"cpu_util":2,"mem_used":3}]}}'


def test_monitoring_is_what_primehubs_agent_wrote(api: Api) -> None:
    api.add_job("job-1")
    prefix = api.write_folder("job-1", {"a.txt": b"12345", MONITORING: MONITORED})
    job = api.execute(CONSOLE_JOB, where={"id": "job-1"})["phJob"]
    assert [item["name"] for item in job["artifact"]["items"]] == ["a.txt"]
    assert job["monitoring"] == {
        "spec": {"mem_total": 7, "GPU": []},
        "datasets": {
            "15m": [{"timestamp": 1, "cpu_util": 2, "mem_used": 3, "GPU": []}],
            "1h": [],
            "3h": [],
            "lifetime": [],
        },
    }
    assert api.execute("{ phJobs { monitoring } }")["phJobs"] == [{"monitoring": None}]
    api.store.write(prefix + MONITORING, b"<html>")
    assert api.execute(CONSOLE_JOB, where={"id": "job-1"})["phJob"]["monitoring"] is None


def test_monitoring_of_expired_jobs_is_not_served(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {MONITORING: MONITORED}, expires_in=-1)
    assert api.execute(CONSOLE_JOB, where={"id": "job-1"})["phJob"]["monitoring"] is None


def test_monitoring_is_no_link_and_no_folder(api: Api) -> None:
    for job in ("job-1", "job-2"):
        api.add_job(job)
        path = api.root / api.write_folder(job, {".metadata/valid": MONITORED}) / MONITORING
        if job == "job-1":
            path.mkdir()
        else:
            path.symlink_to("valid")
        assert api.execute(CONSOLE_JOB, where={"id": job})["phJob"]["monitoring"] is None


def test_monitoring_of_many_jobs_is_limited(api: Api) -> None:
    for number in range(8):
        api.add_job(f"job-{number}")
        api.write_folder(f"job-{number}", {MONITORING: b"[" + b" " * (MAX_BYTES - 2) + b"]"})
    fields = " ".join(f'j{number}: phJob(where: {{id: "job-{number}"}}) {{ monitoring }}' for number in range(8))
    status, answer = api.send(json.dumps({"query": f"{{ {fields} }}"}).encode(), "application/json", "alice")
    assert status == 200
    assert {tuple(error["path"]) for error in answer["errors"]} == {
        (f"j{number}", "monitoring") for number in range(2, 8)
    }


def test_events_of_primehubs_controller_are_accepted(api: Api) -> None:
    query = "mutation ($data: PhJobNotifyEventInput!) { notifyPhJobEvent (data: $data) }"
    assert api.execute(query, "robot", data={"id": "job-1", "type": "Succeeded"}) == {"notifyPhJobEvent": 0}


def test_listed_jobs_have_their_own_artifacts(api: Api) -> None:
    for name in ("job-1", "job-10"):
        api.add_job(name)
        api.write_folder(name, {f"{name}.txt": b"x"})
    query = "{ phJobs { id artifact { prefix items { name } } } }"
    shown = {job["id"]: [item["name"] for item in job["artifact"]["items"]] for job in api.execute(query)["phJobs"]}
    assert shown == {"job-1": ["job-1.txt"], "job-10": ["job-10.txt"]}


@pytest.mark.parametrize("job", ["absent", "of-b", "with\nline", "Upper", "x" * 300])
def test_absent_and_foreign_jobs_have_the_same_error(api: Api, job: str) -> None:
    api.add_job("of-b", group="b")
    code, message = api.execute_error(SDK_GET, where={"id": job})
    assert (code, message) == ("NOT_FOUND", NOT_FOUND_MESSAGE.format(job[:253]))


def test_sizes_over_2_gib_are_returned(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"large": b""})
    with (api.root / "groups/team-a/jobArtifacts/job-1/large").open("wb") as file:
        file.truncate(4 * 2**30 + 5)
    query = """{ phJob(where: {id: "job-1"}) { artifact { totalSize items { size } } }
                 files(where: {groupName: "Team_A", phfsPrefix: "/jobArtifacts/job-1"}) { items { size } } }"""
    data = api.execute(query)
    assert data["phJob"]["artifact"] == {"totalSize": 4294967301, "items": [{"size": 4294967301}]}
    assert data["files"] == {"items": [{"size": 4294967301}]}


def test_cancel_of_an_ended_job_changes_nothing(api: Api) -> None:
    api.add_job("job-1")
    api.add_job("job-2", phase="Running", finish_time="")
    for job in ("job-1", "job-2"):
        assert api.execute(f'mutation {{ cancelPhJob(where: {{id: "{job}"}}) {{ id }} }}') == {
            "cancelPhJob": {"id": job}
        }
    assert api.jobs.cancelled == ["job-2"]


def test_job_is_created_in_the_group_with_the_exact_name(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CALLERS, "both", Caller("9", "both", ["A_b", "a-b"]))
    for requested, group in (("a-b", "a-b"), ("A_b", "A_b"), ("A-B", "A_b")):
        query = f'mutation {{ createPhJob(data: {{groupId: "{requested}", command: "true"}}) {{ groupName }} }}'
        assert api.execute(query, "both") == {"createPhJob": {"groupName": group}}


def test_a_job_and_its_rerun_have_the_whole_command(api: Api) -> None:
    whole = "echo 1; " * 1000
    api.add_job("job-1", command="echo 1; ...", is_shortened=True)
    api.jobs.commands["job-1"] = whole
    assert api.execute('{ phJob(where: {id: "job-1"}) { command } }')["phJob"]["command"] == whole
    assert api.execute("{ phJobs { command } }")["phJobs"] == [{"command": "echo 1; ..."}]
    made = api.execute('mutation { rerunPhJob(where: {id: "job-1"}) { command } }')
    assert made["rerunPhJob"]["command"] == whole
