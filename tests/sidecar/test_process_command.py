"""The command line for people: --once, --dry-run and --help."""

import signal
import subprocess
import sys

import pytest

from artifacts.report import REASONS
from artifacts.settings import SETTINGS_TABLE
from tests.sidecar.sidecars import REPOSITORY, Job, run_command, running, tree, until


def test_once_syncs_and_seals(job: Job) -> None:
    job.write("a", "x")
    job.write("sub/b", "yy")
    (job.artifacts / "broken").symlink_to("nowhere")
    done = run_command(job, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "sealed: 2 files (3 bytes) in the store",
        f"  - broken_link: 1 file (0 bytes): {REASONS['broken_link']}",
    ]
    job.assert_complete()
    assert job.report().state == "sealed"


def test_once_fails_if_a_file_could_not_be_collected(job: Job) -> None:
    job.write("a", "x")
    (job.artifacts / "out").symlink_to("/tmp/elsewhere")
    done = run_command(job, "--once")
    assert done.returncode == 1
    assert done.stdout.startswith("incomplete: 1 of 2 files are in the store; outside_volumes: out (/tmp/elsewhere)")


@pytest.mark.parametrize("option", ["--once", "--dry-run"])
def test_all_invalid_settings_are_reported(job: Job, option: str) -> None:
    done = run_command(job, option, limit_files="many", over_limit="maybe")
    assert done.returncode == 2
    assert [line.partition("=")[0] for line in done.stderr.splitlines()] == [
        "PHJOB_ARTIFACT_LIMIT_FILES",
        "PHJOB_ARTIFACT_OVER_LIMIT",
    ]


@pytest.mark.parametrize("option", ["--once", "--dry-run"])
def test_a_missing_store_is_named_in_the_error(job: Job, option: str) -> None:
    job.write("a", "x")
    done = run_command(job, option, store="/nowhere", phfs="/nowhere", grace_seconds=1)
    assert done.returncode in (1, 2)
    assert "/nowhere" in done.stderr


def test_a_dry_run_prints_the_plan_and_writes_nothing(job: Job) -> None:
    job.write("stays", "x")
    job.write("goes", "x")
    with running(job) as sidecar:
        sidecar.wait_copied("goes", "stays")
        sidecar.kill()
    (job.artifacts / "goes").unlink()
    job.write("comes", "x" * 3000)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in job.phfs.rglob("*")}
    content = tree(job.phfs)
    done = run_command(job, "--dry-run", log_level="warning")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{job.artifacts} -> {job.folder}",
        "found 2 files (2.9 kB), allowed 1000 files (100.0 MB)",
        "  copy comes (2.9 kB)",
        "  remove goes",
    ]
    assert tree(job.phfs) == content
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in job.phfs.rglob("*")} == before


def test_a_dry_run_of_a_new_job_creates_no_folder(job: Job) -> None:
    job.write("a", "x")
    done = run_command(job, "--dry-run", limit_files=0)
    assert "over the limit: no files would be collected" in done.stdout
    assert list(job.phfs.iterdir()) == []


def test_help_lists_every_setting_and_the_start_command(job: Job) -> None:
    done = run_command(job, "--help")
    assert done.returncode == 0
    assert "env --block-signal=TERM,USR1 python3 -m sidecar" in done.stdout
    assert "sync-now [PID]" in done.stdout
    assert not [row.env for row in SETTINGS_TABLE if f"  {row.env}\n" not in done.stdout]


def test_ctrl_c_interrupts_a_sync(job: Job) -> None:
    with open(job.write("endless", ""), "r+b") as file:
        file.truncate(2**40)  # a hole: no space on the disk, but much to read
    # A shell without job control starts background jobs with SIGINT ignored, and children inherit that.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "sidecar", "--once"]
    environ = job.environ(limit_size_mb=2**30)
    with subprocess.Popen(command, env=environ, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as process:
        try:
            until((job.folder / "endless").exists, "the start of the copy")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
    assert job.manifest()["endless"]["pending"] is True  # the next sync copies it again
