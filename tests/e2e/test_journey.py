"""The way of artifacts from a job to its user, and to their end."""

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
    """A job that has left the two files."""
    name = system.create_job("journey-hello", HELLO, displayName="hello")
    system.ended(name)
    return name


def test_a_job_succeeds_and_tells_what_was_collected(system: System, hello: str) -> None:
    status = system.job(hello)["status"]
    assert (status["phase"], status["exitCode"]) == ("Succeeded", 0)
    artifact = status["artifact"]
    assert (artifact["state"], artifact["files"], artifact["bytes"]) == ("sealed", 2, 12)
    assert "2 files" in system.events(hello)["ArtifactsCollected"]
    shown = kubectl("-n", system.namespace, "get", "phjob", hello)
    assert {"Succeeded", "sealed", "2", "12"} <= set(shown.split())


def test_its_files_are_in_the_groups_store(system: System, hello: str) -> None:
    assert system.store.files(hello) == FILES
    report = system.store.report(hello)
    assert (report["state"], report["collected"]) == ("sealed", {"files": 2, "bytes": 12})
    assert report["sealedAt"]


def test_a_member_of_the_group_lists_and_downloads_them(system: System, hello: str) -> None:
    member = system.service.as_account(system.namespace, "default")
    artifact = member.artifact(hello)
    assert artifact["prefix"] == f"groups/{system.group}/jobArtifacts/{hello}"
    assert {item["name"]: item["size"] for item in artifact["items"]} == {"test.txt": 6, "sub/test.txt": 6}
    assert (artifact["state"], artifact["totalCount"]) == ("sealed", 2)
    assert member.download(f"{artifact['prefix']}/sub/test.txt") == b"hello\n"


def test_nobody_else_does(system: System, hello: str, namespace: str) -> None:
    answer = system.service.as_account(namespace, "default").answer(f'{{ phJob(where: {{id: "{hello}"}}) {{ id }} }}')
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_FOUND"]


def test_a_job_is_created_by_graphql(system: System) -> None:
    created = system.service.ask(
        "mutation($data: PhJobCreateInput!) { createPhJob(data: $data) { id } }",
        data={"displayName": "asked", "groupId": system.group, "image": system.image, "command": HELLO},
    )
    name = created["createPhJob"]["id"]
    assert system.ended(name)["artifact"]["state"] == "sealed"
    assert system.store.files(name) == FILES


def test_what_has_expired_is_removed_by_the_cleanup(system: System) -> None:
    name = system.create_job("journey-expired", HELLO)
    assert system.ended(name)["artifact"]["state"] == "sealed"
    system.pod_ended(name)
    before = system.metrics("api")["phjob_artifact_cleanup_removed_total"]
    assert system.service.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 0}
    system.store.expire(name)
    assert system.service.ask("mutation { cleanupPhJobArtifact }") == {"cleanupPhJobArtifact": 1}
    assert system.store.tree(name) == {}
    assert (system.service.artifact(name)["state"], system.service.names(name)) == ("expired", set())
    assert system.metrics("api")["phjob_artifact_cleanup_removed_total"] == before + 1
    system.wait(lambda: system.job(name)["status"]["artifact"]["state"] == "expired", "the PhJob says so")


def test_the_sample_does_as_the_readme_says(system: System) -> None:
    sample = json.loads(kubectl("create", "-f", str(SAMPLE), "--dry-run=client", "-o", "json"))
    sample["metadata"]["namespace"] = system.namespace
    sample["spec"]["image"] = system.image
    kubectl("-n", system.namespace, "apply", "-f", "-", given=json.dumps(sample))
    name = sample["metadata"]["name"]
    assert system.ended(name)["artifact"]["state"] == "sealed"
    artifact = system.service.artifact(name)
    assert {item["name"] for item in artifact["items"]} == FILES.keys()
    assert system.service.download(f"{artifact['prefix']}/test.txt") == b"hello\n"
