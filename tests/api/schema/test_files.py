"""`files` over all jobs of a group: as many as PrimeHub gives, without those whose time is over."""

import time

import pytest

from api.retention.record import FOREVER
from api.schema.budget import MAX_FOLDERS
from tests.api.schema.asking import DAY, Api, artifact_status

QUERY = """query ($prefix: String!, $recursive: Boolean = true, $limit: Int) {
  files(where: {groupName: "Team_A", phfsPrefix: $prefix}, options: {recursive: $recursive, limit: $limit}) {
    items { name } } }"""


def names(api: Api, prefix: str = "/jobArtifacts", recursive: bool = True, limit: int = 0) -> list[str]:
    items = api.ask(QUERY, prefix=prefix, recursive=recursive, limit=limit)["files"]["items"]
    return [item["name"] for item in items]


def write(api: Api, job: str, group: str = "team-a") -> None:
    """A job folder with a file and no term of its own."""
    api.store.write(f"groups/{group}/jobArtifacts/{job}/a", b"1")


def test_a_group_of_many_jobs_is_listed_to_the_limit(api: Api) -> None:
    for number in range(MAX_FOLDERS * 3):
        api.add(f"job-{number:03d}", artifact_status=artifact_status())
        write(api, f"job-{number:03d}")
    assert len(names(api)) == MAX_FOLDERS * 3
    assert names(api, "/", limit=2) == ["jobArtifacts/job-000/a", "jobArtifacts/job-001/a"]


def test_jobs_of_which_nothing_is_told_are_looked_into_and_not_too_many(api: Api) -> None:
    for number in range(MAX_FOLDERS):
        api.fill(f"gone-{number:02d}", {"a": b"1"}, expires_in=DAY if number else -DAY)
    write(api, "job-1")
    api.add("job-1", phase="Running", finish_time="")
    assert len(names(api)) == MAX_FOLDERS  # one has expired, one runs
    api.fill("gone-more", {"a": b"1"})
    code, message = api.fail(QUERY, prefix="/jobArtifacts")
    assert (code, "phfsPrefix to /jobArtifacts/<job>" in message) == ("TOO_LARGE", True)
    assert len(names(api, limit=9)) == 9
    assert "gone-more/" in names(api, recursive=False)


@pytest.mark.parametrize("recursive", [True, False])
def test_what_the_phjob_tells_decides_in_a_group(api: Api, recursive: bool) -> None:
    past = int(time.time()) - 60
    api.add("over", artifact_status=artifact_status(expired_at=past))
    api.add("kept", artifact_status=artifact_status())
    api.add("extended", artifact_status=artifact_status(expired_at=past), annotated_expiry=past + DAY)
    api.add("pinned", artifact_status=artifact_status(expired_at=past), annotated_expiry=FOREVER)
    api.add("moved", group="b", artifact_status=artifact_status())
    for job in ("over", "kept", "extended", "pinned", "moved"):
        api.fill(job, {"a": b"1"})
    (api.root / "groups/team-a/jobArtifacts/no job's name").mkdir()
    rest = "a" if recursive else ""
    assert names(api, "/jobArtifacts/", recursive) == [f"{job}/{rest}" for job in ("extended", "kept", "pinned")]


def test_a_group_whose_jobs_are_all_over_has_no_folder(api: Api) -> None:
    api.add("over", artifact_status=artifact_status(expired_at=1))
    write(api, "over")
    assert names(api, "/", recursive=False) == []
