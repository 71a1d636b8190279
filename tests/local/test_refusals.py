"""What is not started at all: exit code 2, a message that says what to do, and nothing touched."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.environment import module_environ
from local.phjobs import NotStarted, claim
from local.places import Places
from tests.local.jobs import Jobs, wait_for

CLI = (sys.executable, "-P", "-m", "local")


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(*CLI, *arguments)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=module_environ({"HOME": "/nonexistent"}),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_name_that_is_taken_is_refused_and_nothing_overwritten(jobs: Jobs) -> None:
    jobs.run("mkdir artifacts; echo first > artifacts/f")
    phjob = jobs.phjob()
    ended = jobs.run("mkdir artifacts; echo second > artifacts/f")
    assert ended.returncode == 2
    assert "a job named 'job-1' was here before" in ended.stderr
    assert "another --name" in ended.stderr
    assert jobs.kept() == {"f": "first\n"}
    assert jobs.phjob() == phjob


def test_a_name_of_a_running_job_is_refused_and_said_to_run(jobs: Jobs) -> None:
    running = jobs.start("touch ready; read line")
    wait_for((jobs.places().home / "ready").exists)
    ended = jobs.run("true")
    assert ended.returncode == 2
    assert "a job named 'job-1' is running" in ended.stderr
    assert jobs.end(running, stdin="\n").returncode == 0


@pytest.mark.parametrize("trace", ["phjobs/job-1.json", "phfs/groups/test-group/jobArtifacts/job-1", "jobs/job-1"])
def test_any_trace_of_a_job_of_that_name_is_enough_to_refuse(jobs: Jobs, trace: str) -> None:
    (jobs.data / trace).mkdir(parents=True)
    before = sorted(jobs.data.rglob("*.json"))
    assert jobs.run("true").returncode == 2
    assert sorted(jobs.data.rglob("*.json")) == before


def test_a_job_that_was_not_started_leaves_its_name_free(jobs: Jobs) -> None:
    arguments = ("run", f"--data={jobs.data}", "--name=job-1", "--", "true")
    ended = run(
        "sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *CLI, *arguments
    )  # as on a full disk, no byte can be written
    assert ended.returncode == 2
    assert "the job was not started: cannot make the job's folders: File too large" in ended.stderr
    assert not list(jobs.data.rglob("*.tmp"))
    assert jobs.run("true").returncode == 0


def test_a_claim_that_fails_half_way_leaves_its_name_free(tmp_path: Path) -> None:
    data, job = tmp_path, "x" * 200
    while (short := 4090 - len(str(Places(data, "group", job).folder))) > 1:
        data /= "d" * min(short - 1, 200)
    places = Places(data, "group", job)  # its folder's path is just short enough, those below it are too long
    with pytest.raises(NotStarted, match="File name too long"):
        claim(places, queued=False)
    assert places.folder.parent.exists()
    assert not places.folder.exists()


def test_of_two_runners_that_want_one_name_at_once_one_gets_it(jobs: Jobs) -> None:
    started = [jobs.start(f"mkdir artifacts; echo {n} > artifacts/{n}") for n in (1, 2)]
    codes = [jobs.end(each).returncode for each in started]
    assert sorted(codes) == [0, 2]
    winner = codes.index(0) + 1
    assert jobs.kept() == {f"{winner}": f"{winner}\n"}


@pytest.mark.parametrize("name", ["../x", "", "x" * 300, "x" * 251, "a/b", ".", "-x", "Job", "a\nb", "a b", "é"])
def test_names_that_may_not_be_a_job_s_are_refused(jobs: Jobs, name: str) -> None:
    ended = jobs.run("true", name=name)
    assert ended.returncode == 2
    assert "is no valid job name: " in ended.stderr
    assert not jobs.data.exists()


def test_the_longest_name_that_is_allowed_runs(jobs: Jobs) -> None:
    assert jobs.run("mkdir artifacts; echo x > artifacts/f", name="x" * 250).returncode == 0
    assert jobs.kept("x" * 250) == {"f": "x\n"}


@pytest.mark.parametrize("group", ["../x", "", "a/b", "x" * 64, "."])
def test_names_that_may_not_be_a_group_s_are_refused(jobs: Jobs, group: str) -> None:
    ended = jobs.run("true", options={"--group": group})
    assert ended.returncode == 2
    assert "is no valid group name: " in ended.stderr
    assert not jobs.data.exists()


@pytest.mark.parametrize("command", [(), ("",), ("  ",)])
def test_a_job_without_a_command_is_refused(jobs: Jobs, command: tuple[str, ...]) -> None:
    ended = jobs.run(*command)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: python -m local run [options] -- COMMAND...")
    assert "no command: put it after `--`" in ended.stderr
    assert 'python "$PWD/train.py"' in ended.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("LIMIT_FILES", "many"), ("OVER_LIMIT", "sometimes"), ("GRACE_SECONDS", "-1")]
)
def test_settings_that_cannot_be_used_are_refused_before_anything_runs(jobs: Jobs, setting: str, value: str) -> None:
    ended = jobs.run("true", options={}, **{"PHJOB_ARTIFACT_" + setting: value})
    assert ended.returncode == 2
    assert f"PHJOB_ARTIFACT_{setting}='{value}': use" in ended.stderr
    assert not jobs.data.exists()


def test_every_setting_that_cannot_be_used_has_a_line_of_its_own(jobs: Jobs) -> None:
    ended = jobs.run("true", PHJOB_ARTIFACT_LIMIT_FILES="many", PHJOB_ARTIFACT_DIGEST="none at all")
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("local: the job was not started: PHJOB_ARTIFACT_") for line in lines)


@pytest.mark.parametrize("grace", ["abc", "0", "-1", "nan", ""])
def test_a_grace_period_that_is_none_is_refused_by_its_own_name(jobs: Jobs, grace: str) -> None:
    ended = jobs.run("true", options={"--grace": grace})
    assert ended.returncode == 2
    assert f"argument --grace: '{grace}': use a number from" in ended.stderr
    assert not jobs.data.exists()


def test_a_misspelled_setting_is_told(jobs: Jobs) -> None:
    ended = jobs.run("true", PHJOB_ARTIFACT_LIMIT_FILE="3")
    assert ended.returncode == 0
    assert "PHJOB_ARTIFACT_LIMIT_FILE is no setting" in ended.stderr


def test_a_data_directory_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = cli("run", "--data", str(tmp_path / "file/data"), "--", "true")
    assert ended.returncode == 2
    assert f"{tmp_path}/file" in ended.stderr
    assert "Choose another place with --data" in ended.stderr


def test_a_data_directory_whose_path_cannot_be_told_is_refused(tmp_path: Path) -> None:
    ended = cli("run", "--data", str(tmp_path / "a:b"), "--", "true")
    assert ended.returncode == 2
    assert "choose another directory" in ended.stderr
    assert not (tmp_path / "a:b").exists()


@pytest.mark.parametrize("arguments", [(), ("walk",), ("run", "--nmae", "x", "--", "true"), ("demo", "x")])
def test_arguments_that_mean_nothing_are_refused(arguments: tuple[str, ...]) -> None:
    ended = cli(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: python -m local")


@pytest.mark.parametrize("subcommand", ["run", "create"])
@pytest.mark.parametrize("words", [("date",), ("--nmae", "x")])
def test_who_forgets_the_two_dashes_is_told_of_them(subcommand: str, words: tuple[str, ...]) -> None:
    ended = cli(subcommand, *words)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"usage: python -m local {subcommand} [options] -- COMMAND...")
    assert f"unrecognized arguments: {' '.join(words)}; put the command after `--`" in ended.stderr


def test_who_has_the_two_dashes_is_not_told_of_them() -> None:
    ended = cli("run", "--nmae", "x", "--", "true")
    assert ended.stderr.endswith("unrecognized arguments: --nmae x\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--help",), ["run", "demo", "artifacts"]),
        (
            ("run", "--help"),
            [
                "-- COMMAND",
                "--data",
                "--name",
                "Ctrl-C",
                "exit code",
                "$PWD/",
                "empty folder",
                "PHJOB_ARTIFACT_LIMIT_FILES=1000",
            ],
        ),
        (("demo", "--help"), ["--keep", "temporary"]),
    ],
)
def test_the_help_tells_what_a_stranger_needs(arguments: tuple[str, ...], told: list[str]) -> None:
    ended = cli(*arguments)
    assert ended.returncode == 0
    assert [word for word in told if word not in ended.stdout] == []
