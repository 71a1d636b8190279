"""The sidecar is restarted while main runs and stopped afterwards; its failures do not change the job's result."""

import os
import pty
import signal
import subprocess

import pytest

from tests.local.driver import JobDriver, is_alive, sidecar_of, wait_for

WAITS_FOR_LINE = "mkdir artifacts; echo x > artifacts/f; touch ready; read line"


def start(jobs: JobDriver, **options: str) -> tuple[subprocess.Popen[str], int]:
    """Start a job that runs until it reads a line; return its process and its sidecar's process id."""
    started = jobs.start(WAITS_FOR_LINE, options={f"--{name}": value for name, value in options.items()})
    wait_for((jobs.paths().home / "ready").exists)
    sidecar = sidecar_of(started.pid)
    assert sidecar
    return started, sidecar


def kill_sidecar(started: subprocess.Popen[str], sidecar: int) -> int:
    """Kill the sidecar, wait for its restart, and return the new process id."""
    os.kill(sidecar, signal.SIGKILL)
    wait_for(lambda: sidecar_of(started.pid) not in (None, sidecar))
    restarted = sidecar_of(started.pid)
    assert restarted
    return restarted


def let_main_end(jobs: JobDriver, started: subprocess.Popen[str]) -> None:
    """Send the line, and wait until the runner has noticed main's end."""
    assert started.stdin
    started.stdin.write("\n")
    started.stdin.flush()
    wait_for(jobs.paths().main_status.exists)


def test_killed_sidecar_is_restarted(jobs: JobDriver) -> None:
    started, sidecar = start(jobs)
    kill_sidecar(started, sidecar)
    result = jobs.wait(started, stdin="\n")
    assert result.returncode == 0
    assert jobs.artifacts() == {"f": "x\n"}
    assert jobs.phjob()["status"]["artifact"]["state"] == "sealed"
    assert "ended with code -9 while the job runs; restarting it in 0 seconds" in result.stderr


def test_sidecar_waiting_for_its_restart_is_started_when_main_ends(jobs: JobDriver) -> None:
    started, sidecar = start(jobs)
    os.kill(kill_sidecar(started, sidecar), signal.SIGKILL)
    wait_for(lambda: sidecar_of(started.pid) is None)
    result = jobs.wait(started, stdin="\n")
    assert "restarting it in 1 seconds" in result.stderr
    assert jobs.artifacts() == {"f": "x\n"}
    assert jobs.report().sealed_at > 0


def test_hanging_sidecar_is_killed_and_the_job_succeeds(jobs: JobDriver) -> None:
    started, sidecar = start(jobs, grace="1")
    os.kill(sidecar, signal.SIGSTOP)
    result = jobs.wait(started, stdin="\n")
    assert not is_alive(sidecar)
    assert result.returncode == 0
    assert "did not finish and was killed" in result.stderr
    status = jobs.phjob()["status"]
    assert (status["phase"], status["artifact"]["state"]) == ("Succeeded", "incomplete")
    assert str(jobs.paths().sidecar_log) in result.stderr


def test_second_ctrl_c_during_the_last_sync_ends_the_wait(jobs: JobDriver) -> None:
    started, sidecar = start(jobs, grace="600")
    os.kill(sidecar, signal.SIGSTOP)
    let_main_end(jobs, started)
    os.killpg(started.pid, signal.SIGINT)
    assert started.stderr
    assert any("press Ctrl-C again" in line for line in iter(started.stderr.readline, ""))
    os.killpg(started.pid, signal.SIGINT)
    assert jobs.wait(started).returncode == 0
    assert jobs.phjob()["status"]["phase"] == "Succeeded"


def test_without_grace_the_second_ctrl_c_ends_the_last_sync_with_a_report(jobs: JobDriver) -> None:
    """The store is broken, so that the last sync retries: there is no grace period in which it must end."""
    command = f"touch phfs/jobArtifacts; {WAITS_FOR_LINE}"
    started = jobs.start(command)
    wait_for((jobs.paths().home / "ready").exists)
    let_main_end(jobs, started)
    wait_for(lambda: "max_seconds=unlimited" in jobs.paths().sidecar_log.read_text())
    assert started.stderr
    os.killpg(started.pid, signal.SIGINT)
    assert any("press Ctrl-C again" in line for line in iter(started.stderr.readline, ""))
    os.killpg(started.pid, signal.SIGINT)
    result = jobs.wait(started)
    assert result.returncode == 0
    assert "killed" not in result.stderr
    assert "artifacts (incomplete): 0 of 1 files are in the store; store_error: f" in result.stderr


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_of_the_last_sync_is_shown_only_on_a_terminal(jobs: JobDriver, terminal: bool) -> None:
    reader, writer = pty.openpty() if terminal else os.pipe()
    try:
        started = jobs.start(WAITS_FOR_LINE, stderr=writer)
        os.close(writer)
        wait_for((jobs.paths().home / "ready").exists)
        sidecar = sidecar_of(started.pid)
        assert sidecar
        os.kill(sidecar, signal.SIGSTOP)
        summary = b'{"version":1,"state":"syncing","todoFiles":12,"todoBytes":3145728}'
        jobs.paths().termination_log.write_bytes(summary)
        let_main_end(jobs, started)
        output = os.read(reader, 65536)
        if terminal:
            while b"collecting artifacts: 12 files (3.0 MB) remaining" not in output:
                output += os.read(reader, 65536)
        os.kill(sidecar, signal.SIGCONT)
        jobs.wait(started)
        output += os.read(reader, 65536)
    finally:
        os.close(reader)
    assert (b"remaining" in output) == (b"\x1b" in output) == terminal
    assert b"job-1: Succeeded" in output
