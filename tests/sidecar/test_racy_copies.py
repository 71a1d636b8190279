"""Files that are rewritten within the clock tick of their copy, which changes nothing that stat returns."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sidecar import scanner, transfer
from sidecar.copy import CopiedContent, Copier
from sidecar.file_signature import is_racy, pack, signature_of, unpack, without_ctime
from sidecar.file_system import is_local
from sidecar.process import create_syncer
from sidecar.source import OpenFile
from sidecar.sync import Syncer
from sidecar.sync_loop import SyncLoop
from tests.machine import require
from tests.sidecar.sidecars import Job
from tests.storefs import build, tmpfs
from tests.storefs.mount import mounted

MS, S = 10**6, 10**9
TICK_NS = 10 * MS


class Rewriter:
    """A file of the job that is written right before it is copied, and again right after the copy's last read."""

    def __init__(self, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = job.write("state.json", '{"step": 0}')
        self.job, self._step, self._is_armed, copy, open_source = job, 0, False, Copier.copy, transfer._open

        def write_then_open(open_file: Callable[[str], OpenFile], path: str) -> OpenFile | transfer.TransferResult:
            if self._is_armed:
                self._write()
            return open_source(open_file, path)

        def copy_then_rewrite(copier: Copier, source: int, target: int, planned_bytes: int) -> CopiedContent:
            copied = copy(copier, source, target, planned_bytes)
            if self._is_armed:
                self._is_armed = False
                self._write()
            return copied

        monkeypatch.setattr(transfer, "_open", write_then_open)
        monkeypatch.setattr(Copier, "copy", copy_then_rewrite)

    def sync(self, syncer: Syncer) -> bool:
        """Sync, and rewrite the file after the copy. Returns whether the copy is outdated with an equal signature."""
        self.arm()
        copied = syncer.metadata.totals.copied_files
        syncer.sync(eager=True)
        assert syncer.metadata.totals.copied_files == copied + 1
        return self.job.copies()["state.json"] != self.path.read_bytes()

    def arm(self) -> None:
        """Change the file, and once more during the next copy."""
        self._write()
        self._is_armed = True

    def _write(self) -> None:
        self._step = (self._step + 1) % 10
        fd = os.open(self.path, os.O_WRONLY)
        os.pwrite(fd, b'{"step": %d}' % self._step, 0)
        os.close(fd)


def coarse_signature_of(status: os.stat_result) -> bytes:
    """Return the signature as a file system with ticks of 10 ms would have it."""
    size, mtime_ns, ctime_ns, inode = unpack(signature_of(status))
    return pack(size, mtime_ns - mtime_ns % TICK_NS, ctime_ns - ctime_ns % TICK_NS, inode)


@pytest.fixture(params=["ramfs", "coarse stat"])
def rewriter(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rewriter]:
    """A rewriter of a job whose artifacts folder is on a file system with coarse timestamps."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    if request.param == "ramfs":
        require(tmpfs.missing() is None, str(tmpfs.missing()))
        with tmpfs.ramfs(folder):
            yield Rewriter(Job(folder, phfs=tmp_path / "phfs"), monkeypatch)
    else:
        monkeypatch.setattr(transfer, "signature_of", coarse_signature_of)
        monkeypatch.setattr(scanner, "signature_of", coarse_signature_of)
        yield Rewriter(Job(folder, phfs=tmp_path / "phfs"), monkeypatch)


def make_outdated(rewriter: Rewriter, syncer: Syncer) -> None:
    """Sync until the copy is outdated although the file's signature has not changed."""
    assert any(rewriter.sync(syncer) for _ in range(100)), "otherwise this test proves nothing"


@pytest.mark.parametrize("until_end", ["last sync", "restart", "eviction"])
def test_a_file_rewritten_within_a_tick_is_copied_again(rewriter: Rewriter, until_end: str) -> None:
    job = rewriter.job
    syncer = create_syncer(job.settings(quiet_seconds=2))
    make_outdated(rewriter, syncer)
    if until_end == "restart":
        syncer.close()
        syncer = create_syncer(job.settings(quiet_seconds=2))
    syncer.end_main(time.time())
    if until_end == "eviction":  # main runs for up to two seconds after SIGTERM
        for _ in range(100):
            rewriter.arm()
            syncer.finish(time.monotonic() + 5, main_has_ended=False)
            if job.copies() != {"state.json": rewriter.path.read_bytes()}:
                break
    syncer.finish(time.monotonic() + 5)
    syncer.close()
    assert job.copies() == {"state.json": rewriter.path.read_bytes()}
    assert (job.report().state, job.report().unstable) == ("sealed", [])
    assert job.manifest()["state.json"]["ctimeNs"] != -1
    job.assert_complete()


def test_a_file_rewritten_within_a_tick_is_copied_again_while_main_runs(rewriter: Rewriter) -> None:
    syncer = create_syncer(rewriter.job.settings(quiet_seconds=0))
    make_outdated(rewriter, syncer)
    assert rewriter.job.manifest()["state.json"]["ctimeNs"] == -1
    time.sleep(0.02)
    syncer.sync()
    syncer.close()
    assert rewriter.job.copies() == {"state.json": rewriter.path.read_bytes()}


def test_copies_of_the_first_last_sync_are_final_unless_main_may_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncer = create_syncer(Job(tmp_path).settings())
    calls: list[bool] = []
    monkeypatch.setattr(syncer, "finish", lambda deadline, main_has_ended=True: calls.append(main_has_ended))
    for main_until in (0.2, 0.0):
        loop = SyncLoop(syncer, 3600, 0)
        loop.finish(time.monotonic() + 5, time.monotonic() + main_until)
        loop.run()
    syncer.close()
    assert calls == [False, True, True]


def test_a_file_at_rest_is_copied_once(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("a", "1")
    time.sleep(0.021)
    syncer = create_syncer(job.settings())
    for _ in range(3):
        syncer.sync(eager=True)
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 5)
    syncer.close()
    assert syncer.metadata.totals.copied_files == 1


def test_a_file_whose_time_is_in_the_future_is_copied_twice_and_no_more(tmp_path: Path) -> None:
    job = Job(tmp_path)
    tomorrow = time.time() + 86400
    os.utime(job.write("a", "1"), (tomorrow, tomorrow))
    syncer = create_syncer(job.settings())
    for _ in range(4):
        syncer.sync(eager=True)
        time.sleep(0.021)
    syncer.close()
    assert syncer.metadata.totals.copied_files == 2


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "skew_ns", "racy"),
    [
        (0, 100 * S - 25 * MS, 0, False),
        (0, 100 * S - 15 * MS, 0, True),
        (100 * S - 15 * MS, 1, 0, True),
        (0, 100 * S + MS, 0, True),
        (200 * S, 1, 0, True),
        (0, 100 * S - 25 * MS, 2 * S, True),  # the server's clock may be behind
        (0, 100 * S - 2025 * MS, 2 * S, False),
        (98 * S, 99 * S, 0, True),  # the file system may store whole seconds only
        (98 * S, 98 * S, 0, False),
    ],
)
def test_a_copy_is_racy_unless_the_file_changed_ticks_before_the_read(
    mtime_ns: int, ctime_ns: int, skew_ns: int, racy: bool
) -> None:
    assert is_racy(pack(1, mtime_ns, ctime_ns, 1), 100 * S, skew_ns) is racy


def test_a_signature_without_its_ctime_never_equals_the_files(tmp_path: Path) -> None:
    signature = signature_of(tmp_path.stat())
    assert without_ctime(signature) != signature
    assert without_ctime(without_ctime(signature)) == without_ctime(signature)
    size, mtime_ns, _, inode = unpack(signature)
    assert unpack(without_ctime(signature)) == (size, mtime_ns, -1, inode)


def test_the_clock_of_a_fuse_mount_may_be_another_machines(tmp_path: Path) -> None:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    (backing / "a").touch()
    with mounted(backing, mountpoint):
        assert [is_local_path(folder / "a") for folder in (backing, mountpoint)] == [True, False]


def is_local_path(path: Path) -> bool:
    with path.open() as file:
        return is_local(file.fileno())
