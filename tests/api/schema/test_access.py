"""Access rights: every operation by every kind of caller on own, foreign and absent jobs."""

from typing import Any

import pytest

from api.jobs.job import format_time
from tests.api.schema.graphql_api import DAY, NOT_FOUND_MESSAGE, Api

OK, NOT_FOUND, NOT_AUTH = "ok", "NOT_FOUND", "NOT_AUTH"
WHERE = '{id: "job-b"}'
PAIR = '{groupName: "b", job: "job-b"}'
CREATE = 'mutation { createPhJob(data: {groupId: "b", displayName: "x", command: "true"}) { id } }'

# Operation on the group b -> result for alice (member of another group), bob (member of b), root (administrator),
# robot (service) and nobody (member of no group)
MATRIX = {
    f"{{ phJob(where: {WHERE}) {{ id }} }}": (NOT_FOUND, OK, OK, OK, NOT_FOUND),
    f"{{ phJobArtifact(where: {WHERE}) {{ prefix items {{ name }} }} }}": (NOT_FOUND, OK, OK, OK, NOT_FOUND),
    f"{{ phJobArtifact(where: {PAIR}) {{ prefix items {{ name }} }} }}": (NOT_FOUND, OK, OK, OK, NOT_FOUND),
    '{ files(where: {groupName: "b", phfsPrefix: "/"}) { prefix } }': (NOT_AUTH, OK, OK, OK, NOT_AUTH),
    '{ phJobArtifactUsage(groupName: "b") { files } }': (NOT_AUTH, OK, OK, OK, NOT_AUTH),
    '{ phJobArtifactCleanup(groupName: "b") { lookedAt } }': (NOT_AUTH, OK, OK, OK, NOT_AUTH),
    CREATE: (NOT_AUTH, OK, OK, NOT_AUTH, NOT_AUTH),
    f"mutation {{ rerunPhJob(where: {WHERE}) {{ id }} }}": (NOT_FOUND, OK, OK, NOT_AUTH, NOT_FOUND),
    f"mutation {{ cancelPhJob(where: {WHERE}) {{ id }} }}": (NOT_FOUND, OK, OK, NOT_AUTH, NOT_FOUND),
    f"mutation {{ pinPhJobArtifact(where: {WHERE}) {{ pinned }} }}": (NOT_FOUND, OK, OK, NOT_AUTH, NOT_FOUND),
    f"mutation {{ unpinPhJobArtifact(where: {PAIR}) {{ pinned }} }}": (NOT_FOUND, OK, OK, NOT_AUTH, NOT_FOUND),
    f'mutation {{ extendPhJobArtifact(where: {WHERE}, until: "UNTIL") {{ prefix }} }}': (
        NOT_FOUND, OK, OK, NOT_AUTH, NOT_FOUND,
    ),
    f"mutation {{ deletePhJobArtifact(where: {WHERE}) {{ files }} }}": (NOT_FOUND, OK, OK, NOT_AUTH, NOT_FOUND),
    "mutation { cleanupPhJobArtifact }": (OK, OK, OK, NOT_AUTH, OK),
    "mutation { cleanupPhJobArtifact(force: true) }": (NOT_AUTH, NOT_AUTH, OK, NOT_AUTH, NOT_AUTH),
    "{ me { id } }": (OK, OK, OK, OK, OK),
}  # fmt: skip
USERS = ("alice", "bob", "root", "robot", "nobody")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("query", MATRIX)
def test_access_matrix(api: Api, query: str, user: str) -> None:
    api.add_job("job-b", group="b")
    api.write_folder("job-b", {"a": b"1"}, group="b")
    expected = MATRIX[query][USERS.index(user)]
    until = query.replace("UNTIL", format_time(api.clock() + 3 * DAY))
    if expected == OK:
        assert api.execute(until, user)
        return
    code, message = api.execute_error(until, user)
    assert code == expected
    assert code != NOT_FOUND or message == NOT_FOUND_MESSAGE.format("job-b")


@pytest.mark.parametrize(
    ("user", "visible"),
    [
        ("alice", {"job-1"}),
        ("bob", {"job-b"}),
        ("root", {"job-1", "job-b", "no group"}),
        ("robot", {"job-1", "job-b", "no group"}),
        ("nobody", set()),
    ],
)
def test_lists_have_only_visible_jobs(api: Api, user: str, visible: set[str]) -> None:
    api.add_job("job-1")
    api.add_job("job-b", group="b")
    api.add_job("no group", group="")
    for extra in ("", '(where: {groupId_in: ["b", "Team_A", ""]})', "(where: {groupId_in: []})"):
        found = {job["id"] for job in api.execute(f"{{ phJobs{extra} {{ id artifact {{ state }} }} }}", user)["phJobs"]}
        assert found == visible
        edges = api.execute(f"{{ phJobsConnection{extra} {{ edges {{ node {{ id }} }} }} }}", user)["phJobsConnection"][
            "edges"
        ]
        assert {edge["node"]["id"] for edge in edges} == visible


def test_phjobs_group_decides_instead_of_the_named_group(api: Api) -> None:
    """alice's group has a folder with the name of bob's job: neither user sees the other's files."""
    api.add_job("job-b", group="b")
    api.write_folder("job-b", {"mine": b"1"}, group="team-a")
    query = '{ phJobArtifact(where: {groupName: "Team_A", job: "job-b"}) { items { name } } }'
    assert api.execute_error(query) == ("NOT_FOUND", NOT_FOUND_MESSAGE.format("job-b"))
    files = '{ files(where: {groupName: "Team_A", phfsPrefix: "/jobArtifacts/job-b"}) { items { name } } }'
    assert api.execute(files) == {"files": {"items": []}}


def test_folder_of_a_deleted_phjob_is_found(api: Api) -> None:
    api.write_folder("gone", {"a": b"1"})
    query = '{ phJobArtifact(where: {groupName: "GROUP", job: "JOB"}) { items { name } state } }'
    for group in ("Team_A", "team-a", "TEAM-A"):
        found = api.execute(query.replace("GROUP", group).replace("JOB", "gone"))["phJobArtifact"]
        assert found == {"items": [{"name": "a"}], "state": "sealed"}
    for job in ("absent", "gon", "gone/../x", "..", ""):
        assert api.execute_error(query.replace("GROUP", "Team_A").replace("JOB", job))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    "where", ["{}", '{id: "a", job: "b"}', '{groupName: "b"}', '{id: "a", groupName: "b", job: "c"}']
)
def test_where_must_have_either_id_or_group_and_job(api: Api, where: str) -> None:
    assert api.execute_error(f"{{ phJobArtifact(where: {where}) {{ state }} }}")[0] == "BAD_USER_INPUT"


@pytest.mark.parametrize("group", ["../b", "", "a/b", "b\0", "x" * 64, "Ä"])
def test_invalid_group_name_is_not_authorized(api: Api, group: str) -> None:
    query = 'query ($g: String!) { files(where: {groupName: $g, phfsPrefix: "/"}) { prefix } }'
    for user in ("alice", "root"):
        assert api.execute_error(query, user, g=group)[0] == "NOT_AUTH"


def test_created_job_has_the_groups_own_name(api: Api) -> None:
    query = "mutation ($d: PhJobCreateInput!) { createPhJob(data: $d) { groupName groupId } }"
    made = api.execute(query, d={"groupId": "team-a", "command": "true"})["createPhJob"]
    assert made == {"groupName": "Team_A", "groupId": "Team_A"}


@pytest.mark.parametrize(
    "data",
    [
        {"command": "true"},
        {"groupId": "Team_A"},
        {"groupId": "Team_A", "command": " \n"},
        {"groupId": "Team_A", "command": "a\0b"},
        {"groupId": "Team_A", "command": "true", "image": "a\nb"},
        {"groupId": "Team_A", "command": "true", "displayName": "x" * 2000},
        {"groupId": "Team_A", "command": "true", "activeDeadlineSeconds": 0},
    ],
)
def test_invalid_drafts_are_refused(api: Api, data: dict[str, Any]) -> None:
    query = "mutation ($d: PhJobCreateInput!) { createPhJob(data: $d) { id } }"
    assert api.execute_error(query, d=data)[0] == "BAD_USER_INPUT"
    assert not api.jobs.jobs
