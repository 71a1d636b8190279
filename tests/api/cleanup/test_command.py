"""The cleanup by hand: what it prints, and what its exit code says."""

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


def test_a_dry_run_shows_each_job_and_why_and_removes_nothing(env: StoreEnvironment) -> None:
    env.fill("due", expires_in=-1e8, legacy_in=None)
    env.fill("kept", expires_in=DAY)
    env.add_phjob("pinned")
    env.retention.pin(env.fill("pinned", expires_in=DAY), "", ALICE)
    code, out = run(env, "--dry-run")
    lines = [line.split(None, 4) for line in out.splitlines()]
    assert code == 0
    assert lines[0] == ["GROUP", "JOB", "EXPIRES", "DUE", "WHY"]
    assert lines[1][:2] + lines[1][3:] == ["a", "due", "yes", "as its expiredAt says"]
    assert lines[2][:2] + lines[2][3:] == ["a", "kept", "no", "as its expiredAt says"]
    assert " ".join(lines[3]) == "a pinned no pinned by alice"
    assert out.endswith("1 of 3 jobs would be removed\n")
    assert len(env.left()) == 3


def test_once_removes_what_is_due_and_says_how_much(env: StoreEnvironment) -> None:
    env.fill("job-1")
    assert run(env, "--once") == (0, "removed 1 of 1 jobs, 3 files, 110 bytes; 0 failed\n")


def test_a_run_that_is_refused_says_why_and_force_goes_on(env: StoreEnvironment) -> None:
    for number in range(3):
        env.fill(f"job-{number}")
    code, out = run(env, "--dry-run")
    assert code == 1
    assert "a run would stop: 3 of 3 jobs are due" in out
    code, out = run(env, "--once")
    assert code == 1
    assert out.startswith("not cleaned: 3 of 3 jobs are due")
    assert run(env, "--once", "--force", "--group", "a")[0] == 0
    assert env.left() == []


def test_while_another_cleans_it_says_so(env: StoreEnvironment) -> None:
    with env.lock.hold():
        assert run(env, "--once") == (1, "not cleaned: another cleanup is running: wait for its end\n")


@pytest.mark.parametrize("what", ["--once", "--dry-run"])
def test_a_group_that_is_none_or_not_there_is_told(env: StoreEnvironment, what: str) -> None:
    env.fill("job-1", "a-b", expires_in=DAY)
    code, out = run(env, what, "--group", "../x")
    assert code == 2
    assert out.startswith("not cleaned: ")
    assert "'../x'" in out
    assert run(env, what, "--group", "a_B", "--group", "nope") == (
        2,
        "not cleaned: there is no such group in the store: nope\n",
    )
    assert run(env, what, "--group", "A_b")[0] == 0


def test_what_is_not_removed_wholly_is_a_failure(env: StoreEnvironment) -> None:
    env.fill("job-1")
    env.store.write("phjob-artifacts/extensions/a/job-1", b"{")
    code, out = run(env, "--once")
    assert (code, out) == (1, "removed 0 of 1 jobs, 0 files, 0 bytes; 1 failed\n")


def test_peoples_names_do_not_reach_the_terminal_as_control_characters(env: StoreEnvironment) -> None:
    env.fill("job-1", expires_in=DAY)
    env.store.write("phjob-artifacts/pins/a/job-1", b'{"version": 1, "by": "\\u001b[2J"}')
    assert "pinned by ?[2J" in run(env, "--dry-run")[1]


@pytest.mark.parametrize("arguments", [[], ["--force"], ["--once", "--dry-run"]])
def test_what_to_do_must_be_said(
    env: StoreEnvironment, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(env, *arguments)
    assert "--dry-run" in capsys.readouterr().err
