"""Artifacts that somebody removed from the store by hand: all queries agree, and nobody can extend or pin them."""

import shutil
from typing import Any

import pytest

from api.errors import ServiceUnavailable
from artifacts.report import Count
from tests.api.schema.graphql_api import DAY, Api, artifact_status

WHERE = 'where: {id: "job-1"}'
FIELDS = "state reason message removed collected { files bytes } totalCount totalSize items { name } pinned"
LISTED = "state message removed collected { files bytes } totalCount totalSize"
GONE: dict[str, Any] = {
    "state": "expired", "reason": None, "message": "2 files (3 bytes) were collected and are no longer in the store",
    "removed": True, "collected": {"files": 2, "bytes": 3}, "totalCount": 0, "totalSize": 0, "items": [],
    "pinned": False,
}  # fmt: skip
STORED = GONE | {
    "state": "sealed", "message": None, "removed": False, "totalCount": 2, "totalSize": 3,
    "items": [{"name": "a"}, {"name": "sub/b"}],
}  # fmt: skip


@pytest.fixture
def api(tmp_path: Any) -> Api:
    api = Api(tmp_path / "phfs")
    api.add_job("job-1", artifact_status=artifact_status("sealed", 2, 3))
    api.write_folder("job-1", {"a": b"1", "sub/b": b"12"}, collected=Count(2, 3))
    return api


def single(api: Api) -> Any:
    return api.execute(f"{{ phJob({WHERE}) {{ artifact {{ {FIELDS} }} }} }}")["phJob"]["artifact"]


def listed(api: Api) -> Any:
    return api.execute(f"{{ phJobs {{ artifact {{ {LISTED} }} }} }}")["phJobs"][0]["artifact"]


def remove_folder(api: Api, *, metadata: bool = True) -> None:
    folder = api.root / "groups/team-a/jobArtifacts/job-1"
    if metadata:
        shutil.rmtree(folder)
    else:
        (folder / "a").unlink()
        shutil.rmtree(folder / "sub")


@pytest.mark.parametrize("metadata", [True, False])
def test_a_job_and_the_list_agree_that_the_files_are_gone(api: Api, metadata: bool) -> None:
    assert single(api) == STORED
    assert listed(api) == {name: STORED[name] for name in listed(api)}
    remove_folder(api, metadata=metadata)
    assert single(api) == GONE
    assert listed(api) == {name: GONE[name] for name in listed(api)}
    assert single(api) == GONE


def test_files_that_are_back_are_listed_again(api: Api) -> None:
    remove_folder(api)
    assert single(api) == GONE
    api.write_folder("job-1", {"a": b"1", "sub/b": b"12"}, collected=Count(2, 3))
    assert single(api) == STORED
    assert (listed(api)["state"], listed(api)["removed"]) == ("sealed", False)


def test_files_that_are_still_being_collected_are_not_gone(api: Api) -> None:
    remove_folder(api, metadata=False)
    api.jobs.collecting.add("job-1")
    assert single(api)["removed"] is False
    assert listed(api)["removed"] is False


def test_expired_and_empty_artifacts_are_not_gone(api: Api) -> None:
    api.add_job("empty", artifact_status=artifact_status("empty", 0, 0))
    expected = {"state": "expired", "removed": False}
    api.clock_offset_seconds = 2 * DAY
    remove_folder(api)
    query = '{ phJob(where: {id: "%s"}) { artifact { state removed } } }'
    assert api.execute(query % "job-1")["phJob"]["artifact"] == expected
    assert api.execute(query % "empty")["phJob"]["artifact"]["removed"] is False


def test_a_job_folder_without_a_phjob_can_be_empty_too(api: Api) -> None:
    query = '{ phJobArtifact(where: {groupName: "team-a", job: "job-1"}) { state removed message } }'
    del api.jobs.jobs["job-1"]
    remove_folder(api, metadata=False)
    assert api.execute(query)["phJobArtifact"] == {name: GONE[name] for name in ("state", "removed", "message")}


@pytest.mark.parametrize(
    "change", ['extendPhJobArtifact(WHERE, until: "2100-01-01T00:00:00Z")', "pinPhJobArtifact(WHERE)"]
)
@pytest.mark.parametrize("metadata", [True, False])
def test_artifacts_that_are_gone_cannot_be_kept(api: Api, change: str, metadata: bool) -> None:
    remove_folder(api, metadata=metadata)
    code, message = api.execute_error(f"mutation {{ {change.replace('WHERE', WHERE)} {{ state }} }}")
    assert code == "EXPIRED"
    assert message == f"the artifacts of job-1 cannot be extended or pinned: {GONE['message']}"
    assert list(api.store.list("phjob-artifacts/pins/")) == []
    assert list(api.store.list("phjob-artifacts/extensions/")) == []


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("where", [WHERE, 'where: {groupName: "Team_A", job: "job-1"}'])
def test_deleting_twice_succeeds(api: Api, by_hand: bool, where: str) -> None:
    delete = f"mutation {{ deletePhJobArtifact({where}) {{ files bytes }} }}"
    if by_hand:
        remove_folder(api)
    else:
        assert api.execute(delete)["deletePhJobArtifact"] == {"files": 2, "bytes": 3}
    for _ in range(2):
        assert api.execute(delete)["deletePhJobArtifact"] == {"files": 0, "bytes": 0}
        assert (listed(api)["state"], listed(api)["removed"], listed(api)["totalCount"]) == ("expired", True, 0)
        assert (single(api)["state"], single(api)["removed"], single(api)["collected"]["files"]) == ("expired", True, 2)


def test_deleting_artifacts_of_a_job_without_a_folder_changes_nothing(api: Api) -> None:
    api.add_job("empty", artifact_status=artifact_status("empty", 0, 0))
    delete = "mutation { deletePhJobArtifact(where: {WHERE}) { files bytes } }"
    for where in ('id: "empty"', 'groupName: "Team_A", job: "never-was"'):
        assert api.execute(delete.replace("WHERE", where))["deletePhJobArtifact"] == {"files": 0, "bytes": 0}
    assert api.jobs.annotations == {}
    code, message = api.execute_error(delete.replace("WHERE", 'id: "never-was"'))
    assert (code, message) == ("NOT_FOUND", 'phjobs.primehub.io "never-was" not found')


def test_a_phjob_that_cannot_be_annotated_is_still_reported(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ServiceUnavailable("the API server is down")

    monkeypatch.setattr(api.jobs, "annotate_missing", refuse)
    remove_folder(api)
    assert single(api) == GONE
