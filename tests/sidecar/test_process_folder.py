"""What jobs do with their artifacts folder, and what a sidecar finds in it that is no ordinary file."""

import os
import shutil
import signal
import stat
import subprocess
import time

from artifacts.layout import METADATA
from tests.sidecar.sidecars import Job, opened, running, until


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
            assert not [target for target in opened(writer.pid) if target.endswith("/fifo")], "it has opened it"
        finally:
            writer.kill()
    assert job.report().skipped["special_file"].paths == ["fifo"]


def test_none_of_the_job_s_files_stays_open_between_syncs(job: Job) -> None:
    """Nor any folder but the one that is watched: the job's volumes could not be taken away."""
    job.write("sub/a", "x")
    with running(job, sync_seconds=3600) as sidecar:
        sidecar.wait_kept("sub/a")
        time.sleep(0.3)
        assert {target for target in sidecar.opened() if target.startswith(str(job.home))} <= {str(job.artifacts)}
        assert sidecar.end() == 0
