"""`serve` reports invalid files once and ignores them; `create` does not queue invalid jobs."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from local.api_server import address_file
from tests.local.driver import GROUP, JobDriver, wait_for
from tests.local.test_refusals import cli
from tests.local.test_serve import FINAL_PHASES, WRITES_FILE, serving, stop


def put(jobs: JobDriver, name: str, content: object) -> None:
    """Write a file into the queue: bytes, or an object as JSON."""
    folder = jobs.data / "phjobs"
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(text)


def document(name: str = "job-1", **spec: object) -> dict[str, object]:
    """A minimal PhJob, which creates $HOME/ran if it is run."""
    return {"metadata": {"name": name}, "spec": {"groupName": GROUP, "command": "touch $HOME/ran", **spec}}


def serve_a_while(jobs: JobDriver, home: Path) -> str:
    """Serve until a job that was queued last has ended, and one poll longer; return stderr."""
    with serving(jobs, HOME=str(home)) as server:
        jobs.queue(WRITES_FILE, "last")
        wait_for(lambda: jobs.phase("last") in FINAL_PHASES)
        time.sleep(0.7)
        return stop(jobs, server)


INVALID = {
    "truncated.json": (b"{", "it is not valid JSON"),
    "deep.json": (b'{"a":' * 50_000, "it is not valid JSON"),
    "long.json": (b" " * (1024 * 1024 + 1), "it is longer than"),
    "array.json": ([], "it is not a JSON object"),
    "empty.json": ({}, "metadata.name"),
    "other.json": (document("job-2"), "metadata.name"),
    "Upper.json": (document("Upper"), "valid job name"),
    ".json": (document(""), "valid job name"),
    "a\x1b[2J\n.json": (document("a\x1b[2J\n"), "valid job name"),
    "group.json": (document("group", groupName="../../x"), "valid group name"),
    "list.json": (document("list", command=["touch"]), "command: it is not valid text"),
    "nothing.json": (document("nothing", command=" "), "spec.command: it is empty"),
}


def test_invalid_files_are_reported_once_and_ignored(jobs: JobDriver, tmp_path: Path) -> None:
    for name, (content, _) in INVALID.items():
        put(jobs, name, content)
    before = {name: (jobs.data / "phjobs" / name).read_bytes() for name in INVALID}
    output = serve_a_while(jobs, tmp_path)
    for name, (_, reason) in INVALID.items():
        (line,) = (line for line in output.splitlines() if f"/phjobs/{ascii(name)[1:-1]} until it changes" in line)
        assert reason in line
    assert "\x1b" not in output
    assert {name: (jobs.data / "phjobs" / name).read_bytes() for name in INVALID} == before
    assert [folder.name for folder in (jobs.data / "jobs").iterdir()] == ["last"]
    assert not (tmp_path / "ran").exists()


def test_other_files_are_ignored_silently(jobs: JobDriver, tmp_path: Path) -> None:
    put(jobs, "job-1.txt", document("job-1"))
    put(jobs, ".job-2.tmp", document("job-2"))
    folder = jobs.data / "phjobs"
    os.mkfifo(folder / "job-3.json")
    (folder / "job-4.json").mkdir()
    (tmp_path / "elsewhere").write_text(json.dumps(document("job-5")))
    (folder / "job-5.json").symlink_to(tmp_path / "elsewhere")
    output = serve_a_while(jobs, tmp_path)
    assert "ignoring" not in output
    assert [folder.name for folder in (jobs.data / "jobs").iterdir()] == ["last"]


def test_repaired_file_is_read_again(jobs: JobDriver) -> None:
    put(jobs, "job-1.json", b"{")
    with serving(jobs) as server:
        assert server.stderr
        assert any("until it changes" in line for line in iter(server.stderr.readline, ""))
        jobs.queue("true")
        wait_for(lambda: jobs.phase() in FINAL_PHASES)
    assert jobs.phase() == "Succeeded"


def test_job_with_an_existing_job_folder_is_not_started(jobs: JobDriver, tmp_path: Path) -> None:
    jobs.queue("touch $HOME/ran")
    jobs.paths().job_folder.mkdir(parents=True)
    output = serve_a_while(jobs, tmp_path)
    assert output.count("job-1: not started: a job named 'job-1' exists already") == 1
    assert output.count("job-1.json until it changes: the job could not be started") == 1
    assert jobs.phase() == ""
    assert not (tmp_path / "ran").exists()


def test_used_name_is_never_run_again(jobs: JobDriver, tmp_path: Path) -> None:
    jobs.run("true")
    jobs.queue("touch $HOME/ran")
    serve_a_while(jobs, tmp_path)
    assert jobs.phase() == "Failed"
    assert not (tmp_path / "ran").exists()


def test_runner_exits_silently_if_another_has_claimed_the_job(jobs: JobDriver) -> None:
    jobs.queue("true")
    jobs.paths().run_folder.mkdir(parents=True)
    result = jobs.run_queued()
    assert (result.returncode, result.stderr) == (2, "")
    assert jobs.phase() == ""


def test_claimed_job_is_left_to_its_runner(jobs: JobDriver, tmp_path: Path) -> None:
    jobs.queue("touch $HOME/ran")
    jobs.paths().run_folder.mkdir(parents=True)
    serve_a_while(jobs, tmp_path)
    assert jobs.phase() == ""
    assert not (tmp_path / "ran").exists()


def test_too_long_command_fails_the_job(jobs: JobDriver) -> None:
    jobs.queue(": " + "\x1b" * 150_000)
    with serving(jobs) as server:
        wait_for(lambda: jobs.phase() in FINAL_PHASES)
        output = stop(jobs, server)
    assert jobs.phjob()["status"]["message"] == "main ended: exit code 126"
    assert "Argument list too long" in output
    assert "\x1b" not in output
    assert len(output) < 3000


def test_invalid_settings_are_reported_before_anything_is_created(jobs: JobDriver) -> None:
    result = jobs.wait(jobs.serve(PHJOB_ARTIFACT_LIMIT_FILES="many", PHJOB_ARTIFACT_LIMIT_FILE="3"))
    assert result.returncode == 2
    assert "PHJOB_ARTIFACT_LIMIT_FILES='many': use" in result.stderr
    assert "PHJOB_ARTIFACT_LIMIT_FILE is not a setting" in result.stderr
    assert not jobs.data.exists()


def test_unusable_data_directory_is_reported(jobs: JobDriver) -> None:
    jobs.data.touch()
    for result in (jobs.wait(jobs.serve()), jobs.create("true")):
        assert result.returncode == 2
        assert "Choose another directory with --data" in result.stderr


def test_serve_ends_with_an_error_if_its_data_directory_is_removed(jobs: JobDriver) -> None:
    with serving(jobs) as server:
        wait_for(address_file(jobs.data).exists)  # until then, the starting server creates the folder again
        (jobs.data / "phjobs").rmdir()
        result = jobs.wait(server)
    assert result.returncode == 2
    assert f"cannot list {jobs.data}/phjobs" in result.stderr


def test_create_prints_the_generated_name(jobs: JobDriver) -> None:
    name = jobs.create("printf", "%s", "a b", name=None).stdout.strip()
    assert re.fullmatch(r"job-\d{12}-[0-9a-z]{6}", name)
    assert jobs.phjob(name)["spec"]["command"] == "printf %s 'a b'"
    assert jobs.phase(name) == "Pending"
    assert (jobs.data.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize("path", ["phjobs/job-1.json", "jobs/job-1", "phfs/groups/test-group/jobArtifacts/job-1"])
def test_used_name_is_not_queued(jobs: JobDriver, path: str) -> None:
    (jobs.data / path).mkdir(parents=True)
    before = sorted(jobs.data.rglob("*.json"))
    created = jobs.create("true")
    assert created.returncode == 2
    assert created.stdout == ""
    assert "the job was not queued: a job named 'job-1' exists already" in created.stderr
    assert sorted(jobs.data.rglob("*.json")) == before


@pytest.mark.parametrize(("name", "command"), [("../x", "true"), ("A", "true"), ("job-1", " ")])
def test_invalid_job_is_not_queued(jobs: JobDriver, name: str, command: str) -> None:
    assert jobs.create(command, name=name).returncode == 2
    assert not jobs.data.exists()


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", ""])
def test_invalid_job_limit_is_rejected(limit: str) -> None:
    result = cli("serve", f"--jobs={limit}")
    assert result.returncode == 2
    assert "use 1 or more" in result.stderr


def test_help_lists_create_and_serve_but_not_run_queued() -> None:
    assert {"create", "serve"} <= set(cli("--help").stdout.split())
    assert "run-queued" not in cli("--help").stdout
    assert "--jobs" in cli("serve", "--help").stdout
    assert "phjobs" in cli("create", "--help").stdout
