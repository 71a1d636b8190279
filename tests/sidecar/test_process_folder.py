"""What jobs do to their artifacts folder, and special files in it."""

import os
import shutil
import signal
import stat
import subprocess
import time

from artifacts.layout import METADATA
from tests.sidecar.sidecars import Job, open_files, running, until


def test_a_job_without_artifacts_writes_nothing_to_the_store(job: Job) -> None:
    job.artifacts.rmdir()
    with running(job) as sidecar:
        time.sleep(0.5)
        assert sidecar.end() == 0
    assert list(job.phfs.iterdir()) == []
    assert job.summary()["state"] == "empty"


def test_a_folder_created_late_is_collected(job: Job) -> None:
    job.artifacts.rmdir()
    with running(job) as sidecar:
        until(job.termination.exists, "the start")
        time.sleep(0.2)
        job.write("sub/late", "x")
        sidecar.wait_copied("sub/late")
        assert sidecar.end() == 0
    job.assert_complete()


def test_an_artifacts_folder_that_is_a_link_is_collected(job: Job) -> None:
    job.artifacts.rmdir()
    (job.home / "results").mkdir()
    job.artifacts.symlink_to("results")
    with running(job) as sidecar:
        job.write("a", "x")
        sidecar.wait_copied("a")
        job.write("b", "y")
        sidecar.wait_copied("a", "b")
        assert sidecar.end() == 0
    job.assert_complete()


def test_a_replaced_folder_is_collected(job: Job) -> None:
    job.write("same", "x")
    job.write("old/a", "x")
    with running(job) as sidecar:
        sidecar.wait_copied("same", "old/a")
        job.artifacts.rename(job.home / "away")
        job.artifacts.mkdir()
        job.write("same", "y")
        job.write("new/a", "x")
        sidecar.wait_copied("same", "new/a")
        job.write("new/b", "x")  # the new folder is watched, too
        sidecar.wait_copied("same", "new/a", "new/b")
        assert sidecar.end() == 0
    job.assert_complete()


def test_a_folder_deleted_and_recreated_is_collected(job: Job) -> None:
    job.write("a", "x")
    with running(job) as sidecar:
        sidecar.wait_copied("a")
        shutil.rmtree(job.artifacts)
        sidecar.wait_copied()
        job.write("b", "y")
        sidecar.wait_copied("b")
        assert sidecar.end() == 0
    job.assert_complete()


def test_modes_come_from_the_settings(job: Job) -> None:
    job.write("private", "x").chmod(0o600)
    job.write("sub/program", "x").chmod(0o700)
    with running(job, file_mode="0664", folder_mode="0775") as sidecar:
        sidecar.wait_copied("private", "sub/program")
        assert sidecar.end() == 0
    modes = {path: stat.S_IMODE((job.folder / path).stat().st_mode) for path in ("private", "sub/program", "sub", ".")}
    assert modes == {"private": 0o664, "sub/program": 0o775, "sub": 0o775, ".": 0o775}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (job.folder / METADATA).iterdir()} == {0o664}


def test_files_with_times_beyond_64_bits_are_collected(job: Job) -> None:
    """Such as the year 2400, in nanoseconds."""
    future = job.write("future", "x")
    os.utime(future, ns=(0, 2**63 + 10**9))
    past = job.write("past", "x")
    os.utime(past, ns=(0, -(10**18)))
    with running(job) as sidecar:
        sidecar.wait_copied("future", "past")
        assert sidecar.end() == 0
    job.assert_complete()
    assert job.summary()["state"] == "sealed"


def test_a_writer_blocked_on_a_fifo_is_not_disturbed(job: Job) -> None:
    os.mkfifo(job.artifacts / "fifo")
    job.write("a", "x")
    with subprocess.Popen(["dd", f"of={job.artifacts}/fifo", "status=none"], stdin=subprocess.PIPE) as writer:
        try:
            with running(job) as sidecar:
                sidecar.wait_copied("a")
                sidecar.send(signal.SIGUSR1)
                time.sleep(0.3)
                assert sidecar.end() == 0
            assert writer.poll() is None
            assert not [target for target in open_files(writer.pid) if target.endswith("/fifo")], (
                "the writer has opened the FIFO"
            )
        finally:
            writer.kill()
    assert job.report().skipped["special_file"].paths == ["fifo"]


def test_no_file_of_the_job_stays_open_between_syncs(job: Job) -> None:
    """Nor any folder except the watched one: otherwise the job's volumes could not be unmounted."""
    job.write("sub/a", "x")
    with running(job, sync_seconds=3600) as sidecar:
        sidecar.wait_copied("sub/a")

        def has_released() -> bool:
            return {target for target in sidecar.open_files() if target.startswith(f"{job.home}/")} <= {
                str(job.artifacts)
            }

        until(has_released, "the job's files and folders closed")
        assert sidecar.end() == 0
