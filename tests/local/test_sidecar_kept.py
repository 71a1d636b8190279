"""The sidecar is kept alive while main runs, told when it has ended, and never decides how the job fares."""

import os
import pty
import signal
import subprocess

import pytest

from tests.local.jobs import Jobs, is_alive, sidecar_of, wait_for

WAITS = "mkdir artifacts; echo x > artifacts/f; touch ready; read line"


def start(jobs: Jobs, **options: str) -> tuple[subprocess.Popen[str], int]:
    """A job that runs until it gets a line, and its sidecar."""
    started = jobs.start(WAITS, options={f"--{name}": value for name, value in options.items()})
    wait_for((jobs.places().home / "ready").exists)
    sidecar = sidecar_of(started.pid)
    assert sidecar
    return started, sidecar


def restarted(started: subprocess.Popen[str], killed: int) -> int:
    """Kill the sidecar; returns the next one."""
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: sidecar_of(started.pid) not in (None, killed))
    found = sidecar_of(started.pid)
    assert found
    return found


def let_main_end(jobs: Jobs, started: subprocess.Popen[str]) -> None:
    assert started.stdin
    started.stdin.write("\n")
    started.stdin.flush()
    wait_for(jobs.places().main_status.exists)


def test_a_killed_sidecar_is_started_again_and_the_job_goes_on(jobs: Jobs) -> None:
    started, sidecar = start(jobs)
    restarted(started, sidecar)
    ended = jobs.end(started, stdin="\n")
    assert ended.returncode == 0
    assert jobs.kept() == {"f": "x\n"}
    assert jobs.phjob()["status"]["artifact"]["state"] == "sealed"
    assert "ended (-9) while the job runs; again in 0 seconds" in ended.stderr


def test_a_sidecar_that_waits_to_be_started_again_is_started_when_main_ends(jobs: Jobs) -> None:
    started, sidecar = start(jobs)
    os.kill(restarted(started, sidecar), signal.SIGKILL)
    wait_for(lambda: sidecar_of(started.pid) is None)
    ended = jobs.end(started, stdin="\n")
    assert "again in 1 seconds" in ended.stderr
    assert jobs.kept() == {"f": "x\n"}
    assert jobs.report().sealed_at > 0


def test_a_sidecar_that_does_not_end_is_killed_and_the_job_fares_as_it_did(jobs: Jobs) -> None:
    started, sidecar = start(jobs, grace="1")
    os.kill(sidecar, signal.SIGSTOP)
    ended = jobs.end(started, stdin="\n")
    assert not is_alive(sidecar)
    assert ended.returncode == 0
    assert "had not finished and was killed" in ended.stderr
    status = jobs.phjob()["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "incomplete")
    assert str(jobs.places().sidecar_log) in ended.stderr


def test_ctrl_c_during_the_last_sync_asks_once_and_then_gives_up(jobs: Jobs) -> None:
    started, sidecar = start(jobs, grace="600")
    os.kill(sidecar, signal.SIGSTOP)
    let_main_end(jobs, started)
    os.killpg(started.pid, signal.SIGINT)
    assert started.stderr
    assert any("once more to give up" in line for line in iter(started.stderr.readline, ""))
    os.killpg(started.pid, signal.SIGINT)
    assert jobs.end(started).returncode == 0
    assert jobs.phjob()["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_last_sync_shows_its_progress_on_a_terminal_alone(jobs: Jobs, terminal: bool) -> None:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    try:
        started = jobs.start(WAITS, stderr=theirs)
        os.close(theirs)
        wait_for((jobs.places().home / "ready").exists)
        sidecar = sidecar_of(started.pid)
        assert sidecar
        os.kill(sidecar, signal.SIGSTOP)
        words = b'{"version":1,"state":"syncing","todoFiles":12,"todoBytes":3145728}'
        jobs.places().termination_log.write_bytes(words)
        let_main_end(jobs, started)
        shown = os.read(ours, 65536)
        if terminal:
            while b"collecting artifacts: 12 files (3.0 MB) to go" not in shown:
                shown += os.read(ours, 65536)
        os.kill(sidecar, signal.SIGCONT)
        jobs.end(started)
        shown += os.read(ours, 65536)
    finally:
        os.close(ours)
    assert (b"to go" in shown) == (b"\x1b" in shown) == terminal
    assert b"job-1: Succeeded" in shown
