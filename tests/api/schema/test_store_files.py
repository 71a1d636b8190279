"""The query `files` over all jobs of a group: it leaves out expired artifacts."""

import time

import pytest

from api.retention.record import FOREVER
from api.schema.budget import MAX_FOLDERS
from tests.api.schema.graphql_api import DAY, Api, artifact_status

QUERY = """query ($prefix: String!, $recursive: Boolean = true, $limit: Int) {
  files(where: {groupName: "Team_A", phfsPrefix: $prefix}, options: {recursive: $recursive, limit: $limit}) {
    items { name } } }"""


def names(api: Api, prefix: str = "/jobArtifacts", recursive: bool = True, limit: int = 0) -> list[str]:
    items = api.execute(QUERY, prefix=prefix, recursive=recursive, limit=limit)["files"]["items"]
    return [item["name"] for item in items]


def write(api: Api, job: str, group: str = "team-a") -> None:
    """Write a job folder with one file and no expiry."""
    api.store.write(f"groups/{group}/jobArtifacts/{job}/a", b"1")


def test_group_with_many_jobs_is_listed_up_to_the_limit(api: Api) -> None:
    for number in range(MAX_FOLDERS * 3):
        api.add_job(f"job-{number:03d}", artifact_status=artifact_status())
        write(api, f"job-{number:03d}")
    assert len(names(api)) == MAX_FOLDERS * 3
    assert names(api, "/", limit=2) == ["jobArtifacts/job-000/a", "jobArtifacts/job-001/a"]


def test_folders_without_status_expiry_are_read_up_to_a_limit(api: Api) -> None:
    for number in range(MAX_FOLDERS):
        api.write_folder(f"gone-{number:02d}", {"a": b"1"}, expires_in=DAY if number else -DAY)
    write(api, "job-1")
    api.add_job("job-1", phase="Running", finish_time="")
    assert len(names(api)) == MAX_FOLDERS  # one has expired and one runs
    api.write_folder("gone-more", {"a": b"1"})
    code, message = api.execute_error(QUERY, prefix="/jobArtifacts")
    assert (code, "phfsPrefix to /jobArtifacts/<job>" in message) == ("TOO_LARGE", True)
    assert len(names(api, limit=9)) == 9
    assert "gone-more/" in names(api, recursive=False)


@pytest.mark.parametrize("recursive", [True, False])
def test_status_expiry_decides_in_group_listings(api: Api, recursive: bool) -> None:
    past = int(time.time()) - 60
    api.add_job("expired", artifact_status=artifact_status(expired_at=past))
    api.add_job("kept", artifact_status=artifact_status())
    api.add_job("extended", artifact_status=artifact_status(expired_at=past), annotated_expiry=past + DAY)
    api.add_job("pinned", artifact_status=artifact_status(expired_at=past), annotated_expiry=FOREVER)
    api.add_job("moved", group="b", artifact_status=artifact_status())
    for job in ("expired", "kept", "extended", "pinned", "moved"):
        api.write_folder(job, {"a": b"1"})
    (api.root / "groups/team-a/jobArtifacts/no job's name").mkdir()
    rest = "a" if recursive else ""
    assert names(api, "/jobArtifacts/", recursive) == [f"{job}/{rest}" for job in ("extended", "kept", "pinned")]


def test_group_with_only_expired_jobs_has_no_folder(api: Api) -> None:
    api.add_job("expired", artifact_status=artifact_status(expired_at=time.time() - DAY))
    write(api, "expired")
    assert names(api, "/", recursive=False) == []
