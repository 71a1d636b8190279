"""`python -m local serve` runs what is queued, and ends as it is told to."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.local.jobs import GROUP, Jobs, children, is_alive, kill, wait_for

KEEPS = "mkdir artifacts; echo x > artifacts/f"
WAITS = KEEPS + "; touch ready; until [ -e go ]; do sleep 0.01; done"
STUBBORN = "trap '' TERM; " + WAITS
ENDED = ("Succeeded", "Failed", "Cancelled")


@contextmanager
def serving(jobs: Jobs, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A server, told to end at the end unless it was before."""
    server = jobs.serve(*options, **environ)
    yield server
    if server.stdin and not server.stdin.closed:
        stop(jobs, server)


def stop(jobs: Jobs, server: subprocess.Popen[str]) -> str:
    """Press Ctrl-C; returns what the server has said."""
    os.killpg(server.pid, signal.SIGINT)
    ended = jobs.end(server)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.stderr


def wait_ready(jobs: Jobs, *names: str) -> None:
    for name in names or ("job-1",):
        wait_for((jobs.places(name).home / "ready").exists)


def let_end(jobs: Jobs, *names: str) -> None:
    for name in names or ("job-1",):
        (jobs.places(name).home / "go").touch()
    wait_for(lambda: all(jobs.phase(name) in ENDED for name in names or ("job-1",)))


def main_of(server: subprocess.Popen[str]) -> int:
    (runner,) = children(server.pid)
    (main,) = (pid for pid, command in children(runner).items() if command.startswith("sh -c"))
    return main


def test_a_queued_job_is_run_and_its_artifacts_kept(jobs: Jobs) -> None:
    created = jobs.create(KEEPS + "; echo out; echo err >&2; printenv PHJOB_NAME PRIMEHUB_USER; cat")
    assert created.stdout == "job-1\n"
    assert "-m local serve --data" in created.stderr
    queued = jobs.phjob()
    with serving(jobs) as server:
        wait_for(lambda: jobs.phase() in ENDED and not children(server.pid))
        said = stop(jobs, server)
    ended = jobs.phjob()
    assert ended["status"].pop("artifact")["state"] == "sealed"
    assert {name: ended["status"][name] for name in ("phase", "reason", "message", "podName")} == {
        "phase": "Succeeded",
        "reason": "PodSucceeded",
        "message": "main ended: exit code 0",
        "podName": "job-1",
    }
    assert ended | {"status": queued["status"]} == queued
    assert jobs.kept() == {"f": "x\n"}
    assert jobs.report().pod_uid == queued["metadata"]["uid"]
    user = queued["spec"]["userName"]
    assert jobs.places().main_log.read_text() == f"out\nerr\njob-1\n{user}\n", "its input is empty"
    for told in (str(jobs.data), "-m local create --data", "job-1: Succeeded", "2 bytes  f"):
        assert told in said
    assert "cancelled" not in said


def test_a_job_whose_file_has_the_least_runs_while_the_server_waits(jobs: Jobs) -> None:
    with serving(jobs, PHJOB_ARTIFACT_RETENTION_SECONDS="60") as server:
        assert server.stderr
        assert any(str(jobs.data) in line for line in server.stderr), "where it keeps them is told"
        jobs.queue(KEEPS + "; exit 7", displayName="Mine")
        wait_for(lambda: jobs.phase() in ENDED)
    phjob = jobs.phjob()
    assert (phjob["status"]["phase"], phjob["status"]["podName"]) == ("Failed", "job-1")
    assert phjob["spec"] == {"groupName": GROUP, "command": KEEPS + "; exit 7", "displayName": "Mine"}
    assert phjob["status"]["artifact"]["expiredAt"] <= time.time() + 60
    assert jobs.kept() == {"f": "x\n"}


def test_of_two_servers_one_runs_the_job_and_the_other_is_quiet(jobs: Jobs) -> None:
    names = [f"job-{n}" for n in range(4)]
    for name in names:
        jobs.queue("echo once >> phfs/$PHJOB_NAME", name)
    with serving(jobs) as one, serving(jobs) as other:
        wait_for(lambda: all(jobs.phase(name) in ENDED for name in names))
        wait_for(lambda: not children(one.pid) | children(other.pid))
        said = stop(jobs, one) + stop(jobs, other)
    assert [(jobs.places().phfs / name).read_text() for name in names] == ["once\n"] * 4
    assert [jobs.phase(name) for name in names] == ["Succeeded"] * 4
    assert [said.count(f"{name}: Succeeded") for name in names] == [1] * 4
    assert "not started" not in said
    assert "left alone" not in said


def test_no_more_jobs_than_allowed_run_at_once_the_oldest_first(jobs: Jobs) -> None:
    names = ["job-c", "job-a", "job-b"]
    for name in names:
        jobs.queue(WAITS, name)
        time.sleep(0.02)  # a file's time is told in the kernel's ticks
    with serving(jobs, "--jobs=2") as server:
        wait_ready(jobs, "job-c", "job-a")
        time.sleep(1.2)
        assert jobs.phase("job-b") == ""
        assert len(children(server.pid)) == 2
        let_end(jobs, "job-c")
        wait_ready(jobs, "job-b")
        let_end(jobs, "job-a", "job-b")


def test_a_running_job_is_cancelled_by_its_file_and_may_take_its_time(jobs: Jobs) -> None:
    jobs.queue(f"trap 'sleep 1.2; echo late > artifacts/late; exit' TERM; {WAITS}")
    with serving(jobs):
        wait_ready(jobs)
        jobs.cancel()
        wait_for(lambda: jobs.phase() in ENDED)
    assert jobs.phase() == "Cancelled"
    assert jobs.phjob()["spec"]["cancel"] is True, "the runner's words do not undo what others ask for"
    assert jobs.kept() == {"f": "x\n", "late": "late\n"}, "it was told once, so it was not killed"


def test_a_job_cancelled_as_it_is_started_ends_cancelled(jobs: Jobs) -> None:
    jobs.queue(WAITS)
    with serving(jobs) as server:
        wait_for(lambda: children(server.pid))
        jobs.cancel()
        wait_for(lambda: jobs.phase() in ENDED)
    assert jobs.phase() == "Cancelled"


def test_a_queued_job_is_cancelled_without_being_run(jobs: Jobs) -> None:
    jobs.queue(KEEPS, cancel=True)
    with serving(jobs) as server:
        wait_for(lambda: jobs.phase() in ENDED)
        said = stop(jobs, server)
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Cancelled", "Cancelled")
    assert "startTime" not in status
    assert "job-1: Cancelled, cancelled before it was started" in said
    assert not jobs.places().folder.exists()


def test_a_runner_whose_job_was_cancelled_meanwhile_does_not_run_it(jobs: Jobs) -> None:
    jobs.queue(KEEPS, cancel=True)
    ended = jobs.run_queued()
    assert ended.returncode == 2
    assert "job-1: not started: it was cancelled" in ended.stderr
    assert jobs.phase() == "Cancelled"
    assert not jobs.places().artifacts.exists()


def test_ctrl_c_cancels_what_runs_and_leaves_what_is_queued(jobs: Jobs) -> None:
    jobs.queue(f"trap 'echo late > artifacts/late; exit 0' TERM; {WAITS}")
    with serving(jobs, "--jobs=1") as server:
        wait_ready(jobs)
        jobs.queue(KEEPS, "job-2")
        said = stop(jobs, server)
    assert "once more to kill" in said
    assert jobs.phase() == "Cancelled"
    assert jobs.kept() == {"f": "x\n", "late": "late\n"}
    assert jobs.phase("job-2") == ""
    with serving(jobs):
        wait_for(lambda: jobs.phase("job-2") in ENDED)
    assert jobs.phase() == "Cancelled"


def test_ctrl_c_as_a_job_is_started_cancels_it(jobs: Jobs) -> None:
    jobs.queue(WAITS)
    with serving(jobs) as server:
        wait_for(lambda: children(server.pid))
        stop(jobs, server)
    assert jobs.phase() == "Cancelled"


def test_sigterm_ends_the_server_too(jobs: Jobs) -> None:
    jobs.queue(WAITS)
    with serving(jobs) as server:
        wait_ready(jobs)
        server.terminate()
        assert jobs.end(server).returncode == 0
    assert jobs.phase() == "Cancelled"


def test_a_second_ctrl_c_kills_at_once(jobs: Jobs) -> None:
    jobs.queue(STUBBORN)
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
    assert jobs.kept() == {"f": "x\n"}


def test_the_first_ctrl_c_does_not_kill_a_job_that_is_cancelled_already(jobs: Jobs) -> None:
    jobs.queue(f"trap 'touch told; sleep 1.5; echo late > artifacts/late; exit' TERM; {WAITS}")
    with serving(jobs) as server:
        wait_ready(jobs)
        jobs.cancel()
        wait_for((jobs.places().home / "told").exists)
        stop(jobs, server)
    assert jobs.kept()["late"] == "late\n"


@pytest.mark.parametrize("seen", ["at start", "later"])
def test_a_job_whose_runner_was_killed_is_marked_failed(jobs: Jobs, seen: str) -> None:
    jobs.queue(STUBBORN)
    server = jobs.serve()
    wait_ready(jobs)
    (runner,), main = children(server.pid), main_of(server)
    if seen == "at start":
        kill([server.pid, runner])
        jobs.end(server)
        assert jobs.phase() == "Running"
        server = jobs.serve()
    else:
        kill([runner])
    wait_for(lambda: jobs.phase() in ENDED)
    said = stop(jobs, server)
    status = jobs.phjob()["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "PodUnknown")
    assert "its runner is gone" in status["message"]
    assert status["startTime"] <= status["finishTime"]
    assert said.count("job-1: Failed, its runner is gone") == 1
    wait_for(lambda: not is_alive(main))
    wait_for(lambda: jobs.kept() == {"f": "x\n"})


def test_a_killed_server_s_jobs_are_cancelled(jobs: Jobs) -> None:
    jobs.queue(WAITS)
    server = jobs.serve()
    wait_ready(jobs)
    server.kill()
    wait_for(lambda: jobs.phase() in ENDED)
    assert jobs.phase() == "Cancelled"
    wait_for(lambda: jobs.kept() == {"f": "x\n"})  # the phase is main's; the sidecar may still collect
    jobs.end(server)


def test_jobs_that_somebody_runs_beside_it_are_not_touched(jobs: Jobs) -> None:
    beside = jobs.start(WAITS)
    wait_ready(jobs)
    with serving(jobs) as server:
        jobs.queue("true", "job-2")
        wait_for(lambda: jobs.phase("job-2") in ENDED)
        assert jobs.phase() == "Running"
        stop(jobs, server)
    (jobs.places().home / "go").touch()
    assert jobs.end(beside).returncode == 0
    assert jobs.phase() == "Succeeded"
