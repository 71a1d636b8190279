"""How long the last sync retries a store that fails, in time and with real full, read-only and broken stores."""

import errno
import math
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from artifacts.summary import format_summary, read_summary
from sidecar import retries
from sidecar.process import create_syncer
from sidecar.retries import Retries
from sidecar.sync import Syncer
from tests.machine import require
from tests.sidecar.sidecars import Job
from tests.storefs import build, tmpfs
from tests.storefs.mount import mounted


class Clock(threading.Event):
    """A clock that only moves when somebody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now = 1000.0
        monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: self.now))

    def attempts(self, codes: list[set[int]], deadline: float) -> list[float]:
        """Return the times of the attempts if each fails with the next of `codes`, the last of them for ever."""
        attempts, policy = [0.0], Retries(self.now + deadline, self)
        while (pause := policy.next_pause(codes[min(len(attempts), len(codes)) - 1])) is not None:
            if not policy.wait(pause):
                break
            attempts.append(round(self.now - 1000, 3))
        return attempts

    def wait(self, timeout: float | None = None) -> bool:
        """Move, as an event that is never set."""
        self.now += timeout or 0.0
        return False


@pytest.mark.parametrize(
    ("codes", "deadline", "count", "last"),
    [
        ([{errno.ENOSPC}], 120, 7, 5.0),
        ([{errno.EROFS, errno.EACCES}], 120, 7, 5.0),
        ([{errno.ENOTDIR}], 120, 7, 5.0),
        ([{errno.EDQUOT}], 2, 5, 1.5),
        ([{errno.EIO}], 30, 11, 26.3),
        ([{errno.ENOSPC, errno.EIO}], 30, 11, 26.3),
        ([set()], 30, 11, 26.3),
        ([{errno.ENOTCONN}] * 8 + [{errno.ENOSPC}], 120, 10, 21.3),  # its own five seconds, from 16.3
        ([{errno.ESTALE}], math.inf, 12, 30.0),
        ([{errno.ENOSPC}], math.inf, 7, 5.0),
    ],
)
def test_errors_that_rarely_go_away_are_retried_for_seconds_and_others_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch, codes: list[set[int]], deadline: float, count: int, last: float
) -> None:
    attempts = Clock(monkeypatch).attempts(codes, deadline)
    assert (len(attempts), attempts[-1]) == (count, last), attempts


def test_nothing_is_retried_once_the_process_must_exit() -> None:
    abort = threading.Event()
    policy = Retries(time.monotonic() + 60, abort)
    abort.set()
    assert policy.next_pause({errno.EIO}) is None
    assert not policy.wait(60)


@contextmanager
def full_store(folder: Path) -> Iterator[Path]:
    """Mount a file system without a free byte."""
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    with tmpfs.tmpfs(folder, 64 * 1024) as disk:
        with open(disk / "other", "wb", buffering=0) as other:
            other.write(b"x" * 128 * 1024)
        yield disk


@contextmanager
def read_only_store(folder: Path) -> Iterator[Path]:
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    with tmpfs.tmpfs(folder, 64 * 1024) as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        yield disk


def finish(syncer: Syncer, seconds: float) -> float:
    """Run the last sync and return its duration."""
    started = time.monotonic()
    syncer.end_main(time.time())
    syncer.finish(started + seconds)
    syncer.close()
    return time.monotonic() - started


OpenStore = Callable[[Path], AbstractContextManager[Path]]


@pytest.mark.parametrize(
    ("open_store", "code"), [(full_store, errno.ENOSPC), (read_only_store, errno.EROFS)], ids=["full", "read-only"]
)
def test_a_store_that_takes_nothing_ends_the_last_sync_after_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, open_store: OpenStore, code: int
) -> None:
    monkeypatch.setattr(retries, "MAX_PERSISTENT_SECONDS", 0.5)
    (tmp_path / "store").mkdir()
    with open_store(tmp_path / "store") as store:
        job = Job(tmp_path, phfs=store)
        job.write("a", b"7 bytes")
        syncer = create_syncer(job.settings())
        assert finish(syncer, 60) < 5
    report = syncer.report
    assert (report.state, report.found.bytes, report.skipped["store_error"].bytes) == ("incomplete", 7, 7)
    assert os.strerror(code) in report.message
    assert read_summary(format_summary(report))["skippedBytes"] == {"store_error": 7}
    attempts = [record for record in caplog.records if record.getMessage().startswith("last sync failed")]
    assert 3 <= len(attempts) <= 6  # one line for each attempt
    assert os.strerror(code) in caplog.text
    assert "retry=no" in caplog.text


@pytest.mark.parametrize(
    ("code", "deadline"), [(errno.EDQUOT, 60), (errno.EACCES, 60), (errno.EPERM, 60), (errno.EIO, 1.0)]
)
def test_files_that_the_store_refuses_are_retried_as_long_as_that_can_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int, deadline: float
) -> None:
    require(build.missing() is None, str(build.missing()))
    monkeypatch.setattr(retries, "MAX_PERSISTENT_SECONDS", 0.3)
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint) as store:
        job = Job(tmp_path, store.path, store.backing)
        job.write_all(["a/1", "a/2", "b"])
        store.fault("create", code, match="/job-1/a/")
        took = finish(create_syncer(job.settings()), deadline)
    assert took > 0.9 if code == errno.EIO else 0.3 < took < 10
    assert sorted(job.copies()) == ["b"]
    report = job.report()
    assert (report.state, sorted(report.skipped["store_error"].paths)) == ("incomplete", ["a/1", "a/2"])
    assert report.sealed_at
    assert f'files=2 reason=store_error error="{os.strerror(code)}" retry="in 0.1 s"' in caplog.text


def test_a_metadata_folder_that_a_file_occupies_does_not_hold_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "MAX_PERSISTENT_SECONDS", 0.3)
    job = Job(tmp_path)
    job.write("a", "1")
    job.folder.mkdir(parents=True)
    (job.folder / ".metadata").write_text("another job's")
    syncer = create_syncer(job.settings())
    assert finish(syncer, 60) < 10
    assert (syncer.report.state, syncer.report.sealed_at) == ("incomplete", 0.0)
    assert (job.folder / ".metadata").read_text() == "another job's"


def test_a_store_error_while_main_runs_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint) as store:
        job = Job(tmp_path, store.path, store.backing)
        job.write_all(["a/1", "b"])
        syncer = create_syncer(job.settings())
        for number, error in enumerate((errno.ENOSPC, errno.ENOSPC, errno.EIO, 0, errno.EIO)):
            store.clear()
            if error:
                store.fault("write", error, match="/job-1/a/")
                job.write(f"a/{number}", "new")
            syncer.sync(eager=True)
        syncer.close()
    assert caplog.text.count("files not stored") == 3
