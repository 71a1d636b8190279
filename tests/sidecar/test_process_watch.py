"""Events hasten a sync; without them, as where a node has no watches left, the timer finds the same."""

import subprocess

import pytest

from tests.machine import require
from tests.sidecar.sidecars import Job, running, until


def scarce(resource: str) -> tuple[str, ...]:
    """A command that runs another where there are none of `resource`, a file in /proc/sys/user."""
    script = f'echo 0 > /proc/sys/user/{resource} && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
    works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    require(works, "user namespaces, to take away inotify in one")
    return command


@pytest.mark.parametrize("resource", ["max_inotify_instances", "max_inotify_watches"])
def test_where_nothing_can_be_watched_the_timer_finds_changes(job: Job, resource: str) -> None:
    job.write("sub/a", "x")
    with running(job, prefix=scarce(resource), sync_seconds=0.3) as sidecar:
        until(lambda: "folder not watched, the timer finds changes" in sidecar.log(), "a line in the log")
        job.write("sub/b", "x")
        sidecar.wait_kept("sub/a", "sub/b")
        assert sidecar.end() == 0
        assert "Traceback" not in sidecar.log()
    job.assert_whole()


def test_an_event_brings_a_sync_long_before_the_timer(job: Job) -> None:
    job.write("a", "x")
    with running(job, sync_seconds=3600, log_level="info") as sidecar:
        sidecar.wait_kept("a")
        until(sidecar.watches, "a watch")
        job.write("b", "x")
        sidecar.wait_kept("a", "b")
        (job.artifacts / "a").rename(job.artifacts / "c")
        sidecar.wait_kept("b", "c")
        (job.artifacts / "b").unlink()
        sidecar.wait_kept("c")
        job.write("deep/er/d", "x")  # its folder is made within the same moment
        sidecar.wait_kept("c", "deep/er/d")
        assert sidecar.end() == 0
    job.assert_whole()


def test_an_event_in_a_folder_behind_a_link_brings_a_sync_too(job: Job) -> None:
    job.artifacts.rmdir()
    (job.home / "out").mkdir()
    job.artifacts.symlink_to("out")
    job.write("a", "x")
    with running(job, sync_seconds=3600) as sidecar:
        sidecar.wait_kept("a")
        until(sidecar.watches, "a watch")
        job.write("b", "x")
        sidecar.wait_kept("a", "b")
