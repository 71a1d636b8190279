"""Who may what, and whose: every operation by every caller on one's own, a foreign and an absent job."""

from typing import Any

import pytest

from api.jobs.job import format_time
from tests.api.schema.asking import DAY, FOREIGN, Api

OK, NOT_FOUND, NOT_AUTH = "ok", "NOT_FOUND", "NOT_AUTH"
WHERE = '{id: "job-b"}'
PAIR = '{groupName: "b", job: "job-b"}'
CREATE = 'mutation { createPhJob(data: {groupId: "b", displayName: "x", command: "true"}) { id } }'

# operation on what belongs to the group b -> what alice (of another group), bob (of b), root (administrator),
# robot (a service) and nobody (of no group) are told
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
def test_who_may_what(api: Api, query: str, user: str) -> None:
    api.add("job-b", group="b")
    api.fill("job-b", {"a": b"1"}, group="b")
    expected = MATRIX[query][USERS.index(user)]
    until = query.replace("UNTIL", format_time(api.clock() + 3 * DAY))
    if expected == OK:
        assert api.ask(until, user)
        return
    code, message = api.fail(until, user)
    assert code == expected
    assert code != NOT_FOUND or message == FOREIGN.format("job-b")


@pytest.mark.parametrize(
    ("user", "seen"),
    [
        ("alice", {"job-1"}),
        ("bob", {"job-b"}),
        ("root", {"job-1", "job-b", "no group"}),
        ("robot", {"job-1", "job-b", "no group"}),
        ("nobody", set()),
    ],
)
def test_lists_show_what_may_be_seen(api: Api, user: str, seen: set[str]) -> None:
    api.add("job-1")
    api.add("job-b", group="b")
    api.add("no group", group="")
    for extra in ("", '(where: {groupId_in: ["b", "Team_A", ""]})', "(where: {groupId_in: []})"):
        found = {job["id"] for job in api.ask(f"{{ phJobs{extra} {{ id artifact {{ state }} }} }}", user)["phJobs"]}
        assert found == seen
        edges = api.ask(f"{{ phJobsConnection{extra} {{ edges {{ node {{ id }} }} }} }}", user)["phJobsConnection"][
            "edges"
        ]
        assert {edge["node"]["id"] for edge in edges} == seen


def test_the_group_of_the_phjob_decides_not_the_one_that_is_named(api: Api) -> None:
    """alice's group holds a folder named like bob's job: neither shows the other's."""
    api.add("job-b", group="b")
    api.fill("job-b", {"mine": b"1"}, group="team-a")
    query = '{ phJobArtifact(where: {groupName: "Team_A", job: "job-b"}) { items { name } } }'
    assert api.fail(query) == ("NOT_FOUND", FOREIGN.format("job-b"))
    files = '{ files(where: {groupName: "Team_A", phfsPrefix: "/jobArtifacts/job-b"}) { items { name } } }'
    assert api.ask(files) == {"files": {"items": []}}


def test_a_job_that_is_gone_is_found_by_its_folder(api: Api) -> None:
    api.fill("gone", {"a": b"1"})
    query = '{ phJobArtifact(where: {groupName: "GROUP", job: "JOB"}) { items { name } state } }'
    for group in ("Team_A", "team-a", "TEAM-A"):
        found = api.ask(query.replace("GROUP", group).replace("JOB", "gone"))["phJobArtifact"]
        assert found == {"items": [{"name": "a"}], "state": "sealed"}
    for job in ("absent", "gon", "gone/../x", "..", ""):
        assert api.fail(query.replace("GROUP", "Team_A").replace("JOB", job))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    "where", ["{}", '{id: "a", job: "b"}', '{groupName: "b"}', '{id: "a", groupName: "b", job: "c"}']
)
def test_a_job_is_named_in_one_way(api: Api, where: str) -> None:
    assert api.fail(f"{{ phJobArtifact(where: {where}) {{ state }} }}")[0] == "BAD_USER_INPUT"


@pytest.mark.parametrize("group", ["../b", "", "a/b", "b\0", "x" * 64, "Ä"])
def test_a_group_that_can_be_none_is_foreign_to_all(api: Api, group: str) -> None:
    query = 'query ($g: String!) { files(where: {groupName: $g, phfsPrefix: "/"}) { prefix } }'
    for user in ("alice", "root"):
        assert api.fail(query, user, g=group)[0] == "NOT_AUTH"


def test_a_group_is_created_in_under_its_own_name(api: Api) -> None:
    query = "mutation ($d: PhJobCreateInput!) { createPhJob(data: $d) { groupName groupId } }"
    made = api.ask(query, d={"groupId": "team-a", "command": "true"})["createPhJob"]
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
def test_what_no_job_can_be_made_of_is_refused(api: Api, data: dict[str, Any]) -> None:
    query = "mutation ($d: PhJobCreateInput!) { createPhJob(data: $d) { id } }"
    assert api.fail(query, d=data)[0] == "BAD_USER_INPUT"
    assert not api.jobs.known
