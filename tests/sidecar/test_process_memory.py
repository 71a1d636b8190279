"""A sidecar runs beside every job: what it takes of the node's memory is bounded, and the limits bound what it does."""

import re
import signal
import subprocess
from pathlib import Path

from tests.sidecar.sidecars import Job, running, until

FILES = 100_000
MOST_BYTES = 100_000_000


def peak_bytes(pid: int) -> int:
    """Most memory that the process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def test_a_hundred_thousand_files_are_kept_in_less_than_100_mb(tmp_path: Path) -> None:
    job = Job(tmp_path)
    for number in range(FILES):
        (job.artifacts / f"file-number-{number}").touch()
    with running(job, limit_files=2 * FILES, sync_seconds=3600) as sidecar:
        sidecar.wait_reported(lambda report: report.collected.files == FILES, "all files")
        peaks = [peak_bytes(sidecar.pid)]
        sidecar.send(signal.SIGTERM)

        def has_ended() -> bool:
            try:
                peaks.append(peak_bytes(sidecar.pid))
                return sidecar.process.wait(0.02) == 0
            except subprocess.TimeoutExpired:
                return False

        until(has_ended, "the end")
    assert job.summary()["files"] == FILES
    assert job.summary()["state"] == "sealed"
    assert max(peaks) < MOST_BYTES
