"""`python -m local serve` runs the queued jobs, and cancels the running ones when a signal ends it."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.local.driver import GROUP, JobDriver, children, is_alive, kill, wait_for

WRITES_FILE = "mkdir artifacts; echo x > artifacts/f"
WAITS_FOR_GO = WRITES_FILE + "; touch ready; until [ -e go ]; do sleep 0.01; done"
IGNORES_SIGTERM = "trap '' TERM; " + WAITS_FOR_GO
FINAL_PHASES = ("Succeeded", "Failed", "Cancelled")


@contextmanager
def serving(jobs: JobDriver, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a server, and stop it at the end unless the test has done so."""
    server = jobs.serve(*options, **environ)
    yield server
    if server.stdin and not server.stdin.closed:
        stop(jobs, server)


def stop(jobs: JobDriver, server: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; return the server's stderr."""
    os.killpg(server.pid, signal.SIGINT)
    result = jobs.wait(server)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def wait_ready(jobs: JobDriver, *names: str) -> None:
    """Wait until the jobs' commands run."""
    for name in names or ("job-1",):
        wait_for((jobs.paths(name).home / "ready").exists)


def let_end(jobs: JobDriver, *names: str) -> None:
    """Let the jobs' commands end, and wait for the final phases."""
    for name in names or ("job-1",):
        (jobs.paths(name).home / "go").touch()
    wait_for(lambda: all(jobs.phase(name) in FINAL_PHASES for name in names or ("job-1",)))


def main_of(server: subprocess.Popen[str]) -> int:
    """Return the process id of the only job's command."""
    (runner,) = children(server.pid)
    (main,) = (pid for pid, command in children(runner).items() if command.startswith("sh -c"))
    return main


def test_queued_job_is_run_and_its_artifacts_are_collected(jobs: JobDriver) -> None:
    created = jobs.create(WRITES_FILE + "; echo out; echo err >&2; printenv PHJOB_NAME PRIMEHUB_USER; cat")
    assert created.stdout == "job-1\n"
    assert "-m local serve --data" in created.stderr
    queued = jobs.phjob()
    with serving(jobs) as server:
        wait_for(lambda: jobs.phase() in FINAL_PHASES and not children(server.pid))
        output = stop(jobs, server)
    ended = jobs.phjob()
    assert ended["status"].pop("artifact")["state"] == "sealed"
    assert {name: ended["status"][name] for name in ("phase", "reason", "message", "podName")} == {
        "phase": "Succeeded",
        "reason": "PodSucceeded",
        "message": "main ended: exit code 0",
        "podName": "job-1",
    }
    assert ended | {"status": queued["status"]} == queued
    assert jobs.artifacts() == {"f": "x\n"}
    assert jobs.report().pod_uid == queued["metadata"]["uid"]
    user = queued["spec"]["userName"]
    assert jobs.paths().main_log.read_text() == f"out\nerr\njob-1\n{user}\n", "stdin is empty"
    for text in (str(jobs.data), "-m local create --data", "job-1: Succeeded", "2 bytes  f"):
        assert text in output
    assert "cancelling" not in output


def test_job_queued_with_a_minimal_file_is_run(jobs: JobDriver) -> None:
    with serving(jobs, PHJOB_ARTIFACT_RETENTION_SECONDS="60") as server:
        assert server.stderr
        assert any(str(jobs.data) in line for line in server.stderr), "the data directory is logged"
        jobs.queue(WRITES_FILE + "; exit 7", displayName="Mine")
        wait_for(lambda: jobs.phase() in FINAL_PHASES)
    phjob = jobs.phjob()
    assert (phjob["status"]["phase"], phjob["status"]["podName"]) == ("Failed", "job-1")
    assert phjob["spec"] == {"groupName": GROUP, "command": WRITES_FILE + "; exit 7", "displayName": "Mine"}
    assert phjob["status"]["artifact"]["expiredAt"] <= time.time() + 60
    assert jobs.artifacts() == {"f": "x\n"}


def test_two_servers_run_each_job_once(jobs: JobDriver) -> None:
    names = [f"job-{n}" for n in range(4)]
    for name in names:
        jobs.queue("echo once >> phfs/$PHJOB_NAME", name)
    with serving(jobs) as one, serving(jobs) as other:
        wait_for(lambda: all(jobs.phase(name) in FINAL_PHASES for name in names))
        wait_for(lambda: not children(one.pid) | children(other.pid))
        output = stop(jobs, one) + stop(jobs, other)
    assert [(jobs.paths().phfs / name).read_text() for name in names] == ["once\n"] * 4
    assert [jobs.phase(name) for name in names] == ["Succeeded"] * 4
    assert [output.count(f"{name}: Succeeded") for name in names] == [1] * 4
    assert "not started" not in output
    assert "ignoring" not in output


def test_job_limit_is_respected_and_oldest_jobs_run_first(jobs: JobDriver) -> None:
    names = ["job-c", "job-a", "job-b"]
    for name in names:
        jobs.queue(WAITS_FOR_GO, name)
        time.sleep(0.02)  # file times have the resolution of the kernel's ticks
    with serving(jobs, "--jobs=2") as server:
        wait_ready(jobs, "job-c", "job-a")
        time.sleep(1.2)
        assert jobs.phase("job-b") == ""
        assert len(children(server.pid)) == 2
        let_end(jobs, "job-c")
        wait_ready(jobs, "job-b")
        let_end(jobs, "job-a", "job-b")


def test_running_job_is_cancelled_by_its_file_and_has_the_grace_period_to_end(jobs: JobDriver) -> None:
    jobs.queue(f"trap 'sleep 1.2; echo late > artifacts/late; exit' TERM; {WAITS_FOR_GO}")
    with serving(jobs):
        wait_ready(jobs)
        jobs.cancel()
        wait_for(lambda: jobs.phase() in FINAL_PHASES)
    assert jobs.phase() == "Cancelled"
    assert jobs.phjob()["spec"]["cancel"] is True, "the runner's status does not overwrite the request"
    assert jobs.artifacts() == {"f": "x\n", "late": "late\n"}, "it was signalled once, so it was not killed"


def test_job_cancelled_while_it_starts_ends_cancelled(jobs: JobDriver) -> None:
    jobs.queue(WAITS_FOR_GO)
    with serving(jobs) as server:
        wait_for(lambda: children(server.pid))
        jobs.cancel()
        wait_for(lambda: jobs.phase() in FINAL_PHASES)
    assert jobs.phase() == "Cancelled"


def test_job_cancelled_in_the_queue_is_not_run(jobs: JobDriver) -> None:
    jobs.queue(WRITES_FILE, cancel=True)
    with serving(jobs) as server:
        wait_for(lambda: jobs.phase() in FINAL_PHASES)
        output = stop(jobs, server)
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "Cancelled")
    assert "startTime" not in status
    assert "job-1: Cancelled (cancelled before it started)" in output
    assert not jobs.paths().run_folder.exists()


def test_runner_does_not_start_a_cancelled_job(jobs: JobDriver) -> None:
    jobs.queue(WRITES_FILE, cancel=True)
    result = jobs.run_queued()
    assert result.returncode == 2
    assert "job-1: not started: it was cancelled" in result.stderr
    assert jobs.phase() == "Cancelled"
    assert not jobs.paths().artifacts.exists()


def test_ctrl_c_cancels_running_jobs_and_leaves_queued_jobs(jobs: JobDriver) -> None:
    jobs.queue(f"trap 'echo late > artifacts/late; exit 0' TERM; {WAITS_FOR_GO}")
    with serving(jobs, "--jobs=1") as server:
        wait_ready(jobs)
        jobs.queue(WRITES_FILE, "job-2")
        output = stop(jobs, server)
    assert "press Ctrl-C again to kill" in output
    assert jobs.phase() == "Cancelled"
    assert jobs.artifacts() == {"f": "x\n", "late": "late\n"}
    assert jobs.phase("job-2") == ""
    with serving(jobs):
        wait_for(lambda: jobs.phase("job-2") in FINAL_PHASES)
    assert jobs.phase() == "Cancelled"


def test_ctrl_c_cancels_a_job_that_is_starting(jobs: JobDriver) -> None:
    jobs.queue(WAITS_FOR_GO)
    with serving(jobs) as server:
        wait_for(lambda: children(server.pid))
        stop(jobs, server)
    assert jobs.phase() == "Cancelled"


def test_sigterm_ends_the_server(jobs: JobDriver) -> None:
    jobs.queue(WAITS_FOR_GO)
    with serving(jobs) as server:
        wait_ready(jobs)
        server.terminate()
        assert jobs.wait(server).returncode == 0
    assert jobs.phase() == "Cancelled"


def test_second_ctrl_c_kills_immediately(jobs: JobDriver) -> None:
    jobs.queue(IGNORES_SIGTERM)
    with serving(jobs, PHJOB_ARTIFACT_GRACE_SECONDS="600") as server:
        wait_ready(jobs)
        main = main_of(server)
        os.killpg(server.pid, signal.SIGINT)
        time.sleep(0.5)
        assert is_alive(main)
        stop(jobs, server)
    assert not is_alive(main)
    assert jobs.phjob()["status"]["message"] == "main ended: killed by signal 9 (SIGKILL)"
    assert jobs.phase() == "Cancelled"
    assert jobs.artifacts() == {"f": "x\n"}


def test_first_ctrl_c_does_not_kill_a_job_that_is_being_cancelled(jobs: JobDriver) -> None:
    jobs.queue(f"trap 'touch signalled; sleep 1.5; echo late > artifacts/late; exit' TERM; {WAITS_FOR_GO}")
    with serving(jobs) as server:
        wait_ready(jobs)
        jobs.cancel()
        wait_for((jobs.paths().home / "signalled").exists)
        stop(jobs, server)
    assert jobs.artifacts()["late"] == "late\n"


@pytest.mark.parametrize("noticed", ["at start", "later"])
def test_job_with_a_killed_runner_is_marked_failed(jobs: JobDriver, noticed: str) -> None:
    jobs.queue(IGNORES_SIGTERM)
    server = jobs.serve()
    wait_ready(jobs)
    (runner,), main = children(server.pid), main_of(server)
    if noticed == "at start":
        os.kill(server.pid, signal.SIGSTOP)  # the death of either must have no effect on the other
        kill([runner, server.pid])
        jobs.wait(server)
        assert jobs.phase() == "Running"
        server = jobs.serve()
    else:
        kill([runner])
    wait_for(lambda: jobs.phase() in FINAL_PHASES)
    output = stop(jobs, server)
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "PodUnknown")
    assert "the process that ran the job was killed" in status["message"]
    assert status["startTime"] <= status["finishTime"]
    assert output.count("job-1: Failed (the process that ran the job was killed") == 1
    wait_for(lambda: not is_alive(main))
    wait_for(lambda: jobs.artifacts() == {"f": "x\n"})


def test_jobs_of_a_killed_server_are_cancelled(jobs: JobDriver) -> None:
    jobs.queue(WAITS_FOR_GO)
    server = jobs.serve()
    wait_ready(jobs)
    server.kill()
    wait_for(lambda: jobs.phase() in FINAL_PHASES)
    assert jobs.phase() == "Cancelled"
    wait_for(lambda: jobs.artifacts() == {"f": "x\n"})  # collecting may take longer than main
    jobs.wait(server)


def test_jobs_started_with_run_are_not_touched(jobs: JobDriver) -> None:
    other = jobs.start(WAITS_FOR_GO)
    wait_ready(jobs)
    with serving(jobs) as server:
        jobs.queue("true", "job-2")
        wait_for(lambda: jobs.phase("job-2") in FINAL_PHASES)
        assert jobs.phase() == "Running"
        stop(jobs, server)
    (jobs.paths().home / "go").touch()
    assert jobs.wait(other).returncode == 0
    assert jobs.phase() == "Succeeded"
