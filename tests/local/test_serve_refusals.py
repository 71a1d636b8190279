"""What serve leaves alone, and says so once; and what create does not queue."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from local.service import address_file
from tests.local.jobs import GROUP, Jobs, wait_for
from tests.local.test_refusals import cli
from tests.local.test_serve import ENDED, KEEPS, serving, stop


def put(jobs: Jobs, name: str, content: object) -> None:
    folder = jobs.data / "phjobs"
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(text)


def document(name: str = "job-1", **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"groupName": GROUP, "command": "touch $HOME/ran", **spec}}


def serve_a_while(jobs: Jobs, home: Path) -> str:
    """Serve until a job queued after all else has ended, and a look longer; returns what was said."""
    with serving(jobs, HOME=str(home)) as server:
        jobs.queue(KEEPS, "last")
        wait_for(lambda: jobs.phase("last") in ENDED)
        time.sleep(0.7)
        return stop(jobs, server)


USELESS = {
    "half.json": (b"{", "it is no JSON"),
    "deep.json": (b'{"a":' * 50_000, "it is no JSON"),
    "long.json": (b" " * (1024 * 1024 + 1), "it is longer than"),
    "array.json": ([], "it is no JSON object"),
    "empty.json": ({}, "metadata.name"),
    "other.json": (document("job-2"), "metadata.name"),
    "Upper.json": (document("Upper"), "'Upper' is no valid job name"),
    ".json": (document(""), "'' is no valid job name"),
    "a\x1b[2J\n.json": (document("a\x1b[2J\n"), "is no valid job name"),
    "group.json": (document("group", groupName="../../x"), "is no valid group name"),
    "list.json": (document("list", command=["touch"]), "command: it is no text"),
    "nothing.json": (document("nothing", command=" "), "spec.command: it is empty"),
}


def test_files_that_cannot_be_used_are_told_once_and_left_alone(jobs: Jobs, tmp_path: Path) -> None:
    for name, (content, _) in USELESS.items():
        put(jobs, name, content)
    before = {name: (jobs.data / "phjobs" / name).read_bytes() for name in USELESS}
    said = serve_a_while(jobs, tmp_path)
    for name, (_, told) in USELESS.items():
        (line,) = (line for line in said.splitlines() if f"/phjobs/{ascii(name)[1:-1]} is left alone" in line)
        assert told in line
    assert "\x1b" not in said
    assert {name: (jobs.data / "phjobs" / name).read_bytes() for name in USELESS} == before
    assert [each.name for each in (jobs.data / "jobs").iterdir()] == ["last"]
    assert not (tmp_path / "ran").exists()


def test_what_is_no_file_of_a_phjob_is_ignored(jobs: Jobs, tmp_path: Path) -> None:
    put(jobs, "job-1.txt", document("job-1"))
    put(jobs, ".job-2.tmp", document("job-2"))
    folder = jobs.data / "phjobs"
    os.mkfifo(folder / "job-3.json")
    (folder / "job-4.json").mkdir()
    (tmp_path / "elsewhere").write_text(json.dumps(document("job-5")))
    (folder / "job-5.json").symlink_to(tmp_path / "elsewhere")
    said = serve_a_while(jobs, tmp_path)
    assert "left alone" not in said
    assert [each.name for each in (jobs.data / "jobs").iterdir()] == ["last"]


def test_a_file_that_was_mended_is_looked_at_again(jobs: Jobs) -> None:
    put(jobs, "job-1.json", b"{")
    with serving(jobs) as server:
        assert server.stderr
        assert any("is left alone" in line for line in iter(server.stderr.readline, ""))
        jobs.queue("true")
        wait_for(lambda: jobs.phase() in ENDED)
    assert jobs.phase() == "Succeeded"


def test_a_job_whose_store_has_somebody_s_files_is_not_started(jobs: Jobs, tmp_path: Path) -> None:
    jobs.queue("touch $HOME/ran")
    jobs.places().store.mkdir(parents=True)
    said = serve_a_while(jobs, tmp_path)
    assert said.count("job-1: not started: a job named 'job-1' was here before") == 1
    assert said.count("job-1.json is left alone: it could not be started") == 1
    assert jobs.phase() == ""
    assert not (tmp_path / "ran").exists()


def test_a_name_that_was_used_before_is_never_run_again(jobs: Jobs, tmp_path: Path) -> None:
    jobs.run("true")
    jobs.queue("touch $HOME/ran")
    serve_a_while(jobs, tmp_path)
    assert jobs.phase() == "Failed"
    assert not (tmp_path / "ran").exists()


def test_a_runner_that_another_was_faster_than_is_quiet(jobs: Jobs) -> None:
    jobs.queue("true")
    jobs.places().folder.mkdir(parents=True)
    ended = jobs.run_queued()
    assert (ended.returncode, ended.stderr) == (2, "")
    assert jobs.phase() == ""


def test_a_folder_that_a_runner_is_just_making_is_left_to_it(jobs: Jobs, tmp_path: Path) -> None:
    jobs.queue("touch $HOME/ran")
    jobs.places().folder.mkdir(parents=True)
    serve_a_while(jobs, tmp_path)
    assert jobs.phase() == ""
    assert not (tmp_path / "ran").exists()


def test_a_command_that_is_too_long_for_the_system_is_a_failed_job(jobs: Jobs) -> None:
    jobs.queue(": " + "\x1b" * 150_000)
    with serving(jobs) as server:
        wait_for(lambda: jobs.phase() in ENDED)
        said = stop(jobs, server)
    assert jobs.phjob()["status"]["message"] == "main ended: exit code 126"
    assert "Argument list too long" in said
    assert "\x1b" not in said
    assert len(said) < 3000


def test_settings_that_cannot_be_used_are_told_before_anything_is_made(jobs: Jobs) -> None:
    ended = jobs.end(jobs.serve(PHJOB_ARTIFACT_LIMIT_FILES="many", PHJOB_ARTIFACT_LIMIT_FILE="3"))
    assert ended.returncode == 2
    assert "PHJOB_ARTIFACT_LIMIT_FILES='many': use" in ended.stderr
    assert "PHJOB_ARTIFACT_LIMIT_FILE is no setting" in ended.stderr
    assert not jobs.data.exists()


def test_a_data_directory_that_cannot_be_used_is_told(jobs: Jobs) -> None:
    jobs.data.touch()
    for ended in (jobs.end(jobs.serve()), jobs.create("true")):
        assert ended.returncode == 2
        assert "Choose another place with --data" in ended.stderr


def test_a_server_whose_data_directory_is_removed_ends_and_says_why(jobs: Jobs) -> None:
    with serving(jobs) as server:
        wait_for(address_file(jobs.data).exists)  # before, it is made again by what has yet to start
        (jobs.data / "phjobs").rmdir()
        ended = jobs.end(server)
    assert ended.returncode == 2
    assert f"cannot list {jobs.data}/phjobs" in ended.stderr


def test_a_job_without_a_name_gets_one_which_is_printed(jobs: Jobs) -> None:
    name = jobs.create("printf", "%s", "a b", name=None).stdout.strip()
    assert re.fullmatch(r"job-\d{12}-[0-9a-z]{6}", name)
    assert jobs.phjob(name)["spec"]["command"] == "printf %s 'a b'"
    assert jobs.phase(name) == "Pending"
    assert (jobs.data.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize("trace", ["phjobs/job-1.json", "jobs/job-1", "phfs/groups/test-group/jobArtifacts/job-1"])
def test_a_name_that_is_taken_is_not_queued(jobs: Jobs, trace: str) -> None:
    (jobs.data / trace).mkdir(parents=True)
    before = sorted(jobs.data.rglob("*.json"))
    created = jobs.create("true")
    assert created.returncode == 2
    assert created.stdout == ""
    assert "the job was not queued: a job named 'job-1' was here before" in created.stderr
    assert sorted(jobs.data.rglob("*.json")) == before


@pytest.mark.parametrize(("name", "command"), [("../x", "true"), ("A", "true"), ("job-1", " ")])
def test_what_could_not_be_run_is_not_queued(jobs: Jobs, name: str, command: str) -> None:
    assert jobs.create(command, name=name).returncode == 2
    assert not jobs.data.exists()


@pytest.mark.parametrize("most", ["0", "-1", "x", "1.5", ""])
def test_a_number_of_jobs_that_is_none_is_refused(most: str) -> None:
    ended = cli("serve", f"--jobs={most}")
    assert ended.returncode == 2
    assert "use 1 or more" in ended.stderr


def test_the_help_tells_of_create_and_serve_but_not_of_what_serve_alone_uses() -> None:
    assert {"create", "serve"} <= set(cli("--help").stdout.split())
    assert "run-queued" not in cli("--help").stdout
    assert "--jobs" in cli("serve", "--help").stdout
    assert "phjobs" in cli("create", "--help").stdout
