"""Artifacts from the job that writes them to a user's download, and to their removal by the cleanup."""

import json

import pytest

from tests.e2e.installation import ROOT
from tests.e2e.kubectl import kubectl
from tests.e2e.system import System

HELLO = """mkdir -p artifacts/sub
echo "hello" > artifacts/test.txt
echo "hello" > artifacts/sub/test.txt"""
SAMPLE = ROOT / "manifests/samples/phjob.yaml"
FILES = {"test.txt": "hello\n", "sub/test.txt": "hello\n"}


@pytest.fixture(scope="module")
def hello(system: System) -> str:
    """The name of a job whose two files have been collected."""
    name = system.create_job("journey-hello", HELLO, displayName="hello")
    system.wait_ended(name)
    return name


def test_job_succeeds_and_reports_its_artifacts(system: System, hello: str) -> None:
    status = system.job(hello)["status"]
    assert (status["phase"], status["exitCode"]) == ("Succeeded", 0)
    artifact = status["artifact"]
    assert (artifact["state"], artifact["files"], artifact["bytes"]) == ("sealed", 2, 12)
    assert "2 files" in system.events(hello)["ArtifactsCollected"]
    table = kubectl("-n", system.namespace, "get", "phjob", hello)
    assert {"Succeeded", "sealed", "2", "12"} <= set(table.split())


def test_files_are_in_the_groups_store(system: System, hello: str) -> None:
    assert system.store.files(hello) == FILES
    report = system.store.report(hello)
    assert (report["state"], report["collected"]) == ("sealed", {"files": 2, "bytes": 12})
    assert report["sealedAt"]


def test_group_member_lists_and_downloads_files(system: System, hello: str) -> None:
    member = system.api.as_account(system.namespace, "default")
    artifact = member.artifact(hello)
    assert artifact["prefix"] == f"groups/{system.group}/jobArtifacts/{hello}"
    assert {file["name"]: file["size"] for file in artifact["items"]} == {"test.txt": 6, "sub/test.txt": 6}
    assert (artifact["state"], artifact["totalCount"]) == ("sealed", 2)
    assert member.download(f"{artifact['prefix']}/sub/test.txt") == b"hello\n"


def test_other_users_do_not_see_the_job(system: System, hello: str, namespace: str) -> None:
    response = system.api.as_account(namespace, "default").execute(f'{{ phJob(where: {{id: "{hello}"}}) {{ id }} }}')
    assert [error["extensions"]["code"] for error in response["errors"]] == ["NOT_FOUND"]


def test_job_is_created_with_graphql(system: System) -> None:
    created = system.api.query(
        "mutation($data: PhJobCreateInput!) { createPhJob(data: $data) { id } }",
        data={"displayName": "requested", "groupId": system.group, "image": system.image, "command": HELLO},
    )
    name = created["createPhJob"]["id"]
    assert system.wait_ended(name)["artifact"]["state"] == "sealed"
    assert system.store.files(name) == FILES


def test_cleanup_removes_expired_artifacts(system: System) -> None:
    name = system.create_job("journey-expired", HELLO)
    assert system.wait_ended(name)["artifact"]["state"] == "sealed"
    system.wait_pod_ended(name)
    before = system.metrics("api")["phjob_artifact_cleanup_removed_total"]
    assert system.api.query("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 0}
    system.store.expire(name)
    assert system.api.query("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    assert system.store.tree(name) == {}
    assert (system.api.artifact(name)["state"], system.api.names(name)) == ("expired", set())
    assert system.metrics("api")["phjob_artifact_cleanup_removed_total"] == before + 1
    system.wait(lambda: system.job(name)["status"]["artifact"]["state"] == "expired", "the PhJob's status is expired")


def test_sample_works_as_in_the_readme(system: System) -> None:
    sample = json.loads(kubectl("create", "-f", str(SAMPLE), "--dry-run=client", "-o", "json"))
    sample["metadata"]["namespace"] = system.namespace
    sample["spec"]["image"] = system.image
    kubectl("-n", system.namespace, "apply", "-f", "-", stdin=json.dumps(sample))
    name = sample["metadata"]["name"]
    assert system.wait_ended(name)["artifact"]["state"] == "sealed"
    artifact = system.api.artifact(name)
    assert {file["name"] for file in artifact["items"]} == FILES.keys()
    assert system.api.download(f"{artifact['prefix']}/test.txt") == b"hello\n"
