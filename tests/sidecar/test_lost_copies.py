"""Copies that others remove or change in the store while main runs: the last sync copies them again."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artifacts.layout import MANIFEST
from sidecar import apply
from sidecar.copy_strategy import CopyStrategy
from sidecar.process import create_syncer
from sidecar.sync import Syncer
from sidecar.verification import find_lost
from tests.machine import require
from tests.sidecar.sidecars import Job, end_syncer, state_of
from tests.storefs import build
from tests.storefs.mount import mounted

FILES = ("a", "b", "d/c", "d/e/f")


def synced(job: Job) -> Syncer:
    """Return a syncer that has copied the job's files, and has found them at rest."""
    job.write_all(FILES)
    time.sleep(0.021)  # a file that has just changed would be copied again anyway
    syncer = create_syncer(job.settings())
    syncer.sync(eager=True)
    assert set(job.copies()) == set(FILES)
    return syncer


def overwrite(path: Path) -> None:
    """Write other content of the same size, and restore the times that can be restored."""
    before = path.stat()
    path.write_bytes(b"X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Rename another file of the same size and times to the path."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    overwrite(other)
    other.replace(path)


def replace_by_link(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to("b" if path.name == "a" else "/nowhere")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "removed": lambda folder: (folder / "a").unlink(),
    "truncated": lambda folder: os.truncate(folder / "a", 10),
    "extended": lambda folder: os.truncate(folder / "a", 1000),
    "overwritten": lambda folder: overwrite(folder / "a"),
    "replaced": lambda folder: replace(folder / "a"),
    "replaced by a link": lambda folder: replace_by_link(folder / "a"),
    "its folder removed": lambda folder: shutil.rmtree(folder / "d"),
    "its folder replaced by a link": lambda folder: replace_by_link(folder / "d"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_seal_restores_copies_that_others_changed(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(tmp_path)
    syncer = synced(job)
    DAMAGES[damage](job.folder)
    end_syncer(syncer)
    job.assert_complete()
    assert (job.report().state, job.report().collected.files) == ("sealed", len(FILES))
    assert "copies missing or changed in the store" in caplog.text


@pytest.mark.parametrize("child_fails", [False, True])
def test_many_copies_are_verified_in_a_second_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child_fails: bool
) -> None:
    process = os.getpid()
    callers: list[int] = []

    def find_lost_here(*arguments: Any) -> set[str]:
        if child_fails and os.getpid() != process:
            raise MemoryError
        callers.append(os.getpid())
        return find_lost(*arguments)

    monkeypatch.setattr(apply, "find_lost", find_lost_here)
    monkeypatch.setattr(apply, "MIN_COPIES_TO_FORK", 1)
    monkeypatch.setattr(CopyStrategy, "process_count", lambda self, files, size: 2 if size == 0 else 1)
    job = Job(tmp_path)
    syncer = synced(job)
    (job.folder / "a").unlink()
    end_syncer(syncer)
    job.assert_complete()
    assert callers == ([process] if child_fails else [])


def test_a_restarted_sidecar_restores_copies_by_size_and_time(tmp_path: Path) -> None:
    job = Job(tmp_path)
    synced(job).close()
    (job.folder / "a").write_bytes(b"Y" * 100)
    os.truncate(job.folder / "b", 10)
    end_syncer(create_syncer(job.settings()))
    job.assert_complete()


def test_a_copy_whose_path_a_foreign_folder_occupies_is_reported(tmp_path: Path) -> None:
    job = Job(tmp_path)
    syncer = synced(job)
    (job.folder / "a").unlink()
    (job.folder / "a/foreign").mkdir(parents=True)
    end_syncer(syncer)
    report = job.report()
    assert (report.state, report.skipped["store_conflict"].paths, report.collected.files) == ("incomplete", ["a"], 3)


def test_copies_that_nobody_changed_are_not_copied_again(tmp_path: Path) -> None:
    job = Job(tmp_path)
    syncer = synced(job)
    before = state_of(job.folder)
    end_syncer(syncer)
    after = state_of(job.folder)
    assert {name: after[name] for name in FILES} == {name: before[name] for name in FILES}
    assert after[MANIFEST] == before[MANIFEST]
    assert syncer.metadata.totals.copied_files == len(FILES)


@pytest.mark.parametrize(
    "damage", [Path.unlink, overwrite, lambda path: os.truncate(path, 10)], ids=["removed", "overwritten", "truncated"]
)
def test_the_seal_restores_the_manifest(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    job = Job(tmp_path)
    syncer = synced(job)
    damage(job.folder / MANIFEST)
    end_syncer(syncer)
    job.assert_complete()


def test_copies_on_a_slow_mount_are_verified_concurrently(tmp_path: Path) -> None:
    """By their sizes alone, because the times on such mounts may change by themselves."""
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint) as store:
        job = Job(tmp_path, store.path, store.backing)
        job.write_all(f"d/{number}" for number in range(400))
        time.sleep(0.021)
        syncer = create_syncer(job.settings())
        syncer.sync(eager=True)
        (job.folder / "d/7").unlink()
        os.truncate(job.folder / "d/8", 1)
        os.utime(job.folder / "d/9")
        store.hang("lookup", match="/job-1/d/")
        last_sync = threading.Thread(target=end_syncer, args=(syncer,))
        last_sync.start()
        try:
            store.wait_for_hanging(20)
        finally:
            store.clear()
            last_sync.join()
        assert syncer.metadata.totals.copied_files == 402
    job.assert_complete()
    assert job.report().state == "sealed"
