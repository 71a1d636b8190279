"""What became of a job's artifacts: state, report, term, and what a list of jobs tells without asking the store."""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest

from api.jobs.job import ArtifactStatus, format_time
from api.retention.record import FOREVER
from api.schema.budget import MAX_FOLDERS
from api.store.store import Item
from artifacts.errors import StoreError
from artifacts.layout import REPORT
from artifacts.report import Count, Skipped
from tests.api.schema.asking import DAY, ENDED, Api, artifact_status

ARTIFACT = '{ phJob(where: {id: "job-1"}) { artifact { FIELDS } } }'


def shown(api: Api, fields: str) -> Any:
    return api.ask(ARTIFACT.replace("FIELDS", fields))["phJob"]["artifact"]


def test_the_report_is_shown_as_it_is(api: Api) -> None:
    api.add("job-1")
    skipped = {"broken_link": Skipped(2, 0, ["a", "b"], "No such file")}
    api.fill(
        "job-1", {"a": b"1"}, message="All is kept.", found=Count(3, 2**40), collected=Count(1, 1), skipped=skipped,
        unstable=["log"], main={"exitCode": 7, "reason": "Error"}, pod_uid="uid", version="0.1.0", limit_files=1000,
    )  # fmt: skip
    assert shown(
        api,
        """report { state message startedAt sealedAt limitFiles limitExceeded found { files bytes } inPlace { files }
           skipped { reason explanation files bytes detail paths } unstable main { exitCode signal reason }
           podUid collectorVersion }""",
    )["report"] == {
        "state": "sealed",
        "message": "All is kept.",
        "startedAt": format_time(ENDED),
        "sealedAt": format_time(ENDED),
        "limitFiles": 1000,
        "limitExceeded": False,
        "found": {"files": 3, "bytes": 2**40},
        "inPlace": {"files": 0},
        "skipped": [
            {
                "reason": "broken_link", "explanation": "links to targets that do not exist", "files": 2, "bytes": 0,
                "detail": "No such file", "paths": ["a", "b"],
            }
        ],
        "unstable": ["log"],
        "main": {"exitCode": 7, "signal": None, "reason": "Error"},
        "podUid": "uid",
        "collectorVersion": "0.1.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 10_000, b"\xff", b'{"version": 1, "state": "grand"}', b"{" * 2**21]
)
def test_a_report_that_is_none_is_null(api: Api, content: bytes) -> None:
    api.add("job-1", artifact_status=artifact_status("sealed"))
    prefix = api.fill("job-1", {"a": b"1"})
    api.store.write(prefix + REPORT, content)
    assert shown(api, "state report { state } items { name }") == {
        "state": "sealed",  # the PhJob's status tells it
        "report": None,
        "items": [{"name": "a"}],
    }


@pytest.mark.parametrize(
    ("phase", "is_collecting", "state", "sealed_at", "told"),
    [
        ("Running", True, "syncing", 0, "syncing"),
        ("Succeeded", True, "syncing", 0, "syncing"),
        ("Succeeded", False, "syncing", 0, "incomplete"),
        ("Failed", True, "incomplete", 0, "incomplete"),
        ("Failed", False, "incomplete", ENDED, "incomplete"),
        ("Succeeded", False, "sealed", ENDED, "sealed"),
        ("Succeeded", False, "rejected", ENDED, "rejected"),
    ],
)
def test_a_report_that_nobody_goes_on_with_is_told_as_incomplete(
    api: Api, phase: str, is_collecting: bool, state: str, sealed_at: float, told: str
) -> None:
    api.add("job-1", phase=phase)
    api.jobs.collecting = {"job-1"} if is_collecting else set()
    api.fill("job-1", {"a": b"1"}, state=state, sealed_at=sealed_at)
    assert shown(api, "state report { state }") == {"state": told, "report": {"state": state}}


def test_a_report_of_a_job_that_is_gone_is_told_as_incomplete_where_it_was_not_sealed(api: Api) -> None:
    api.fill("job-1", {"a": b"1"}, state="syncing")
    query = '{ phJobArtifact(where: {groupName: "Team_A", job: "job-1"}) { state } }'
    assert api.ask(query)["phJobArtifact"] == {"state": "incomplete"}


def test_a_job_that_left_nothing_has_no_artifacts(api: Api) -> None:
    api.add("job-1", artifact_status=artifact_status("empty", 0, 0, 0))
    api.add("job-2")
    fields = """state items { name } totalCount totalSize report { state } downloadUrl
                itemsConnection { totalCount nodes { name } }"""
    nothing = {"items": [], "totalCount": 0, "totalSize": 0, "report": None, "downloadUrl": None}
    nothing |= {"itemsConnection": {"totalCount": 0, "nodes": []}}
    assert shown(api, fields) == nothing | {"state": "empty"}
    assert shown(api, fields.replace("job-1", "job-2")) == nothing | {"state": "empty"}


def test_why_the_controller_knows_of_no_artifacts_is_told(api: Api) -> None:
    told = {"state": "not-injected", "reason": "webhook", "message": "the webhook was not asked"}
    api.add("job-1", artifact_status=ArtifactStatus(files=0, bytes=0, expired_at=0, **told))
    assert shown(api, "state reason message") == told
    listed = api.ask("{ phJobs { artifact { state reason message } } }")["phJobs"]
    assert listed == [{"artifact": told}]


def test_a_report_is_not_explained_by_what_the_status_tells_of_another_state(api: Api) -> None:
    api.add(
        "job-1", artifact_status=dataclasses.replace(artifact_status("unknown", 0, 0, 0), message="its pod was gone")
    )
    api.fill("job-1", {"a": b"1"}, state="sealed")
    assert shown(api, "state reason message") == {"state": "sealed", "reason": None, "message": None}


def test_expired_artifacts_are_shown_no_more(api: Api) -> None:
    api.add("job-1")
    api.fill("job-1", {"a": b"1"}, expires_in=DAY)
    fields = (
        "state items { name } totalCount totalSize expiredAt itemsConnection { totalCount nodes { name } } downloadUrl"
    )
    assert shown(api, fields)["items"] == [{"name": "a"}]
    api.ahead = 2 * DAY
    expired = shown(api, fields)
    assert expired.pop("expiredAt") < format_time(api.clock())
    assert expired == {
        "state": "expired", "items": [], "totalCount": 0, "totalSize": 0,
        "itemsConnection": {"totalCount": 0, "nodes": []}, "downloadUrl": None,
    }  # fmt: skip
    files = (
        '{ files(where: {groupName: "Team_A", phfsPrefix: "PREFIX"}, options: {recursive: true}) { items { name } } }'
    )
    for prefix in ("/", "/jobArtifacts/job-1", "/jobArtifacts/job-1/a"):
        assert api.ask(files.replace("PREFIX", prefix)) == {"files": {"items": []}}


def test_a_pin_keeps_artifacts_and_says_who_and_why(api: Api) -> None:
    api.add("job-1")
    api.fill("job-1", {"a": b"1"})
    fields = "pinned pinnedBy pinnedAt note expiredAt state"
    pinned = api.ask(f'mutation {{ pinPhJobArtifact(where: {{id: "job-1"}}, note: "for the paper") {{ {fields} }} }}')
    told = pinned["pinPhJobArtifact"]
    assert (told["pinned"], told["pinnedBy"], told["note"], told["expiredAt"]) == (True, "alice", "for the paper", None)
    api.ahead = 300 * DAY
    assert shown(api, "items { name } state") == {"items": [{"name": "a"}], "state": "sealed"}
    unpinned = api.ask(f'mutation {{ unpinPhJobArtifact(where: {{id: "job-1"}}) {{ {fields} }} }}')[
        "unpinPhJobArtifact"
    ]
    assert unpinned["pinned"] is False
    assert unpinned["expiredAt"] > format_time(api.clock())


def test_an_extension_is_kept(api: Api) -> None:
    api.add("job-1")
    api.fill("job-1", {"a": b"1"})
    until = format_time(api.clock() + 3 * DAY)
    query = 'mutation ($until: String!) { extendPhJobArtifact(where: {id: "job-1"}, until: $until) { expiredAt } }'
    assert api.ask(query, until=until) == {"extendPhJobArtifact": {"expiredAt": until}}
    assert api.jobs.notes["job-1"] > 0
    for wrong in ("tomorrow", "", "2001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"):
        assert api.fail(query, until=wrong)[0] == "BAD_USER_INPUT"


def test_deleting_is_refused_until_the_sidecar_has_ended(api: Api) -> None:
    api.add("job-1")
    prefix = api.fill("job-1", {"a": b"12345", "b": b"1"})
    query = 'mutation { deletePhJobArtifact(where: {id: "job-1"}) { files bytes } }'
    api.jobs.collecting = {"job-1"}
    assert api.fail(query)[0] == "CONFLICT"
    api.jobs.collecting = set()
    assert api.ask(query)["deletePhJobArtifact"]["files"] >= 2
    assert list(api.store.list(prefix)) == []


def test_what_was_deleted_is_told_as_expired_whatever_the_status_says(api: Api) -> None:
    later = int(time.time()) + 6 * DAY
    api.add("job-1", artifact_status=artifact_status("sealed", 2, 12, later))
    api.fill("job-1", {"a": b"1"})
    api.ask('mutation { deletePhJobArtifact(where: {id: "job-1"}) { files } }')
    assert 0 < -api.jobs.notes["job-1"] <= time.time()
    fields = "state totalCount totalSize expiredAt"
    gone = {"state": "expired", "totalCount": 0, "totalSize": 0, "expiredAt": format_time(-api.jobs.notes["job-1"])}
    assert shown(api, fields + " items { name }") == gone | {"items": []}
    assert api.ask(f"{{ phJobs {{ artifact {{ {fields} }} }} }}")["phJobs"] == [{"artifact": gone}]


def test_the_cleanup_tells_its_plan_and_then_follows_it(api: Api) -> None:
    for job, expires_in in (("job-1", -DAY), ("job-2", DAY)):
        api.add(job, finish_time=format_time(time.time() - 3 * DAY))
        api.fill(job, {"a": b"1"}, expires_in=expires_in)
    api.add("job-b", group="b", finish_time=format_time(time.time() - 3 * DAY))
    api.fill("job-b", {"a": b"1"}, group="b", expires_in=-DAY)
    query = """{ phJobArtifactCleanup {
                 lookedAt dueCount due { groupName job due why } keptCount kept(first: 1) { job } refusal } }"""
    plan = api.ask(query)["phJobArtifactCleanup"]
    assert (plan["lookedAt"], plan["dueCount"], plan["keptCount"], plan["kept"]) == (2, 1, 1, [{"job": "job-2"}])
    assert (plan["due"][0]["groupName"], plan["due"][0]["job"], plan["refusal"]) == ("team-a", "job-1", None)
    assert api.ask(query, "robot")["phJobArtifactCleanup"]["dueCount"] == 2
    assert api.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    assert api.ask("mutation { cleanupPhJobArtifact }", "root") == {"cleanupPhJobArtifact": 1}
    assert api.ask("mutation { cleanupPhJobArtifact }", "nobody") == {"cleanupPhJobArtifact": 0}


def test_a_second_cleanup_is_told_of_the_first(api: Api) -> None:
    with api.lock.hold():
        assert api.fail("mutation { cleanupPhJobArtifact }", "root")[0] == "CONFLICT"


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, store: Any) -> None:
        self._store, self.asked = store, 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        return getattr(self._store, name)


LISTED = "artifact { state totalCount totalSize expiredAt }"


def test_a_list_takes_states_and_counts_from_the_status(api: Api) -> None:
    counting = Counting(api.store)
    api = Api(api.root, counting)
    expiry = int(time.time()) + DAY
    api.add("sealed", artifact_status=artifact_status("sealed", 3, 2**33, expiry))
    api.add("running", phase="Running")
    api.add("over", artifact_status=artifact_status("sealed", 3, 10, 1))
    api.add("extended", artifact_status=artifact_status("sealed", 3, 10, 1), annotated_expiry=expiry)
    api.add("pinned", artifact_status=artifact_status("sealed", 3, 10, 1), annotated_expiry=FOREVER)
    counting.asked = 0
    at = format_time(expiry)
    expected = {
        "sealed": {"state": "sealed", "totalCount": 3, "totalSize": 2**33, "expiredAt": at},
        "running": {"state": None, "totalCount": None, "totalSize": None, "expiredAt": None},
        "over": {"state": "expired", "totalCount": 0, "totalSize": 0, "expiredAt": "1970-01-01T00:00:01Z"},
        "extended": {"state": "sealed", "totalCount": 3, "totalSize": 10, "expiredAt": at},
        "pinned": {"state": "sealed", "totalCount": 3, "totalSize": 10, "expiredAt": None},
    }
    listed = api.ask(f"{{ phJobs {{ id {LISTED} }} }}")["phJobs"]
    assert {job["id"]: job["artifact"] for job in listed} == expected
    edges = api.ask(f"{{ phJobsConnection {{ edges {{ node {{ id {LISTED} }} }} }} }}")["phJobsConnection"]["edges"]
    assert {edge["node"]["id"]: edge["node"]["artifact"] for edge in edges} == expected
    assert counting.asked == 0


def test_a_long_list_may_look_into_so_many_jobs_alone(api: Api) -> None:
    for number in range(MAX_FOLDERS + 2):
        api.add(f"job-{number}")
    status, answer = api.post({"query": "{ phJobs { id artifact { items { name } } } }"})
    assert status == 200
    assert len(answer["data"]["phJobs"]) == MAX_FOLDERS + 2
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_LARGE"] * 2
    assert "less at a time" in answer["errors"][0]["message"]


def test_a_store_that_fails_is_told_as_unavailable(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def fail(prefix: str, **_: Any) -> Iterator[Item]:
        raise StoreError("list", prefix, OSError(5, "Input/output error"))

    api.add("job-1")
    api.fill("job-1", {"a": b"1"})
    api.store.list = fail  # type: ignore[method-assign]
    for query in (
        ARTIFACT.replace("FIELDS", "items { name }"),
        '{ phJobArtifactUsage(groupName: "Team_A") { files } }',
    ):
        code, message = api.fail(query)
        assert code == "UNAVAILABLE"
        assert "groups/" not in message
    assert "Input/output error" in caplog.text


def test_a_phjob_may_hold_anything(api: Api) -> None:
    api.add("job-1", display_name="half a \ud800 character", message="\0", active_deadline_seconds=2**40)
    query = "{ phJobs { displayName message activeDeadlineSeconds reason } }"
    (job,) = api.ask(query)["phJobs"]
    assert job == {
        "displayName": "half a \ud800 character",
        "message": "\0",
        "activeDeadlineSeconds": None,
        "reason": None,
    }


def test_jobs_are_shown_with_every_field_of_theirs(api: Api) -> None:
    """A field that is renamed in one place would be null without a word."""
    job = api.add("job-1", start_time=format_time(ENDED), **{
        name: name for name in ("display_name", "user_id", "user_name", "image", "command", "reason", "message")
    })  # fmt: skip
    fields = "displayName userId userName image command reason message phase createTime startTime finishTime"
    (told,) = api.ask(f"{{ phJobs {{ {fields} }} }}")["phJobs"]
    snake = {"".join("_" + c.lower() if c.isupper() else c for c in name): value for name, value in told.items()}
    assert snake == {name: value for name, value in dataclasses.asdict(job).items() if name in snake}
