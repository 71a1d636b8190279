"""Ctrl-C and SIGTERM cancel a job as in a cluster, and its artifacts are collected."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.local.driver import JobDriver, children, is_alive, kill, sidecar_of, wait_for

READY = "mkdir artifacts; echo early > artifacts/early;"
EXITS_ON_SIGTERM = READY + "trap 'echo late > artifacts/late; exit 0' TERM; touch ready; while :; do sleep 0.01; done"
IGNORES_SIGTERM = READY + "trap '' TERM; touch ready; while :; do sleep 0.01; done"
# A terminal sends signals to the whole foreground process group, `kill` only to the runner.
SIGNALS = [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill), (signal.SIGHUP, os.killpg)]


@pytest.fixture(autouse=True)
def default_sighup() -> Iterator[None]:
    """Restore the default handling of SIGHUP, since these tests may run under nohup."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


def start(jobs: JobDriver, command: str, **options: str) -> subprocess.Popen[str]:
    """Start a job and wait until its command runs."""
    process = jobs.start(command, options={f"--{name}": value for name, value in options.items()})
    wait_for((jobs.paths().home / "ready").exists)
    return process


@pytest.mark.parametrize(("number", "send"), SIGNALS, ids=lambda value: getattr(value, "name", None))
def test_artifacts_of_a_cancelled_job_are_collected(jobs: JobDriver, number: int, send: object) -> None:
    started = start(jobs, EXITS_ON_SIGTERM)
    assert callable(send)
    send(started.pid, number)
    result = jobs.wait(started)
    assert result.returncode == 128 + number, "a cancelled job never exits with 0"
    assert "the collector" not in result.stderr, "the collector must not receive the signal"
    assert jobs.artifacts() == {"early": "early\n", "late": "late\n"}
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "Cancelled")
    assert status["artifact"]["state"] == "sealed"
    assert jobs.report().main == {"exitCode": 0, "reason": "Cancelled"}


def test_job_that_ignores_sigterm_is_killed_after_the_grace_period(jobs: JobDriver) -> None:
    started = start(jobs, IGNORES_SIGTERM, grace="1")
    sent_at = time.monotonic()
    started.send_signal(signal.SIGINT)
    result = jobs.wait(started)
    assert time.monotonic() - sent_at >= 1
    assert result.returncode == 128 + signal.SIGKILL
    assert jobs.artifacts() == {"early": "early\n"}
    assert jobs.phjob()["status"]["phase"] == "Cancelled"


def test_second_ctrl_c_kills_immediately(jobs: JobDriver) -> None:
    started = start(jobs, IGNORES_SIGTERM, grace="600")
    (main,) = (pid for pid, command in children(started.pid).items() if command.startswith("sh -c"))
    os.killpg(started.pid, signal.SIGINT)
    time.sleep(0.3)
    assert is_alive(main)
    os.killpg(started.pid, signal.SIGINT)
    assert jobs.wait(started).returncode == 128 + signal.SIGKILL
    assert jobs.artifacts() == {"early": "early\n"}


def test_job_cancelled_while_it_starts_ends_cancelled(jobs: JobDriver) -> None:
    started = jobs.start("sleep 1000")
    wait_for(lambda: sidecar_of(started.pid))
    started.send_signal(signal.SIGTERM)
    assert jobs.wait(started).returncode == 128 + signal.SIGTERM
    assert jobs.phjob()["status"]["phase"] == "Cancelled"


def test_signal_ignored_by_the_parent_process_stays_ignored(jobs: JobDriver) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        started = start(jobs, READY + "touch ready; read line")
    finally:
        signal.signal(signal.SIGHUP, previous)
    started.send_signal(signal.SIGHUP)
    assert jobs.wait(started, stdin="\n").returncode == 0
    assert jobs.phjob()["status"]["phase"] == "Succeeded"


def test_killed_runner_takes_main_and_sidecar_along(jobs: JobDriver) -> None:
    started = start(jobs, EXITS_ON_SIGTERM)
    child_pids = children(started.pid)
    assert len(child_pids) == 2
    started.kill()
    started.wait()
    try:
        wait_for(lambda: not any(map(is_alive, child_pids)))
    finally:
        kill(child_pids)
    assert jobs.artifacts()["early"] == "early\n", "the sidecar syncs once before it ends"
    assert jobs.phjob()["status"]["phase"] == "Running"
    again = jobs.run("true")
    assert again.returncode == 2

    assert "exists already" in again.stderr
