"""The demo keeps what it promises, and would tell if it did not."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.report import Report, Skipped
from local.demo import STEPS, Step, check
from local.environment import module_environ
from local.tour import tour

STEP = Step("a-job", "title", "command", kept={"f": b"x"}, skipped={"over_limit": 2}, exit_code=7)
REPORT = Report("a-job", state="sealed", skipped={"over_limit": Skipped(2)})


def run_demo(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "local", "demo", *options],
        env=module_environ({"TMPDIR": str(folder), "PATH": "/usr/bin:/bin", **environ}),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_every_job_of_the_demo_is_as_promised_and_nothing_is_left(tmp_path: Path) -> None:
    ended = run_demo(tmp_path, PHJOB_ARTIFACT_LIMIT_FILES="0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"all {len(STEPS)} jobs are as promised, and so is the API" in ended.stdout
    for told in ('"name": "sub/test.txt", "size": 6', "b'hello\\n'", '{"cleanupPhJobArtifact": 1}', '"items": []'):
        assert told in ended.stdout
    assert all(step.title in ended.stdout for step in STEPS)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_can_leave_its_files(tmp_path: Path) -> None:
    run_demo(tmp_path, "--keep")
    (data,) = tmp_path.iterdir()
    assert (data / "phfs/groups/demo/jobArtifacts/linked-folder/answer.txt").read_text() == "42\n"


def test_a_demo_that_is_not_as_promised_fails_and_says_what(tmp_path: Path) -> None:
    ended = run_demo(tmp_path, PATH="/nonexistent")
    assert ended.returncode == 1
    assert "NOT AS PROMISED: first-steps: " in ended.stdout


def test_an_api_that_is_not_as_promised_is_told(tmp_path: Path) -> None:
    (problem,) = tour(tmp_path, "demo", "no-such-job", "f", b"x", {"PATH": "/usr/bin:/bin"})
    assert '"no-such-job" not found' in problem


def test_a_step_that_is_as_promised_has_no_problem() -> None:
    assert check(STEP, 7, {"f": b"x"}, REPORT) == []


@pytest.mark.parametrize(
    ("exit_code", "kept", "report", "problem"),
    [
        (0, {"f": b"x"}, REPORT, "exit code: 0, not 7"),
        (7, {}, REPORT, "files kept: {}, not {'f': b'x'}"),
        (7, {"f": b"y"}, REPORT, "files kept: {'f': b'y'}, not {'f': b'x'}"),
        (7, {"f": b"x"}, replace(REPORT, state="incomplete"), "state: 'incomplete', not 'sealed'"),
        (7, {"f": b"x"}, replace(REPORT, skipped={}), "skipped: {}, not {'over_limit': 2}"),
    ],
)
def test_a_step_that_is_not_as_promised_is_told(
    exit_code: int, kept: dict[str, bytes], report: Report, problem: str
) -> None:
    assert check(STEP, exit_code, kept, report) == [problem]
