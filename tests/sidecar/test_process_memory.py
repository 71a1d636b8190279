"""A sidecar runs beside every job: what it takes of the node's memory is bounded, and the limits bound what it does."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import require
from tests.sidecar.sidecars import Job, running, until

FILES = 100_000
MOST_BYTES = 100_000_000
MEMORY = Path("/dev/shm")


@pytest.fixture
def job() -> Iterator[Job]:
    """A job whose files and store lie in memory, for they are many."""
    require(MEMORY.is_dir(), f"{MEMORY}, to make many files quickly")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Job(Path(folder))


@pytest.mark.timeout(120)
def test_a_hundred_thousand_files_are_kept_in_less_than_100_mb(job: Job) -> None:
    for number in range(FILES):
        (job.artifacts / f"file-number-{number}").touch()
    with running(job, limit_files=2 * FILES, sync_seconds=3600) as sidecar:
        sidecar.wait_reported(lambda report: report.collected.files == FILES, "all files", 90)
        peaks = [sidecar.peak_bytes()]
        sidecar.send(signal.SIGTERM)

        def has_ended() -> bool:
            try:
                peaks.append(sidecar.peak_bytes())
                return sidecar.process.wait(0.02) == 0
            except subprocess.TimeoutExpired:
                return False

        until(has_ended, "the end")
    assert job.summary()["files"] == FILES
    assert job.summary()["state"] == "sealed"
    assert max(peaks) < MOST_BYTES
