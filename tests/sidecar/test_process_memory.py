"""The memory of a sidecar is bounded, since one runs next to every job."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import require
from tests.sidecar.sidecars import Job, running, until

FILES = 100_000
MAX_BYTES = 100_000_000
MEMORY = Path("/dev/shm")


@pytest.fixture
def job() -> Iterator[Job]:
    """A job whose files and store are in memory, because it has many files."""
    require(MEMORY.is_dir(), f"{MEMORY}, to create many files quickly")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Job(Path(folder))


@pytest.mark.timeout(120)
def test_100_000_files_are_collected_in_less_than_100_mb(job: Job) -> None:
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
    assert max(peaks) < MAX_BYTES
