"""File events start a sync early; without events, as on a node that has no free watches, the timer does."""

import os
import subprocess
import tempfile
import tracemalloc
from unittest import mock

import pytest

from sidecar.watch import MAX_PATH_BYTES, FolderWatch
from tests.machine import require
from tests.sidecar.sidecars import Job, Sidecar, running, until


def prefix_without(resource: str) -> tuple[str, ...]:
    """Return a prefix that runs a command with the limit `resource`, a file in /proc/sys/user, set to 0."""
    script = f'echo 0 > /proc/sys/user/{resource} && exec "$@"'
    command = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
    works = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    require(works, "user namespaces, to disable inotify in one")
    return command


def set_limit(sidecar: Sidecar, resource: str, limit: int) -> None:
    """Set the limit in the user namespace of a running sidecar."""
    script = f"echo {limit} > /proc/sys/user/{resource}"
    subprocess.run(["nsenter", "--user", "--target", str(sidecar.pid), "sh", "-c", script], check=True)


@pytest.mark.parametrize("resource", ["max_inotify_instances", "max_inotify_watches"])
def test_without_inotify_the_timer_finds_changes_and_the_log_says_so_once(job: Job, resource: str) -> None:
    job.write("sub/a", "x")
    with running(job, prefix=prefix_without(resource), sync_seconds=0.1) as sidecar:
        until(lambda: "folder not watched, the timer finds changes" in sidecar.log(), "the log line")
        for path in ("sub/b", "c"):  # in different syncs, each of which tries to watch the folder twice
            copy = job.folder / job.write(path, "x").relative_to(job.artifacts)
            until(copy.exists, f"the copy of {path}")
        assert sidecar.log().count("folder not watched") == 1
        set_limit(sidecar, resource, 100)
        until(lambda: "folder watched again" in sidecar.log(), "the log line")
        assert sidecar.is_watching()
        assert sidecar.end() == 0
        log = sidecar.log()
        assert log.count("folder not watched") == log.count("folder watched again") == 1
        assert f"; raise fs.inotify.{resource.replace('inotify', 'user')} on the node" in log
        assert "Traceback" not in log
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


def test_many_long_names_are_watched_in_bounded_memory() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        fd = os.open(folder, os.O_RDONLY)
        for name in ["e" * 240] * 14:
            os.mkdir(name, dir_fd=fd)
            fd, outer = os.open(name, os.O_RDONLY, dir_fd=fd), fd
            os.close(outer)
        for number in range(3000):
            os.mkdir(f"{number:05}{'d' * 230}", dir_fd=fd)
        os.close(fd)
        changes: list[bool] = []
        watch = FolderWatch(lambda: changes.append(True))
        status = os.stat(folder)
        tracemalloc.start()
        try:
            watch.follow((status.st_dev, status.st_ino), lambda: os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            watch.close()
    assert changes
    assert peak < MAX_PATH_BYTES * 1.5


@pytest.mark.parametrize("limit", ["MAX_FOLDERS", "MAX_ENTRIES", "MAX_PATH_BYTES"])
def test_in_a_large_folder_only_changes_of_its_own_entries_raise_events(
    job: Job, limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    status = job.artifacts.stat()
    job.write("a/b/x", "x")
    job.write("y", "x")
    changes: list[str] = []
    watch = FolderWatch(lambda: changes.append("change"))
    caplog.set_level("INFO")
    try:
        with mock.patch(f"sidecar.watch.{limit}", 1):
            watch.follow((status.st_dev, status.st_ino), lambda: os.open(job.artifacts, os.O_RDONLY | os.O_DIRECTORY))
        (job.artifacts / "a/b/x").unlink()
        assert changes == ["change"]  # because the folder is new
        (job.artifacts / "y").unlink()
        until(lambda: changes == ["change"] * 2, "an event")
    finally:
        watch.close()
    assert caplog.text.count("only the folder itself is watched") == 1
