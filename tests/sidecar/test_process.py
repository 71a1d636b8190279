"""The sidecar as a process, from its start to its end by a signal."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from artifacts.report import STATES
from sidecar.deadlines import EVICTION_GRACE_SECONDS, MIN_GRACE_SECONDS
from tests.machine import require
from tests.sidecar.sidecars import Job, run_command, running, until


def is_python(pid: int) -> bool:
    """Whether the process runs Python; from then on no signal may be lost."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == os.fsencode(sys.executable)


def test_a_jobs_files_are_collected_and_sealed_at_its_end(job: Job) -> None:
    job.write("test.txt", "hello\n")
    job.write("sub/test.txt", "hello\n")
    before = time.time()
    with running(job) as sidecar:
        sidecar.wait_copied("test.txt", "sub/test.txt")
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.copies() == {"test.txt": b"hello\n", "sub/test.txt": b"hello\n"}
    report = job.report()
    assert (report.state, report.collected.files, report.collected.bytes) == ("sealed", 2, 12)
    assert report.sealed_at >= int(before)
    assert int(before) + 604800 <= job.expiries()[0] <= time.time() + 604800
    assert job.expiries() == [report.expired_at] * 2
    summary = job.summary()
    assert (summary["state"], summary["sealed"], summary["files"], summary["bytes"]) == ("sealed", True, 2, 12)
    assert summary["lagSeconds"] < 5
    assert summary["expiredAt"] == report.expired_at


def test_a_file_written_just_before_the_end_is_collected(job: Job) -> None:
    with running(job, quiet_seconds=3600, sync_seconds=3600) as sidecar:
        until(job.termination.exists, "the start")
        job.write("last", "words")
        assert sidecar.end() == 0
    job.assert_complete()


@pytest.mark.parametrize("delay", [0, 10, 25, 50, 75, 100, 150])
def test_sigterm_is_not_lost_while_python_starts(job: Job, delay: int) -> None:
    job.write("a", "x")
    with running(job) as sidecar:
        until(lambda: is_python(sidecar.pid), "the start")
        time.sleep(delay / 1000)
        assert sidecar.end(5) == 0
    assert job.report().state == "sealed"
    job.assert_complete()


@pytest.mark.parametrize("delay", [0, 25, 50, 75, 100])
def test_sigterm_to_pid_1_is_not_lost_while_python_starts(job: Job, delay: int) -> None:
    require(os.geteuid() == 0, "root, to make a PID namespace")
    job.write("a", "x")
    with running(job, prefix=("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")) as sidecar:
        sidecar.pid = wait_for_child(sidecar.process.pid)
        until(lambda: is_python(sidecar.pid), "the start")
        time.sleep(delay / 1000)
        assert sidecar.end(5) == 0
    assert job.report().state == "sealed"
    job.assert_complete()


def wait_for_child(pid: int) -> int:
    """Wait until the process has a child, and return the child's pid."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    until(lambda: children.read_text().split(), "a child process")
    return int(children.read_text())


@pytest.mark.parametrize("by_command", [False, True])
def test_a_requested_sync_copies_files_that_are_still_open(job: Job, by_command: bool) -> None:
    job.write("rested", "1")
    old = time.time() - 7200
    with running(job, quiet_seconds=3600, sync_seconds=3600) as sidecar:
        until(job.termination.exists, "the start")
        with open(job.artifacts / "open", "w") as file:
            file.write("so far")
            file.flush()
            os.utime(job.artifacts / "open", (old, old))  # a job can set the mtime, so it does not make a file quiet
            time.sleep(0.3)
            assert job.copies() == {}
            if by_command:
                done = run_command(job, "sync-now", str(sidecar.pid))
                assert (done.returncode, done.stderr) == (0, "")
            else:
                sidecar.send(signal.SIGUSR1)
            sidecar.wait_copied("open", "rested")
        assert job.copies()["open"] == b"so far"
        sidecar.wait_reported(lambda report: report.state == "syncing", "the job runs")
        assert sidecar.end() == 0


@pytest.mark.parametrize("pid", ["0", "-1", "x", str(2**22 + 1)])
def test_sync_now_fails_without_a_sidecar(job: Job, pid: str) -> None:
    done = run_command(job, "sync-now", pid)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot signal the sidecar: ")
    assert "sync-now PID" in done.stderr


def file_ids(job: Job) -> dict[str, tuple[int, int]]:
    """Return path -> (inode, change time) of the copies."""
    stats = {path: (job.folder / path).stat() for path in job.copies()}
    return {path: (found.st_ino, found.st_ctime_ns) for path, found in stats.items()}


def test_a_restarted_sidecar_resumes_without_copying_again(job: Job) -> None:
    names = [f"{number}/{name}" for number in range(3) for name in "abc"]
    for name in names:
        job.write(name, name)
    with running(job) as sidecar:
        sidecar.wait_copied(*names)
        sidecar.kill()
    before = file_ids(job)
    job.write("new", "new")
    with running(job) as sidecar:
        sidecar.wait_copied(*names, "new")
        assert sidecar.end() == 0
    assert {path: file_id for path, file_id in file_ids(job).items() if path != "new"} == before
    job.assert_complete()
    assert job.summary()["files"] == 10


def test_a_sidecar_restarted_after_its_seal_reopens_the_report_and_renews_the_expiry(job: Job) -> None:
    job.write("a", "x")
    with running(job, retention_seconds=2) as sidecar:
        sidecar.wait_copied("a")
        assert sidecar.end() == 0
    assert job.report().state == "sealed"
    before = file_ids(job)
    with running(job, retention_seconds=4) as sidecar:
        until(lambda: job.report().state == "syncing", "the report reopened")
        assert job.report().sealed_at == 0
        first = min(job.expiries())

        def is_renewed() -> bool:
            expiry = min(job.expiries())
            assert expiry >= int(time.time())
            return expiry > first + 1

        until(is_renewed, "a later expiry")
        assert sidecar.end() == 0
    assert job.report().state == "sealed"
    assert file_ids(job) == before


def test_files_whose_copies_were_damaged_while_no_sidecar_ran_are_copied_again(job: Job) -> None:
    job.write("gone", "1")
    job.write("short", "whole")
    with running(job) as sidecar:
        sidecar.wait_copied("gone", "short")
        sidecar.kill()
    (job.folder / "gone").unlink()
    (job.folder / "short").write_text("who")
    with running(job) as sidecar:
        until(lambda: job.copies() == {"gone": b"1", "short": b"whole"}, "the copies made again")
        assert sidecar.end() == 0
    job.assert_complete()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"limit_files": "many"}, "PHJOB_ARTIFACT_LIMIT_FILES='many': use a whole number from 0 to 1000000000"),
        ({"root": "/nowhere"}, "/nowhere"),
    ],
)
def test_with_invalid_settings_the_sidecar_waits_and_reports_the_problem(
    job: Job, settings: dict[str, str], problem: str
) -> None:
    job.write("a", "x")
    with running(job, **settings) as sidecar:
        until(job.termination.exists, "a termination message")
        sidecar.send(signal.SIGUSR1)
        time.sleep(0.2)
        assert sidecar.process.poll() is None
        assert sidecar.end() == 0
        assert "ERROR cannot start, no files will be collected job=" in sidecar.log()
    summary = job.summary()
    assert (summary["state"], summary["sealed"], summary["job"]) == ("incomplete", False, "job-1")
    assert problem in summary["message"]
    assert list(job.phfs.iterdir()) == []


def test_a_disabled_sidecar_writes_nothing(job: Job) -> None:
    job.write("a", "x")
    with running(job, enabled="false") as sidecar:
        until(lambda: job.log.stat().st_size, "the log line")
        assert sidecar.end() == 0
        assert "disabled, no files will be collected" in sidecar.log()
    assert list(job.phfs.iterdir()) == []
    assert not job.termination.exists()


def test_the_termination_message_is_complete_at_every_moment(job: Job) -> None:
    job.termination.write_text("x" * 1000)  # the message of an earlier run was longer
    documents, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            documents.append(job.termination.read_bytes())

    with running(job, limit_files=3) as sidecar:
        until(lambda: job.termination.read_bytes()[:1] == b"{", "a termination message")
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number in range(8):  # messages of different lengths
                job.write(f"{number}", "x" * number)
                sidecar.send(signal.SIGUSR1)
                time.sleep(0.05)
                if number % 3 == 2:
                    shutil.rmtree(job.artifacts)
            assert sidecar.end() == 0
        finally:
            stop.set()
            reader.join()
    documents.append(job.termination.read_bytes())
    states = [json.loads(document)["state"] for document in documents]
    assert set(states) <= STATES.keys()
    assert {"syncing", "sealed"} <= set(states)


def test_the_sidecar_of_an_evicted_pod_outlives_main_and_collects_its_last_files(job: Job) -> None:
    """preStop, SIGTERM a second later, and main runs for another second, as with a real kubelet."""
    job.write("early", "1")
    with running(job) as sidecar:
        sidecar.wait_copied("early")
        evicted_at = time.monotonic()
        sidecar.send(signal.SIGUSR1)
        time.sleep(EVICTION_GRACE_SECONDS)
        sidecar.send(signal.SIGTERM)
        until(lambda: job.summary()["state"] == "sealed", "the first seal, since main may not run on")
        job.write("late", "2")
        assert sidecar.process.wait(10) == 0
        assert time.monotonic() - evicted_at > MIN_GRACE_SECONDS
    job.assert_complete()
    assert job.report().state == "sealed"
    assert (job.summary()["state"], job.summary()["files"]) == ("sealed", 2)
