"""A job's artifacts: state, report and retention, and the fields of a list of jobs, which do not read the store."""

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
from tests.api.schema.graphql_api import DAY, ENDED, Api, artifact_status

ARTIFACT = '{ phJob(where: {id: "job-1"}) { artifact { FIELDS } } }'


def artifact(api: Api, fields: str) -> Any:
    return api.execute(ARTIFACT.replace("FIELDS", fields))["phJob"]["artifact"]


def test_report_is_returned_with_all_fields(api: Api) -> None:
    api.add_job("job-1")
    skipped = {"broken_link": Skipped(2, 0, ["a", "b"], "No such file")}
    api.write_folder(
        "job-1", {"a": b"1"}, message="All files were collected.", found=Count(3, 2**40), collected=Count(1, 1),
        skipped=skipped, unstable=["log"], main={"exitCode": 7, "reason": "Error"}, pod_uid="uid",
        version="0.1.0", limit_files=1000,
    )  # fmt: skip
    assert artifact(
        api,
        """report { state message startedAt sealedAt limitFiles limitExceeded found { files bytes } inPlace { files }
           skipped { reason explanation files bytes detail paths } unstable main { exitCode signal reason }
           podUid collectorVersion }""",
    )["report"] == {
        "state": "sealed",
        "message": "All files were collected.",
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
def test_invalid_report_is_null(api: Api, content: bytes) -> None:
    api.add_job("job-1", artifact_status=artifact_status("sealed"))
    prefix = api.write_folder("job-1", {"a": b"1"})
    api.store.write(prefix + REPORT, content)
    assert artifact(api, "state report { state } items { name }") == {
        "state": "sealed",  # from the PhJob's status
        "report": None,
        "items": [{"name": "a"}],
    }


@pytest.mark.parametrize(
    ("phase", "is_collecting", "state", "sealed_at", "expected"),
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
def test_unsealed_report_of_an_ended_job_is_incomplete(
    api: Api, phase: str, is_collecting: bool, state: str, sealed_at: float, expected: str
) -> None:
    api.add_job("job-1", phase=phase)
    api.jobs.collecting = {"job-1"} if is_collecting else set()
    api.write_folder("job-1", {"a": b"1"}, state=state, sealed_at=sealed_at)
    assert artifact(api, "state report { state }") == {"state": expected, "report": {"state": expected}}


def test_unsealed_report_of_a_deleted_phjob_is_incomplete(api: Api) -> None:
    api.write_folder("job-1", {"a": b"1"}, state="syncing")
    query = '{ phJobArtifact(where: {groupName: "Team_A", job: "job-1"}) { state } }'
    assert api.execute(query)["phJobArtifact"] == {"state": "incomplete"}


def test_job_without_files_has_no_artifacts(api: Api) -> None:
    just_now = format_time(time.time() - 60)
    api.add_job("job-1", artifact_status=artifact_status("empty", 0, 0, 0), finish_time=just_now)
    api.add_job("job-2", finish_time=just_now)
    fields = """state items { name } totalCount totalSize report { state } downloadUrl
                itemsConnection { totalCount nodes { name } }"""
    nothing = {"items": [], "totalCount": 0, "totalSize": 0, "report": None, "downloadUrl": None}
    nothing |= {"itemsConnection": {"totalCount": 0, "nodes": []}}
    assert artifact(api, fields) == nothing | {"state": "empty"}
    assert artifact(api, fields.replace("job-1", "job-2")) == nothing | {"state": "empty"}


def test_status_explains_missing_artifacts(api: Api) -> None:
    expected = {"state": "not-injected", "reason": "webhook", "message": "the API server did not call the webhook"}
    status = ArtifactStatus(files=0, bytes=0, expired_at=0, **expected)
    api.add_job("job-1", artifact_status=status, finish_time=format_time(time.time() - 60))
    assert artifact(api, "state reason message") == expected
    listed = api.execute("{ phJobs { artifact { state reason message } } }")["phJobs"]
    assert listed == [{"artifact": expected}]


def unknown_status(pod_uid: str) -> ArtifactStatus:
    return ArtifactStatus("unknown", 0, 0, 0, message="the pod was deleted", pod_uid=pod_uid)


@pytest.mark.parametrize(
    ("state", "says"), [("sealed", "sealed, 1 of 2 files"), ("syncing", "incomplete, 1 of 2 files")]
)
def test_report_is_shown_beside_an_unknown_status(api: Api, state: str, says: str) -> None:
    api.add_job("job-1", artifact_status=unknown_status("pod-1"))
    api.write_folder("job-1", {"a": b"1"}, state=state, pod_uid="pod-1", collected=Count(1, 1), found=Count(2, 2))
    message = f"the pod was deleted; the report in the store says: {says}"
    expected = {"state": says.partition(",")[0], "statusState": "unknown", "reason": None, "message": message}
    assert artifact(api, "state statusState reason message") == expected
    listed = {"state": "unknown", "statusState": "unknown", "message": "the pod was deleted"}
    assert api.execute("{ phJobs { artifact { state statusState message } } }")["phJobs"] == [{"artifact": listed}]


def test_report_of_an_earlier_pod_says_nothing_of_an_unknown_pod(api: Api) -> None:
    api.add_job("job-1", artifact_status=unknown_status("pod-2"))
    api.write_folder("job-1", {"a": b"1"}, state="sealed", pod_uid="pod-1", collected=Count(1, 1), found=Count(1, 1))
    expected = {"state": "unknown", "statusState": "unknown", "message": "the pod was deleted"}
    assert artifact(api, "state statusState message") == expected


@pytest.mark.parametrize("state", ["syncing", "incomplete"])
def test_report_that_could_not_be_sealed_is_incomplete(api: Api, state: str) -> None:
    """PHFS became read-only while the job ran, so only the PhJob's status has the outcome."""
    reason = "1 file in the store, 1 missing; the report could not be written: Read-only file system"
    api.add_job("job-1", artifact_status=ArtifactStatus("incomplete", 1, 1, 0, message=reason))
    api.write_folder("job-1", {"a": b"1"}, state=state, sealed_at=0, message="the last sync is running")
    assert artifact(api, "state message report { state message sealedAt }") == {
        "state": "incomplete",
        "message": reason,
        "report": {
            "state": "incomplete",
            "message": f"the collector could not complete this report; the PhJob's status says: incomplete, {reason}",
            "sealedAt": None,
        },
    }
    api.jobs.collecting.add("job-1")
    assert artifact(api, "report { state message }")["report"] == {
        "state": state,
        "message": "the last sync is running",
    }


def test_unsealed_report_without_a_status_says_so(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a": b"1"}, state="syncing")
    report = artifact(api, "report { state message }")["report"]
    assert report == {"state": "incomplete", "message": "the collector could not complete this report"}


def test_expired_artifacts_are_not_listed(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a": b"1"}, expires_in=DAY)
    fields = (
        "state items { name } totalCount totalSize expiredAt itemsConnection { totalCount nodes { name } } downloadUrl"
    )
    assert artifact(api, fields)["items"] == [{"name": "a"}]
    api.clock_offset_seconds = 2 * DAY
    expired = artifact(api, fields)
    assert expired.pop("expiredAt") < format_time(api.clock())
    assert expired == {
        "state": "expired", "items": [], "totalCount": 0, "totalSize": 0,
        "itemsConnection": {"totalCount": 0, "nodes": []}, "downloadUrl": None,
    }  # fmt: skip
    files = (
        '{ files(where: {groupName: "Team_A", phfsPrefix: "PREFIX"}, options: {recursive: true}) { items { name } } }'
    )
    for prefix in ("/", "/jobArtifacts/job-1", "/jobArtifacts/job-1/a"):
        assert api.execute(files.replace("PREFIX", prefix)) == {"files": {"items": []}}


def test_pin_keeps_artifacts_and_records_user_and_note(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a": b"1"})
    fields = "pinned pinnedBy pinnedAt note expiredAt state"
    pinned = api.execute(
        f'mutation {{ pinPhJobArtifact(where: {{id: "job-1"}}, note: "for the paper") {{ {fields} }} }}'
    )
    expected = pinned["pinPhJobArtifact"]
    assert (expected["pinned"], expected["pinnedBy"], expected["note"], expected["expiredAt"]) == (
        True,
        "alice",
        "for the paper",
        None,
    )
    api.clock_offset_seconds = 300 * DAY
    assert artifact(api, "items { name } state") == {"items": [{"name": "a"}], "state": "sealed"}
    unpinned = api.execute(f'mutation {{ unpinPhJobArtifact(where: {{id: "job-1"}}) {{ {fields} }} }}')[
        "unpinPhJobArtifact"
    ]
    assert unpinned["pinned"] is False
    assert unpinned["expiredAt"] > format_time(api.clock())


def test_extension_sets_the_expiry(api: Api) -> None:
    api.add_job("job-1")
    api.write_folder("job-1", {"a": b"1"})
    until = format_time(api.clock() + 3 * DAY)
    query = 'mutation ($until: String!) { extendPhJobArtifact(where: {id: "job-1"}, until: $until) { expiredAt } }'
    assert api.execute(query, until=until) == {"extendPhJobArtifact": {"expiredAt": until}}
    assert api.jobs.annotations["job-1"] > 0
    for wrong in ("tomorrow", "", "2001-01-01T00:00:00Z", "9999-01-01T00:00:00Z"):
        assert api.execute_error(query, until=wrong)[0] == "BAD_USER_INPUT"


def test_deletion_is_refused_until_the_sidecar_has_ended(api: Api) -> None:
    api.add_job("job-1")
    prefix = api.write_folder("job-1", {"a": b"12345", "b": b"1"})
    query = 'mutation { deletePhJobArtifact(where: {id: "job-1"}) { files bytes } }'
    api.jobs.collecting = {"job-1"}
    assert api.execute_error(query)[0] == "CONFLICT"
    api.jobs.collecting = set()
    assert api.execute(query)["deletePhJobArtifact"]["files"] >= 2
    assert list(api.store.list(prefix)) == []


def test_deleted_artifacts_are_expired_whatever_the_status(api: Api) -> None:
    later = int(time.time()) + 6 * DAY
    api.add_job("job-1", artifact_status=artifact_status("sealed", 2, 12, later))
    api.write_folder("job-1", {"a": b"1"})
    api.execute('mutation { deletePhJobArtifact(where: {id: "job-1"}) { files } }')
    assert 0 < -api.jobs.annotations["job-1"] <= time.time()
    fields = "state totalCount totalSize expiredAt"
    gone = {
        "state": "expired",
        "totalCount": 0,
        "totalSize": 0,
        "expiredAt": format_time(-api.jobs.annotations["job-1"]),
    }
    assert artifact(api, fields + " items { name }") == gone | {"items": []}
    assert api.execute(f"{{ phJobs {{ artifact {{ {fields} }} }} }}")["phJobs"] == [{"artifact": gone}]


def test_cleanup_follows_its_plan(api: Api) -> None:
    for job, expires_in in (("job-1", -DAY), ("job-2", DAY)):
        api.add_job(job)
        api.write_folder(job, {"a": b"1"}, expires_in=expires_in)
    api.add_job("job-b", group="b")
    api.write_folder("job-b", {"a": b"1"}, group="b", expires_in=-DAY)
    query = """{ phJobArtifactCleanup {
                 lookedAt dueCount due { groupName job due why } keptCount kept(first: 1) { job } refusal } }"""
    plan = api.execute(query)["phJobArtifactCleanup"]
    assert (plan["lookedAt"], plan["dueCount"], plan["keptCount"], plan["kept"]) == (2, 1, 1, [{"job": "job-2"}])
    assert (plan["due"][0]["groupName"], plan["due"][0]["job"], plan["refusal"]) == ("team-a", "job-1", None)
    assert api.execute(query, "robot")["phJobArtifactCleanup"]["dueCount"] == 2
    assert api.execute("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    assert api.execute("mutation { cleanupPhJobArtifact }", "root") == {"cleanupPhJobArtifact": 1}
    assert api.execute("mutation { cleanupPhJobArtifact }", "nobody") == {"cleanupPhJobArtifact": 0}


def test_concurrent_cleanup_is_a_conflict(api: Api) -> None:
    with api.lock.hold():
        assert api.execute_error("mutation { cleanupPhJobArtifact }", "root")[0] == "CONFLICT"


class CountingStore:
    """Counts the requests to a store."""

    def __init__(self, store: Any) -> None:
        self._store, self.request_count = store, 0

    def __getattr__(self, name: str) -> Any:
        self.request_count += 1
        return getattr(self._store, name)


LISTED = "artifact { state totalCount totalSize expiredAt }"


def test_job_list_reads_states_and_totals_from_the_status(api: Api) -> None:
    store = CountingStore(api.store)
    api = Api(api.root, store)
    expiry, past = int(time.time()) + DAY, int(time.time()) - DAY
    api.add_job("sealed", artifact_status=artifact_status("sealed", 3, 2**33, expiry))
    api.add_job("running", phase="Running")
    api.add_job("over", artifact_status=artifact_status("sealed", 3, 10, past))
    api.add_job("extended", artifact_status=artifact_status("sealed", 3, 10, past), annotated_expiry=expiry)
    api.add_job("pinned", artifact_status=artifact_status("sealed", 3, 10, past), annotated_expiry=FOREVER)
    store.request_count = 0
    at = format_time(expiry)
    expected = {
        "sealed": {"state": "sealed", "totalCount": 3, "totalSize": 2**33, "expiredAt": at},
        "running": {"state": None, "totalCount": None, "totalSize": None, "expiredAt": None},
        "over": {"state": "expired", "totalCount": 0, "totalSize": 0, "expiredAt": format_time(past)},
        "extended": {"state": "sealed", "totalCount": 3, "totalSize": 10, "expiredAt": at},
        "pinned": {"state": "sealed", "totalCount": 3, "totalSize": 10, "expiredAt": None},
    }
    listed = api.execute(f"{{ phJobs {{ id {LISTED} }} }}")["phJobs"]
    assert {job["id"]: job["artifact"] for job in listed} == expected
    edges = api.execute(f"{{ phJobsConnection {{ edges {{ node {{ id {LISTED} }} }} }} }}")["phJobsConnection"]["edges"]
    assert {edge["node"]["id"]: edge["node"]["artifact"] for edge in edges} == expected
    assert store.request_count == 0


def test_job_list_reads_a_limited_number_of_folders(api: Api) -> None:
    for number in range(MAX_FOLDERS + 2):
        api.add_job(f"job-{number}")
    status, answer = api.post({"query": "{ phJobs { id artifact { items { name } } } }"})
    assert status == 200
    assert len(answer["data"]["phJobs"]) == MAX_FOLDERS + 2
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_LARGE"] * 2
    assert "less at a time" in answer["errors"][0]["message"]


def test_store_failure_is_unavailable(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def fail(prefix: str, **_: Any) -> Iterator[Item]:
        raise StoreError("list", prefix, OSError(5, "Input/output error"))

    api.add_job("job-1")
    api.write_folder("job-1", {"a": b"1"})
    api.store.list = fail  # type: ignore[method-assign]
    for query in (
        ARTIFACT.replace("FIELDS", "items { name }"),
        '{ phJobArtifactUsage(groupName: "Team_A") { files } }',
    ):
        code, message = api.execute_error(query)
        assert code == "UNAVAILABLE"
        assert "groups/" not in message
    assert "Input/output error" in caplog.text


def test_phjob_fields_may_have_any_text(api: Api) -> None:
    api.add_job("job-1", display_name="half a \ud800 character", message="\0", active_deadline_seconds=2**40)
    query = "{ phJobs { displayName message activeDeadlineSeconds reason } }"
    (job,) = api.execute(query)["phJobs"]
    assert job == {
        "displayName": "half a \ud800 character",
        "message": "\0",
        "activeDeadlineSeconds": None,
        "reason": None,
    }


def test_every_field_of_a_job_is_returned(api: Api) -> None:
    """A field that is renamed in one place only would silently be null."""
    job = api.add_job("job-1", start_time=format_time(ENDED), **{
        name: name for name in ("display_name", "user_id", "user_name", "image", "command", "reason", "message")
    })  # fmt: skip
    fields = "displayName userId userName image command reason message phase createTime startTime finishTime"
    (expected,) = api.execute(f"{{ phJobs {{ {fields} }} }}")["phJobs"]
    snake = {"".join("_" + c.lower() if c.isupper() else c for c in name): value for name, value in expected.items()}
    assert snake == {name: value for name, value in dataclasses.asdict(job).items() if name in snake}
