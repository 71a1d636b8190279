"""The demo gives the expected results, and reports unexpected ones."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.report import Report, Skipped
from local.api_demo import run_api_demo
from local.demo import STEPS, DemoStep, check_step
from local.environment import module_environ

STEP = DemoStep("a-job", "title", "command", files={"f": b"x"}, skipped={"over_limit": 2}, exit_code=7)
REPORT = Report("a-job", state="sealed", skipped={"over_limit": Skipped(2)})


def run_demo(folder: Path, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with a temporary directory and environment variables."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "local", "demo", *options],
        env=module_environ({"TMPDIR": str(folder), "PATH": "/usr/bin:/bin", **environ}),
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )


@pytest.mark.timeout(150)
def test_demo_gives_the_expected_results_and_keeps_its_files_on_request(tmp_path: Path) -> None:
    result = run_demo(tmp_path, "--keep", PHJOB_ARTIFACT_LIMIT_FILES="0")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"all {len(STEPS)} jobs and the API gave the expected results" in result.stdout
    for text in ('"name": "sub/test.txt", "size": 6', "b'hello\\n'", '{"cleanupPhJobArtifact": 1}', '"items": []'):
        assert text in result.stdout
    assert all(step.title in result.stdout for step in STEPS)
    (data,) = tmp_path.iterdir()
    assert (data / "phfs/groups/demo/jobArtifacts/linked-folder/answer.txt").read_text() == "42\n"


@pytest.mark.timeout(150)
def test_demo_prints_unexpected_results_fails_and_deletes_its_files(tmp_path: Path) -> None:
    result = run_demo(tmp_path, PATH="/nonexistent")
    assert result.returncode == 1
    assert "UNEXPECTED: first-steps: " in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_api_demo_returns_unexpected_results(tmp_path: Path) -> None:
    (problem,) = run_api_demo(tmp_path, "demo", "no-such-job", "f", b"x", {"PATH": "/usr/bin:/bin"})
    assert '"no-such-job" not found' in problem


def test_expected_result_has_no_problem() -> None:
    assert check_step(STEP, 7, {"f": b"x"}, REPORT) == []


@pytest.mark.parametrize(
    ("exit_code", "files", "report", "problem"),
    [
        (0, {"f": b"x"}, REPORT, "exit code: 0 instead of 7"),
        (7, {}, REPORT, "collected files: {} instead of {'f': b'x'}"),
        (7, {"f": b"y"}, REPORT, "collected files: {'f': b'y'} instead of {'f': b'x'}"),
        (7, {"f": b"x"}, replace(REPORT, state="incomplete"), "state: 'incomplete' instead of 'sealed'"),
        (7, {"f": b"x"}, replace(REPORT, skipped={}), "skipped files: {} instead of {'over_limit': 2}"),
    ],
)
def test_unexpected_result_is_a_problem(exit_code: int, files: dict[str, bytes], report: Report, problem: str) -> None:
    assert check_step(STEP, exit_code, files, report) == [problem]
