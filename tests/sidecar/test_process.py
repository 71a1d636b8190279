"""The sidecar as a process: from its start, through what a job does with its folder, to its end by a signal."""

import json
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from artifacts.layout import METADATA
from artifacts.report import STATES
from tests.machine import require
from tests.sidecar.sidecars import Job, Sidecar, run_command, running, until


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def blocks(pid: int, number: int) -> bool:
    """Whether the process has `number` blocked, so that it cannot be lost any more."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition("SigBlk:")[2].split()[0], 16)
    return bool(mask >> (number - 1) & 1)


def test_two_files_of_a_job_are_kept_and_the_end_of_the_job_seals_them(job: Job) -> None:
    job.write("test.txt", "hello\n")
    job.write("sub/test.txt", "hello\n")
    before = time.time()
    with running(job) as sidecar:
        sidecar.wait_kept("test.txt", "sub/test.txt")
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.kept() == {"test.txt": b"hello\n", "sub/test.txt": b"hello\n"}
    report = job.report()
    assert (report.state, report.collected.files, report.collected.bytes) == ("sealed", 2, 12)
    assert report.sealed_at >= int(before)
    assert int(before) + 604800 <= job.expiries()[0] <= time.time() + 604800
    assert job.expiries() == [report.expired_at] * 2
    summary = job.summary()
    assert (summary["state"], summary["sealed"], summary["files"], summary["bytes"]) == ("sealed", True, 2, 12)
    assert summary["lagSeconds"] < 5
    assert summary["expiredAt"] == report.expired_at


def test_a_file_written_just_before_the_end_is_kept_though_it_never_rested(job: Job) -> None:
    with running(job, quiet_seconds=3600, sync_seconds=3600) as sidecar:
        until(job.termination.exists, "a start")
        job.write("last", "words")
        assert sidecar.end() == 0
    job.assert_whole()


@pytest.mark.parametrize("delay", [0, 10, 25, 50, 75, 100, 150])
def test_the_end_of_a_job_is_not_lost_while_python_starts(job: Job, delay: int) -> None:
    job.write("a", "x")
    with running(job) as sidecar:
        until(lambda: blocks(sidecar.pid, signal.SIGTERM), "SIGTERM blocked")
        time.sleep(delay / 1000)
        assert sidecar.end(5) == 0
    assert job.report().state == "sealed"
    job.assert_whole()


@pytest.mark.parametrize("delay", [0, 25, 50, 75, 100])
def test_the_end_of_a_job_is_not_lost_by_process_1_while_python_starts(job: Job, delay: int) -> None:
    require(os.geteuid() == 0, "root, to make a PID namespace")
    job.write("a", "x")
    with running(job, prefix=("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")) as sidecar:
        sidecar.pid = only_child(sidecar.process.pid)
        until(lambda: blocks(sidecar.pid, signal.SIGTERM), "SIGTERM blocked")
        time.sleep(delay / 1000)
        assert sidecar.end(5) == 0
    assert job.report().state == "sealed"
    job.assert_whole()


def only_child(pid: int) -> int:
    """The process that `pid` starts and waits for."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    until(lambda: children.read_text().split(), "a child process")
    return int(children.read_text())


@pytest.mark.parametrize("by_command", [False, True])
def test_asked_to_sync_now_it_copies_files_that_are_still_open(job: Job, by_command: bool) -> None:
    job.write("rested", "1")
    old = time.time() - 7200
    with running(job, quiet_seconds=3600, sync_seconds=3600) as sidecar:
        until(job.termination.exists, "a start")
        with open(job.artifacts / "open", "w") as file:
            file.write("so far")
            file.flush()
            os.utime(job.artifacts / "open", (old, old))  # a time that a job can set says nothing about rest
            time.sleep(0.3)
            assert job.kept() == {}
            if by_command:
                done = run_command(job, "sync-now", str(sidecar.pid))
                assert (done.returncode, done.stderr) == (0, "")
            else:
                sidecar.send(signal.SIGUSR1)
            sidecar.wait_kept("open", "rested")
        assert job.kept()["open"] == b"so far"
        assert job.report().state == "syncing"
        assert sidecar.end() == 0


@pytest.mark.parametrize("pid", ["0", "-1", "x", str(2**22 + 1)])
def test_sync_now_says_that_there_is_no_such_sidecar(job: Job, pid: str) -> None:
    done = run_command(job, "sync-now", pid)
    assert done.returncode == 1
    assert done.stderr.startswith("no sidecar to ask: ")
    assert "sync-now PID" in done.stderr


def places(job: Job) -> dict[str, tuple[int, int]]:
    """Path -> (inode, change time) of what is kept."""
    stats = {path: (job.folder / path).stat() for path in job.kept()}
    return {path: (found.st_ino, found.st_ctime_ns) for path, found in stats.items()}


def test_killed_and_started_again_it_goes_on_without_copying_again(job: Job) -> None:
    names = [f"{number}/{name}" for number in range(3) for name in "abc"]
    for name in names:
        job.write(name, name)
    with running(job) as sidecar:
        sidecar.wait_kept(*names)
        sidecar.kill()
    before = places(job)
    job.write("new", "new")
    with running(job) as sidecar:
        sidecar.wait_kept(*names, "new")
        assert sidecar.end() == 0
    assert {path: place for path, place in places(job).items() if path != "new"} == before
    job.assert_whole()
    assert job.summary()["files"] == 10


def test_started_again_while_main_runs_it_breaks_its_seal_and_keeps_the_expiry_ahead(job: Job) -> None:
    job.write("a", "x")
    with running(job, retention_seconds=2) as sidecar:
        sidecar.wait_kept("a")
        assert sidecar.end() == 0
    assert job.report().state == "sealed"
    before = places(job)
    with running(job, retention_seconds=2) as sidecar:
        until(lambda: job.report().state == "syncing", "the seal broken")
        assert job.report().sealed_at == 0
        for _ in range(25):
            assert min(job.expiries()) >= int(time.time())
            time.sleep(0.1)
        assert sidecar.end() == 0
    assert job.report().state == "sealed"
    assert places(job) == before


def test_a_copy_that_was_damaged_while_no_sidecar_ran_is_made_again(job: Job) -> None:
    job.write("gone", "1")
    job.write("short", "whole")
    with running(job) as sidecar:
        sidecar.wait_kept("gone", "short")
        sidecar.kill()
    (job.folder / "gone").unlink()
    (job.folder / "short").write_text("who")
    with running(job) as sidecar:
        until(lambda: job.kept() == {"gone": b"1", "short": b"whole"}, "the copies made again")
        assert sidecar.end() == 0
    job.assert_whole()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"limit_files": "many"}, "PHJOB_ARTIFACT_LIMIT_FILES='many': use a whole number from 0 to 1000000000"),
        ({"root": "/nowhere"}, "/nowhere"),
    ],
)
def test_with_settings_it_cannot_use_it_waits_for_the_end_and_says_why(
    job: Job, settings: dict[str, str], problem: str
) -> None:
    job.write("a", "x")
    with running(job, **settings) as sidecar:
        until(job.termination.exists, "a termination message")
        sidecar.send(signal.SIGUSR1)
        time.sleep(0.2)
        assert sidecar.process.poll() is None
        assert sidecar.end() == 0
        assert "ERROR nothing will be collected: " in sidecar.log()
    summary = job.summary()
    assert (summary["state"], summary["sealed"], summary["job"]) == ("incomplete", False, "job-1")
    assert problem in summary["message"]
    assert list(job.phfs.iterdir()) == []


def test_switched_off_it_writes_nothing(job: Job) -> None:
    job.write("a", "x")
    with running(job, enabled="false") as sidecar:
        until(lambda: job.log.stat().st_size, "a line in the log")
        assert sidecar.end() == 0
        assert "switched off" in sidecar.log()
    assert list(job.phfs.iterdir()) == []
    assert not job.termination.exists()


def test_a_job_without_artifacts_leaves_nothing_at_all_in_the_store(job: Job) -> None:
    job.artifacts.rmdir()
    with running(job) as sidecar:
        time.sleep(0.5)
        assert sidecar.end() == 0
    assert list(job.phfs.iterdir()) == []
    assert job.summary()["state"] == "empty"


def test_a_folder_that_comes_late_is_collected(job: Job) -> None:
    job.artifacts.rmdir()
    with running(job) as sidecar:
        until(job.termination.exists, "a start")
        time.sleep(0.2)
        job.write("sub/late", "x")
        sidecar.wait_kept("sub/late")
        assert sidecar.end() == 0
    job.assert_whole()


def test_a_folder_that_is_a_link_is_collected(job: Job) -> None:
    job.artifacts.rmdir()
    (job.home / "results").mkdir()
    job.artifacts.symlink_to("results")
    with running(job) as sidecar:
        job.write("a", "x")
        sidecar.wait_kept("a")
        job.write("b", "y")
        sidecar.wait_kept("a", "b")
        assert sidecar.end() == 0
    job.assert_whole()


def test_a_folder_that_is_replaced_is_collected_anew(job: Job) -> None:
    job.write("same", "x")
    job.write("old/a", "x")
    with running(job) as sidecar:
        sidecar.wait_kept("same", "old/a")
        job.artifacts.rename(job.home / "away")
        job.artifacts.mkdir()
        job.write("same", "y")
        job.write("new/a", "x")
        sidecar.wait_kept("same", "new/a")
        job.write("new/b", "x")  # seen in the new folder too
        sidecar.wait_kept("same", "new/a", "new/b")
        assert sidecar.end() == 0
    job.assert_whole()


def test_a_folder_that_is_deleted_and_made_again_is_collected_anew(job: Job) -> None:
    job.write("a", "x")
    with running(job) as sidecar:
        sidecar.wait_kept("a")
        shutil.rmtree(job.artifacts)
        sidecar.wait_kept()
        job.write("b", "y")
        sidecar.wait_kept("b")
        assert sidecar.end() == 0
    job.assert_whole()


def test_modes_are_those_of_the_settings_not_of_the_job(job: Job) -> None:
    job.write("private", "x").chmod(0o600)
    job.write("sub/program", "x").chmod(0o700)
    with running(job, file_mode="0664", folder_mode="0775") as sidecar:
        sidecar.wait_kept("private", "sub/program")
        assert sidecar.end() == 0
    modes = {path: stat.S_IMODE((job.folder / path).stat().st_mode) for path in ("private", "sub/program", "sub", ".")}
    assert modes == {"private": 0o664, "sub/program": 0o775, "sub": 0o775, ".": 0o775}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (job.folder / METADATA).iterdir()} == {0o664}


def test_a_file_of_the_year_2400_is_as_good_as_any(job: Job) -> None:
    """Its time does not fit into 64 bits of nanoseconds."""
    future = job.write("future", "x")
    os.utime(future, ns=(0, 2**63 + 10**9))
    past = job.write("past", "x")
    os.utime(past, ns=(0, -(10**18)))
    with running(job) as sidecar:
        sidecar.wait_kept("future", "past")
        assert sidecar.end() == 0
    job.assert_whole()
    assert job.summary()["state"] == "sealed"


def test_the_termination_message_can_be_read_at_every_moment(job: Job) -> None:
    job.termination.write_text("x" * 1000)  # an earlier message was longer
    documents, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            documents.append(job.termination.read_bytes())

    with running(job, limit_files=3) as sidecar:
        until(lambda: job.termination.read_bytes()[:1] == b"{", "a termination message")
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number in range(8):  # shorter and longer ones
                job.write(f"{number}", "x" * number)
                sidecar.send(signal.SIGUSR1)
                time.sleep(0.05)
                if number % 3 == 2:
                    shutil.rmtree(job.artifacts)
            assert sidecar.end() == 0
        finally:
            stop.set()
            reader.join()
    states = [json.loads(document)["state"] for document in documents]
    assert set(states) <= STATES.keys()
    assert {"syncing", "sealed"} <= set(states)


def test_the_log_tells_a_user_what_became_of_the_job(job: Job) -> None:
    job.write("a", "x" * 2048)
    (job.artifacts / "out").symlink_to("/tmp/elsewhere")
    with running(job, log_level="info", limitfiles=3) as sidecar:
        sidecar.wait_kept("a")
        assert sidecar.end() == 0
        lines = sidecar.log().splitlines()
    assert all(line[10] == "T" and line[23] == "Z" for line in lines)
    said = [line[25:] for line in lines]
    assert said[0] == "WARNING unknown setting, ignored name=PHJOB_ARTIFACT_LIMITFILES"
    assert said[1].startswith("INFO started version=")
    assert said[1].endswith(f"job=job-1 group=g folder={job.artifacts} limits=1000 files (100.0 MB) over_limit=reject")
    assert said[-2].startswith("INFO incomplete job=job-1 files=1 bytes=2048 seconds=0.")
    assert said[-2].endswith(": 1 of 2 files are in the store; outside_volumes: out (/tmp/elsewhere)")
    assert said[-1] == "WARNING left out reason=outside_volumes files=1 first=out /tmp/elsewhere"


def test_a_writer_that_waits_in_a_fifo_is_neither_woken_nor_killed(job: Job) -> None:
    os.mkfifo(job.artifacts / "fifo")
    job.write("a", "x")
    with subprocess.Popen(["dd", f"of={job.artifacts}/fifo", "status=none"], stdin=subprocess.PIPE) as writer:
        try:
            with running(job) as sidecar:
                sidecar.wait_kept("a")
                sidecar.send(signal.SIGUSR1)
                time.sleep(0.3)
                assert sidecar.end() == 0
            assert writer.poll() is None
            assert is_waiting_to_open(writer.pid)
        finally:
            writer.kill()
    assert job.report().skipped["special_file"].paths == ["fifo"]


def is_waiting_to_open(pid: int) -> bool:
    """Whether a writer of a FIFO still has no reader: it has not opened it."""
    return not any("fifo" in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))


def test_a_slow_reader_of_the_job_s_files_leaves_no_trace_in_its_process(job: Job) -> None:
    """The sidecar holds none of the job's files or folders open between syncs, but the one it watches."""
    job.write("sub/a", "x")
    with running(job, sync_seconds=3600) as sidecar:
        sidecar.wait_kept("sub/a")
        time.sleep(0.3)
        assert set(open_below(sidecar, job.home)) <= {str(job.artifacts)}
        assert sidecar.end() == 0


def open_below(sidecar: Sidecar, folder: Path) -> list[str]:
    links = [os.readlink(f"/proc/{sidecar.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{sidecar.pid}/fd")]
    return [link for link in links if link.startswith(str(folder))]
