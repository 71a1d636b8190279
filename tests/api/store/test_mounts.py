"""The mount table is read once, and again after each change."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.store import mounts
from api.store.mounts import FuseDevices
from api.store.posix import PosixStore
from artifacts.mounts import read_mounts
from tests.machine import require
from tests.storefs import build, mount, tmpfs


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the reads of the mount table."""
    counted: list[int] = []

    def counting_read() -> object:
        counted.append(1)
        return read_mounts()

    monkeypatch.setattr(mounts, "read_mounts", counting_read)
    return counted


def test_files_are_opened_without_reading_the_mount_table_each_time(tmp_path: Path, reads: list[int]) -> None:
    store = PosixStore(str(tmp_path))
    for number in range(20):
        store.write(f"f{number}", b"x")
    for _ in range(3):  # another process may mount something meanwhile
        reads.clear()
        for number in range(20):
            store.read(f"f{number}", 1)
            store.stat(f"f{number}")
        if len(reads) <= 1:
            return
    pytest.fail(f"the mount table was read {len(reads)} times")


def test_a_new_mount_is_known_at_once(tmp_path: Path, reads: list[int]) -> None:
    require(build.missing() is None, str(build.missing()))
    devices = FuseDevices()
    backing, path = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    path.mkdir()
    before = path.stat().st_dev
    assert before not in devices
    for _ in range(2):
        with mount.mounted(backing, path):
            device = path.stat().st_dev
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(devices.__contains__, [device] * 20)) == [True] * 20
        assert before not in devices
        with tmpfs.tmpfs(path, 4096):  # may reuse the device's number
            assert path.stat().st_dev not in devices
    assert len(reads) >= 5
    devices.reset()


def test_a_forked_process_sees_changes_too(tmp_path: Path) -> None:
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    device = tmp_path.stat().st_dev
    assert device not in mounts.FUSE_DEVICES
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # consumes an event if the file were shared
        with tmpfs.tmpfs(tmp_path, 4096):
            os.write(writer, b"%d" % (tmp_path.stat().st_dev in mounts.FUSE_DEVICES))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 1) == b"0"
    assert mounts.FUSE_DEVICES._poll.poll(0)
    os.close(reader)
    os.close(writer)
