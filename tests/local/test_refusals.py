"""Invalid input is rejected with exit code 2 and advice, and nothing is changed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest

from local.cli import main
from local.environment import module_environ
from local.paths import JobPaths
from local.phjob_files import StartError, claim
from tests.local.driver import GROUP, JobDriver, wait_for

CLI = (sys.executable, "-P", "-m", "local")


def cli(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a fork of this process, since a new one would need a second to import it."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        pid = os.fork()
        if pid == 0:
            _run_child(arguments, {"HOME": "/nonexistent", "PATH": os.environ["PATH"], **environ}, stdout, stderr)
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except BaseException:  # a timeout
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        texts = [file.read() for file in (stdout, stderr) if file.seek(0) == 0]
    return subprocess.CompletedProcess(arguments, code, *texts)


def _run_child(arguments: Sequence[str], environ: Mapping[str, str], stdout: IO[str], stderr: IO[str]) -> NoReturn:
    code: Any = 70
    try:
        os.environ.clear()
        os.environ.update(environ)
        sys.stdout, sys.stderr = stdout, stderr
        code = main(arguments)
    except SystemExit as error:
        code = error.code or 0
    finally:
        stdout.flush()
        stderr.flush()
        os._exit(code)


def run_refused(jobs: JobDriver, *command: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Call `run` with invalid arguments. Options with upper-case names are variables."""
    environ = {name: text for name, text in options.items() if name.isupper()}
    words = {"data": str(jobs.data), "group": GROUP, "name": "job-1"} | {
        name: text for name, text in options.items() if name not in environ
    }
    return cli("run", *(f"--{name}={text}" for name, text in words.items()), "--", *command, **environ)


def test_used_name_is_rejected_and_nothing_is_overwritten(jobs: JobDriver) -> None:
    jobs.run("mkdir artifacts; echo first > artifacts/f")
    phjob = jobs.phjob()
    result = jobs.run("mkdir artifacts; echo second > artifacts/f")
    assert result.returncode == 2
    assert "a job named 'job-1' exists already" in result.stderr
    assert "another --name" in result.stderr
    assert jobs.artifacts() == {"f": "first\n"}
    assert jobs.phjob() == phjob


def test_name_of_a_running_job_is_rejected(jobs: JobDriver) -> None:
    running = jobs.start("touch ready; read line")
    wait_for((jobs.paths().home / "ready").exists)
    result = jobs.run("true")
    assert result.returncode == 2
    assert "a job named 'job-1' is running" in result.stderr
    assert jobs.wait(running, stdin="\n").returncode == 0


@pytest.mark.parametrize("path", ["phjobs/job-1.json", "phfs/groups/test-group/jobArtifacts/job-1", "jobs/job-1"])
def test_name_is_used_if_any_of_its_paths_exists(jobs: JobDriver, path: str) -> None:
    (jobs.data / path).mkdir(parents=True)
    before = sorted(jobs.data.rglob("*.json"))
    assert jobs.run("true").returncode == 2
    assert sorted(jobs.data.rglob("*.json")) == before


def test_name_stays_free_if_the_job_cannot_be_started(jobs: JobDriver) -> None:
    arguments = ("run", f"--data={jobs.data}", "--name=job-1", "--", "true")
    # No byte can be written, as on a full disk.
    command = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *CLI, *arguments)
    environ = module_environ({"HOME": "/nonexistent"})
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 2
    assert "the job was not started: cannot create the job's folders: File too large" in result.stderr
    assert not list(jobs.data.rglob("*.tmp"))
    assert jobs.run("true").returncode == 0


def test_name_stays_free_if_the_claim_fails_halfway(tmp_path: Path) -> None:
    data, job = tmp_path, "x" * 200
    while (short := 4090 - len(str(JobPaths(data, "group", job).run_folder))) > 1:
        data /= "d" * min(short - 1, 200)
    paths = JobPaths(data, "group", job)  # the path of the run folder is just short enough, those below are too long
    with pytest.raises(StartError, match="File name too long"):
        claim(paths, is_queued=False)
    assert paths.run_folder.parent.exists()
    assert not paths.run_folder.exists()


def test_only_one_of_two_concurrent_runners_gets_the_name(jobs: JobDriver) -> None:
    started = [jobs.start(f"mkdir artifacts; echo {n} > artifacts/{n}") for n in (1, 2)]
    codes = [jobs.wait(process).returncode for process in started]
    assert sorted(codes) == [0, 2]
    winner = codes.index(0) + 1
    assert jobs.artifacts() == {f"{winner}": f"{winner}\n"}


@pytest.mark.parametrize("name", ["../x", "", "x" * 300, "x" * 251, "a/b", ".", "-x", "Job", "a\nb", "a b", "é"])
def test_invalid_job_name_is_rejected(jobs: JobDriver, name: str) -> None:
    result = run_refused(jobs, "true", name=name)
    assert result.returncode == 2
    assert "valid job name: " in result.stderr
    assert not jobs.data.exists()


def test_longest_job_name_is_accepted(jobs: JobDriver) -> None:
    assert jobs.run("mkdir artifacts; echo x > artifacts/f", name="x" * 250).returncode == 0
    assert jobs.artifacts("x" * 250) == {"f": "x\n"}


@pytest.mark.parametrize("group", ["../x", "", "a/b", "x" * 64, "."])
def test_invalid_group_name_is_rejected(jobs: JobDriver, group: str) -> None:
    result = run_refused(jobs, "true", group=group)
    assert result.returncode == 2
    assert "valid group name: " in result.stderr
    assert not jobs.data.exists()


@pytest.mark.parametrize("command", [(), ("",), ("  ",)])
def test_missing_command_is_rejected(jobs: JobDriver, command: tuple[str, ...]) -> None:
    result = run_refused(jobs, *command)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: python -m local run [options] -- COMMAND...")
    assert "no command: put it after `--`" in result.stderr
    assert 'python "$PWD/train.py"' in result.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("LIMIT_FILES", "many"), ("OVER_LIMIT", "sometimes"), ("GRACE_SECONDS", "-1")]
)
def test_invalid_setting_is_rejected_before_anything_runs(jobs: JobDriver, setting: str, value: str) -> None:
    result = run_refused(jobs, "true", **{"PHJOB_ARTIFACT_" + setting: value})
    assert result.returncode == 2
    assert f"PHJOB_ARTIFACT_{setting}='{value}': use" in result.stderr
    assert not jobs.data.exists()


def test_every_invalid_setting_has_its_own_line(jobs: JobDriver) -> None:
    result = run_refused(jobs, "true", PHJOB_ARTIFACT_LIMIT_FILES="many", PHJOB_ARTIFACT_DIGEST="none at all")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("local: the job was not started: PHJOB_ARTIFACT_") for line in lines)


@pytest.mark.parametrize("grace", ["abc", "0", "-1", "nan", ""])
def test_invalid_grace_period_is_rejected(jobs: JobDriver, grace: str) -> None:
    result = run_refused(jobs, "true", grace=grace)
    assert result.returncode == 2
    assert f"argument --grace: '{grace}': use a number from" in result.stderr
    assert not jobs.data.exists()


def test_misspelled_setting_is_reported(jobs: JobDriver) -> None:
    result = jobs.run("true", PHJOB_ARTIFACT_LIMIT_FILE="3")
    assert result.returncode == 0
    assert "PHJOB_ARTIFACT_LIMIT_FILE is not a setting" in result.stderr


def test_uncreatable_data_directory_is_reported_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = cli("run", "--data", str(tmp_path / "file/data"), "--", "true")
    assert result.returncode == 2
    assert f"{tmp_path}/file" in result.stderr
    assert "Choose another directory with --data" in result.stderr


def test_data_directory_with_a_colon_is_rejected(tmp_path: Path) -> None:
    result = cli("run", "--data", str(tmp_path / "a:b"), "--", "true")
    assert result.returncode == 2
    assert "choose another directory" in result.stderr
    assert not (tmp_path / "a:b").exists()


@pytest.mark.parametrize("arguments", [(), ("walk",), ("run", "--nmae", "x", "--", "true"), ("demo", "x")])
def test_invalid_arguments_are_rejected(arguments: tuple[str, ...]) -> None:
    result = cli(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: python -m local")


@pytest.mark.parametrize("subcommand", ["run", "create"])
@pytest.mark.parametrize("words", [("date",), ("--nmae", "x")])
def test_missing_dashes_are_mentioned_in_the_error(subcommand: str, words: tuple[str, ...]) -> None:
    result = cli(subcommand, *words)
    assert result.returncode == 2
    assert result.stderr.startswith(f"usage: python -m local {subcommand} [options] -- COMMAND...")
    assert f"unrecognized arguments: {' '.join(words)}; put the command after `--`" in result.stderr


def test_present_dashes_are_not_mentioned_in_the_error() -> None:
    result = cli("run", "--nmae", "x", "--", "true")
    assert result.stderr.endswith("unrecognized arguments: --nmae x\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
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
def test_help_contains_the_essentials(arguments: tuple[str, ...], words: list[str]) -> None:
    result = cli(*arguments)
    assert result.returncode == 0
    assert [word for word in words if word not in result.stdout] == []
