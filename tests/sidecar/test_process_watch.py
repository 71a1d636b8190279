"""File events start a sync early; without events, as on a node that has no free watches, the timer does."""

import subprocess

import pytest

from tests.machine import require
from tests.sidecar.sidecars import Job, running, until


def prefix_without(resource: str) -> tuple[str, ...]:
    """Return a prefix that runs a command with the limit `resource`, a file in /proc/sys/user, set to 0."""
    script = f'echo 0 > /proc/sys/user/{resource} && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
    works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    require(works, "user namespaces, to disable inotify in one")
    return command


@pytest.mark.parametrize("resource", ["max_inotify_instances", "max_inotify_watches"])
def test_the_timer_finds_changes_without_inotify(job: Job, resource: str) -> None:
    job.write("sub/a", "x")
    with running(job, prefix=prefix_without(resource), sync_seconds=0.3) as sidecar:
        until(lambda: "folder not watched, the timer finds changes" in sidecar.log(), "the log line")
        job.write("sub/b", "x")
        sidecar.wait_copied("sub/a", "sub/b")
        assert sidecar.end() == 0
        assert "Traceback" not in sidecar.log()
    job.assert_complete()


def test_an_event_starts_a_sync_long_before_the_timer(job: Job) -> None:
    job.write("a", "x")
    with running(job, sync_seconds=3600, log_level="info") as sidecar:
        sidecar.wait_copied("a")
        until(sidecar.is_watching, "a watch")
        job.write("b", "x")
        sidecar.wait_copied("a", "b")
        (job.artifacts / "a").rename(job.artifacts / "c")
        sidecar.wait_copied("b", "c")
        (job.artifacts / "b").unlink()
        sidecar.wait_copied("c")
        job.write("deep/er/d", "x")  # its folders are created at the same moment
        sidecar.wait_copied("c", "deep/er/d")
        assert sidecar.end() == 0
    job.assert_complete()


def test_an_event_in_a_linked_folder_starts_a_sync(job: Job) -> None:
    job.artifacts.rmdir()
    (job.home / "out").mkdir()
    job.artifacts.symlink_to("out")
    job.write("a", "x")
    with running(job, sync_seconds=3600) as sidecar:
        sidecar.wait_copied("a")
        until(sidecar.is_watching, "a watch")
        job.write("b", "x")
        sidecar.wait_copied("a", "b")
