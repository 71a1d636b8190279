"""Ctrl-C and SIGTERM: the job ends as a cancelled one does in a cluster, and keeps what it has by then."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.local.jobs import Jobs, children, is_alive, kill, sidecar_of, wait_for

READY = "mkdir artifacts; echo early > artifacts/early;"
POLITE = READY + "trap 'echo late > artifacts/late; exit 0' TERM; touch ready; while :; do sleep 0.01; done"
STUBBORN = READY + "trap '' TERM; touch ready; while :; do sleep 0.01; done"
# A terminal's signals go to all of the foreground group; others to the runner alone.
SIGNALS = [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill), (signal.SIGHUP, os.killpg)]


@pytest.fixture(autouse=True)
def hangups() -> Iterator[None]:
    """As in a terminal, though these tests may run under nohup."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


def start(jobs: Jobs, command: str, **options: str) -> subprocess.Popen[str]:
    given = {f"--{name}": value for name, value in options.items()}
    started = jobs.start(command, options=given)
    wait_for((jobs.places().home / "ready").exists)
    return started


@pytest.mark.parametrize(("number", "send"), SIGNALS, ids=lambda value: getattr(value, "name", None))
def test_a_cancelled_job_may_end_by_itself_and_keeps_its_artifacts(jobs: Jobs, number: int, send: object) -> None:
    started = start(jobs, POLITE)
    assert callable(send)
    send(started.pid, number)
    ended = jobs.end(started)
    assert ended.returncode == 128 + number, "a cancelled job never exits with 0"
    assert "the collector" not in ended.stderr, "it does not receive the signal"
    assert jobs.kept() == {"early": "early\n", "late": "late\n"}
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "Cancelled")
    assert status["artifact"]["state"] == "sealed"
    assert jobs.report().main == {"exitCode": 0, "reason": "Cancelled"}


def test_a_job_that_does_not_end_is_killed_after_the_grace_period(jobs: Jobs) -> None:
    started = start(jobs, STUBBORN, grace="1")
    sent_at = time.monotonic()
    started.send_signal(signal.SIGINT)
    ended = jobs.end(started)
    assert time.monotonic() - sent_at >= 1
    assert ended.returncode == 128 + signal.SIGKILL
    assert jobs.kept() == {"early": "early\n"}
    assert jobs.phjob()["status"]["phase"] == "Cancelled"


def test_a_second_ctrl_c_kills_at_once(jobs: Jobs) -> None:
    started = start(jobs, STUBBORN, grace="600")
    (main,) = (pid for pid, command in children(started.pid).items() if command.startswith("sh -c"))
    os.killpg(started.pid, signal.SIGINT)
    time.sleep(0.3)
    assert is_alive(main)
    os.killpg(started.pid, signal.SIGINT)
    assert jobs.end(started).returncode == 128 + signal.SIGKILL
    assert jobs.kept() == {"early": "early\n"}


def test_a_job_cancelled_as_it_starts_is_cancelled(jobs: Jobs) -> None:
    started = jobs.start("sleep 1000")
    wait_for(lambda: sidecar_of(started.pid))
    started.send_signal(signal.SIGTERM)
    assert jobs.end(started).returncode == 128 + signal.SIGTERM
    assert jobs.phjob()["status"]["phase"] == "Cancelled"


def test_a_signal_that_the_runner_s_parent_ignores_stays_ignored(jobs: Jobs) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        started = start(jobs, READY + "touch ready; read line")
    finally:
        signal.signal(signal.SIGHUP, previous)
    started.send_signal(signal.SIGHUP)
    assert jobs.end(started, stdin="\n").returncode == 0
    assert jobs.phjob()["status"]["phase"] == "Succeeded"


def test_a_killed_runner_takes_its_job_along_and_leaves_a_phjob_that_is_not_running(jobs: Jobs) -> None:
    started = start(jobs, POLITE)
    own = children(started.pid)
    assert len(own) == 2
    started.kill()
    started.wait()
    try:
        wait_for(lambda: not any(map(is_alive, own)))
    finally:
        kill(own)
    assert jobs.kept()["early"] == "early\n", "the sidecar syncs once more"
    assert jobs.phjob()["status"]["phase"] == "Running"
    again = jobs.run("true")
    assert again.returncode == 2
    assert "was here before" in again.stderr
