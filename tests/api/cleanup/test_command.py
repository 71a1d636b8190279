"""The command `cleanup`: its output and its exit codes."""

import argparse
import io
from pathlib import Path

import pytest

from api.cleanup.command import add_cleanup_options, run_cleanup
from tests.api.cleanup.environment import ALICE, DAY, StoreEnvironment, directory_environment


@pytest.fixture
def env(tmp_path: Path) -> StoreEnvironment:
    return directory_environment(tmp_path / "phfs", {"PHJOB_CLEANUP_FLOOR": "1", "PHJOB_CLEANUP_MAX_SHARE": "0.4"})


def run(env: StoreEnvironment, *arguments: str) -> tuple[int, str]:
    parser, out = argparse.ArgumentParser(), io.StringIO()
    add_cleanup_options(parser)
    code = run_cleanup(env.cleaner, parser.parse_args(arguments), out)
    return code, out.getvalue()


def test_a_dry_run_lists_each_job_with_its_reason_and_removes_nothing(env: StoreEnvironment) -> None:
    env.add_phjob("due")
    env.add_folder("due", expires_in=-1e8, legacy_in=None)
    env.add_folder("kept", expires_in=DAY)
    env.add_phjob("pinned")
    env.retention.pin(env.add_folder("pinned", expires_in=DAY), "", ALICE)
    code, out = run(env, "--dry-run")
    lines = [line.split(None, 4) for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["GROUP", "JOB", "EXPIRES", "DUE", "REASON"]
    assert lines[1][:2] + lines[1][3:] == [
        "a",
        "due",
        "yes",
        "7 days from the job's end, because its expiredAt is earlier",
    ]
    assert lines[2][:2] + lines[2][3:] == ["a", "kept", "no", "the time in its expiredAt"]
    assert " ".join(lines[3]) == "a pinned no pinned by alice"
    assert out.endswith("1 of 3 jobs would be removed\n")
    assert len(env.remaining_jobs()) == 3


def test_once_removes_the_due_folders_and_prints_the_counts(env: StoreEnvironment) -> None:
    env.add_folder("job-1")
    assert run(env, "--once") == (0, "removed 1 of 1 jobs, 3 files, 110 bytes; 0 failed\n")


def test_a_refused_run_prints_the_reason_and_can_be_forced(env: StoreEnvironment) -> None:
    for number in range(3):
        env.add_folder(f"job-{number}")
    code, out = run(env, "--dry-run")
    assert code == 1
    assert "a run would be refused: 3 of 3 jobs are due" in out
    code, out = run(env, "--once")
    assert code == 1
    assert out.startswith("cleanup failed: 3 of 3 jobs are due")
    assert run(env, "--once", "--force", "--group", "a")[0] == 0
    assert env.remaining_jobs() == []


def test_a_concurrent_run_is_reported(env: StoreEnvironment) -> None:
    with env.lock.hold():
        assert run(env, "--once") == (1, "cleanup failed: another cleanup is running: retry when it has finished\n")


@pytest.mark.parametrize("option", ["--once", "--dry-run"])
def test_an_invalid_or_missing_group_exits_with_code_2(env: StoreEnvironment, option: str) -> None:
    env.add_folder("job-1", "a-b", expires_in=DAY)
    code, out = run(env, option, "--group", "../x")
    assert code == 2
    assert out.startswith("cleanup failed: ")
    assert "'../x'" in out
    assert run(env, option, "--group", "a_B", "--group", "nope") == (
        2,
        "cleanup failed: no such group in the store: nope\n",
    )
    assert run(env, option, "--group", "A_b")[0] == 0


def test_a_folder_that_fails_exits_with_code_1(env: StoreEnvironment) -> None:
    env.add_folder("job-1")
    env.store.write("phjob-artifacts/extensions/a/job-1", b"{")
    code, out = run(env, "--once")
    assert (code, out) == (1, "removed 0 of 1 jobs, 0 files, 0 bytes; 1 failed\n")


def test_control_characters_in_names_are_replaced(env: StoreEnvironment) -> None:
    env.add_folder("job-1", expires_in=DAY)
    env.store.write("phjob-artifacts/pins/a/job-1", b'{"version": 1, "by": "\\u001b[2J"}')
    assert "pinned by ?[2J" in run(env, "--dry-run")[1]


@pytest.mark.parametrize("arguments", [[], ["--force"], ["--once", "--dry-run"]])
def test_exactly_one_mode_is_required(
    env: StoreEnvironment, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(env, *arguments)
    assert "--dry-run" in capsys.readouterr().err
