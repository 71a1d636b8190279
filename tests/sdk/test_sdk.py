"""PrimeHub's SDK over HTTP against local mode, which runs the submitted jobs with the real sidecar."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from artifacts.names import encode_path
from local.api_server import GROUP
from tests.local.driver import TIMEOUT_SECONDS, wait_for
from tests.sdk.client import Sdk, SdkError

ODD_NAMES = [
    b"p%41.txt",
    b"100%.txt",
    b"a\nb.txt",
    b"\xff.txt",
    "naïve 文 +&;=.txt".encode(),
    b"%2541.txt",
    b"a%0A.txt",
]
FILES = {b"test.txt": b"hello\n", b"sub/test.txt": b"hello\n", b"sub/deep/last.txt": b"", b"sub%20x/in.txt": b"in"} | {
    b"odd/" + name: name for name in ODD_NAMES
}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def octal(text: bytes) -> str:
    """Return the bytes as escapes of the shell's printf."""
    return "".join(f"\\{byte:03o}" for byte in text)


def write_command(files: dict[bytes, bytes]) -> str:
    """Return a command that writes the files."""
    lines = ["mkdir -p artifacts/sub/deep artifacts/sub%20x artifacts/odd"]
    lines += [f"printf '{octal(text)}' > \"$(printf 'artifacts/{octal(name)}')\"" for name, text in files.items()]
    return "\n".join(lines)


def config(command: str, **fields: Any) -> dict[str, Any]:
    """Return the job as in the SDK's documentation."""
    job = {"instanceType": "cpu-1", "image": "base-notebook", "displayName": "test", "command": command}
    return job | fields


def keys() -> list[str]:
    return sorted(encode_path(os.fsdecode(name)) for name in FILES)


def downloaded(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def job(sdk: Sdk) -> str:
    """A job that has ended, and whose artifacts are complete."""
    name: str = sdk.call("jobs.submit", config(write_command(FILES)))["id"]
    assert sdk.call("jobs.wait", name, timeout=TIMEOUT_SECONDS)["phase"] == "Succeeded"
    wait_for(lambda: len(sdk.call("jobs.list_artifacts", name)) == len(FILES))
    return name


def test_submitted_job_has_all_fields(sdk: Sdk, job: str) -> None:
    shown = sdk.call("jobs.get", job)
    times = {name: shown.pop(name) for name in ("createTime", "startTime", "finishTime")}
    assert all(re.fullmatch(TIME, time) for time in times.values())
    assert shown["instanceType"] == {
        "id": "cpu-1", "name": "cpu-1", "displayName": "cpu-1", "cpuLimit": None, "memoryLimit": None, "gpuLimit": None,
    }  # fmt: skip
    expected = {
        "id": job, "displayName": "test", "cancel": False, "command": write_command(FILES), "groupId": GROUP,
        "groupName": GROUP, "image": "base-notebook", "phase": "Succeeded", "reason": "PodSucceeded",
        "message": "main ended: exit code 0", "recurrence": None,
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected


def test_jobs_are_listed(sdk: Sdk, job: str) -> None:
    assert sdk.call("jobs.get", job) in sdk.call("jobs.list")
    assert sdk.call("jobs.list", page=1) == sdk.call("jobs.list")
    assert sdk.call("jobs.list", page=9) == []


def test_submitted_job_is_stopped_at_its_deadline(sdk: Sdk) -> None:
    name = sdk.call("jobs.submit", config("sleep 60", activeDeadlineSeconds=1))["id"]
    ended = sdk.call("jobs.wait", name, timeout=TIMEOUT_SECONDS)
    assert (ended["phase"], ended["reason"]) == ("Failed", "OverActivateDeadline")


def test_command_with_a_null_character_is_refused(sdk: Sdk) -> None:
    with pytest.raises(SdkError) as refused:
        sdk.call("jobs.submit", config("\0"))
    ((errors,),) = (refused.value.details,)
    assert [error["message"] for error in errors["errors"]] == ["`command` must not contain null characters"]


def test_job_is_run_again(sdk: Sdk) -> None:
    first = sdk.call("jobs.submit", config("mkdir artifacts; echo x > artifacts/x"))
    again = sdk.call("jobs.rerun", first["id"])
    assert again["id"] != first["id"]
    assert [again[name] for name in ("command", "image", "displayName")] == [
        first[name] for name in ("command", "image", "displayName")
    ]
    assert sdk.call("jobs.wait", again["id"], timeout=TIMEOUT_SECONDS)["phase"] == "Succeeded"


def test_running_job_is_cancelled(sdk: Sdk) -> None:
    name = sdk.call("jobs.submit", config("mkdir artifacts; echo x > artifacts/x; sleep 60"))["id"]
    wait_for(lambda: sdk.call("jobs.get", name)["phase"] == "Running")
    assert sdk.call("jobs.wait", name, timeout=1)["phase"] == "Running"
    assert sdk.call("jobs.cancel", name)["cancel"] is True
    assert sdk.call("jobs.wait", name, timeout=TIMEOUT_SECONDS)["phase"] == "Cancelled"
    wait_for(lambda: [item["name"] for item in sdk.call("jobs.list_artifacts", name)] == ["x"])


@pytest.mark.parametrize("function", ["get", "rerun", "cancel", "wait", "list_artifacts"])
def test_unknown_job_is_not_found(sdk: Sdk, function: str) -> None:
    with pytest.raises(SdkError) as refused:
        sdk.call(f"jobs.{function}", "job-absent")
    assert (refused.value.name, refused.value.details) == ("ResourceNotFoundException", ["job", "job-absent", "id"])


def test_artifacts_are_listed_by_key(sdk: Sdk, job: str) -> None:
    items = sdk.call("jobs.list_artifacts", job)
    assert [item["name"] for item in items] == keys()
    assert {item["name"]: item["size"] for item in items} == {
        encode_path(os.fsdecode(name)): len(text) for name, text in FILES.items()
    }


@pytest.mark.parametrize("path", ["", ".", "./", "/"])
def test_all_artifacts_are_downloaded(sdk: Sdk, job: str, folder: Path, path: str) -> None:
    sdk.call("jobs.download_artifacts", job, path, str(folder), recursive=True)
    assert downloaded(folder / job if (folder / job).is_dir() else folder) == {
        encode_path(os.fsdecode(name)): text for name, text in FILES.items()
    }


def test_one_file_is_downloaded(sdk: Sdk, job: str, folder: Path) -> None:
    sdk.call("jobs.download_artifacts", job, "sub/test.txt", str(folder))
    sdk.call("jobs.download_artifacts", job, "/test.txt", str(folder / "renamed.txt"))
    assert downloaded(folder) == {"test.txt": b"hello\n", "renamed.txt": b"hello\n"}


def test_folder_is_downloaded(sdk: Sdk, job: str, folder: Path) -> None:
    sdk.call("jobs.download_artifacts", job, "sub", str(folder), recursive=True)
    assert downloaded(folder) == {"sub/test.txt": b"hello\n", "sub/deep/last.txt": b""}


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_file_with_an_odd_name_is_downloaded_by_its_key(sdk: Sdk, job: str, folder: Path, name: bytes) -> None:
    """The SDK does not escape the path in the URL, so the server receives the file's own name instead of the key."""
    key = encode_path(os.fsdecode(name))
    sdk.call("jobs.download_artifacts", job, f"odd/{key}", str(folder))
    assert downloaded(folder) == {key: name}


@pytest.mark.parametrize("path", ["absent.txt", "sub", "odd/absent%0A.txt"])
def test_absent_file_is_not_downloaded(sdk: Sdk, job: str, folder: Path, path: str) -> None:
    with pytest.raises(SdkError) as refused:
        sdk.call("jobs.download_artifacts", job, path, str(folder))
    assert (refused.value.name, downloaded(folder)) == ("SharedFileException", {})


def test_files_of_a_job_are_listed_in_the_shared_store(sdk: Sdk, job: str) -> None:
    names = [file["name"] for file in sdk.call("files.list", f"jobArtifacts/{job}")]
    assert names == ["odd/", "sub%2520x/", "sub/", "test.txt"]
    assert [file["name"] for file in sdk.call("files.list", f"jobArtifacts/{job}/test.txt")] == ["test.txt"]
    assert sdk.call("files.get_phfs_uri", f"jobArtifacts/{job}") == f"phfs:///jobArtifacts/{job}"


def test_user_groups_and_resources_are_shown(sdk: Sdk) -> None:
    me = sdk.call("me.me")
    assert me["username"]
    assert (me["firstName"], me["lastName"], me["email"], me["isAdmin"]) == (None, None, None, True)
    (group,) = sdk.call("groups.list")
    assert group["name"] == GROUP
    assert sdk.call("groups.get", GROUP) == group
    assert sdk.call("groups.list_users", group["id"]) == []
    for resource in ("images", "instancetypes", "volumes"):
        assert sdk.call(f"{resource}.list") == []
    assert sdk.call("instancetypes.get", "cpu-1") is None


def test_command_line_shows_user_group_and_jobs(sdk: Sdk, job: str, folder: Path) -> None:
    assert sdk.run("me", "me", home=folder).startswith("id:")
    assert f"Name: {GROUP}" in sdk.run("info", "info", home=folder)
    assert GROUP in sdk.run("groups", "list", home=folder)
    assert job in sdk.run("jobs", "list", home=folder)
    assert "sub/test.txt" in sdk.run("--json", "jobs", "list-artifacts", job, home=folder)
    sdk.run("jobs", "download-artifacts", job, "sub", str(folder), "--recursive", home=folder)
    assert downloaded(folder)["sub/test.txt"] == b"hello\n"
