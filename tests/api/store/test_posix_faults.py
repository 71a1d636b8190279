"""A directory that fails: mounts with errors, mounts that die and are remounted, full disks, killed processes."""

import errno
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.store.posix import PosixStore
from api.store.store import FileChanged, FileMissing, RemovedFiles
from artifacts.errors import InvalidDocument, StoreConflict, StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.store.test_store import JOB, names
from tests.machine import require
from tests.storefs import build, mount, tmpfs

ROOT = Path(__file__).parents[3]
LAST = [LEGACY_EXPIRED_AT, EXPIRED_AT]
MIB = 1024 * 1024


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[mount.FaultyMount]:
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    (backing / JOB / "d").mkdir(parents=True)
    mountpoint.mkdir()
    (backing / JOB / "a").write_text("a")
    (backing / JOB / "d/b").write_text("bb")
    with mount.mounted(backing, mountpoint) as store:
        yield store


@pytest.fixture
def store(faulty: mount.FaultyMount) -> PosixStore:
    return PosixStore(str(faulty.path))


def raises(number: int) -> "pytest.RaisesExc[StoreError]":
    return pytest.raises(StoreError, match=re.escape(os.strerror(number)))


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ETIMEDOUT])
def test_a_mount_error_raises_store_error_instead_of_file_missing(
    faulty: mount.FaultyMount, store: PosixStore, number: int
) -> None:
    faulty.fault("lookup", number, match="/d")
    for operation in (
        store.stat,
        store.open,
        store.delete,
        lambda key: store.read(key, 9),
        lambda key: store.write(key, b""),
    ):
        with raises(number):
            operation(f"{JOB}d/b")
    with raises(number):
        list(store.list(f"{JOB}d/"))
    assert store.read(f"{JOB}a", 1) == b"a"
    faulty.clear()
    faulty.fault("readdir", number, match="/d")
    listing = store.list(JOB)
    assert next(listing).name == "a"
    with raises(number):
        next(listing)
    faulty.clear()
    assert names(store) == ["a", "d/b"]
    faulty.fault("readdir", number)
    with raises(number):
        store.check()


def test_a_remounted_store_works_again(faulty: mount.FaultyMount, store: PosixStore) -> None:
    listing = store.list(JOB)
    next(listing)
    with closing(store.open(f"{JOB}d/b")) as file:
        faulty.kill()
        for file_operation in (store.stat, store.open, store.delete, lambda key: store.write(key, b"")):
            with raises(errno.ENOTCONN):
                file_operation(f"{JOB}a")
        for operation in (store.check, lambda: store.remove(JOB), lambda: next(listing), lambda: next(store.list(JOB))):
            with raises(errno.ENOTCONN):
                operation()
        with pytest.raises(StoreError):
            list(file.chunks(0, 2))
        faulty.remount()
        store.check()
        assert names(store) == ["a", "d/b"]
        assert store.read(f"{JOB}d/b", 2) == b"bb"


def test_a_missing_root_raises_store_error(tmp_path: Path) -> None:
    store = PosixStore(str(tmp_path / "absent"))
    for operation in (
        store.check,
        lambda: list(store.list("groups/")),
        lambda: store.stat("a"),
        lambda: store.remove(JOB),
        lambda: store.delete("a"),
        lambda: store.write("a", b""),
    ):
        with raises(errno.ENOENT):
            operation()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV])
def test_a_file_is_replaced_if_the_store_cannot_rename(
    faulty: mount.FaultyMount, store: PosixStore, number: int
) -> None:
    faulty.fault("rename", number)
    store.write(f"{JOB}a", b"new")
    store.write(f"{JOB}d/c", b"c")
    assert store.read(f"{JOB}a", 3) == b"new"
    assert names(store) == ["a", "d/b", "d/c"]
    assert names(store, "phjob-artifacts/") == []


@pytest.mark.parametrize("operation", ["create", "write", "flush", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    faulty: mount.FaultyMount, store: PosixStore, operation: str, number: int
) -> None:
    faulty.fault(operation, number)
    with raises(number):
        store.write(f"{JOB}a", b"new")
    faulty.clear()
    assert store.read(f"{JOB}a", 1) == b"a"
    assert names(store, "phjob-artifacts/") == []


def test_a_store_without_fsync_accepts_writes(faulty: mount.FaultyMount, store: PosixStore) -> None:
    faulty.fault("fsync", errno.ENOSYS)
    faulty.shorten_writes()
    store.write(f"{JOB}a", b"0123456789")
    assert store.read(f"{JOB}a", 10) == b"0123456789"


def test_a_write_to_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    with tmpfs.tmpfs(tmp_path, 64 * 1024) as disk:
        store = PosixStore(str(disk))
        store.write(f"{JOB}a", b"old")
        with raises(errno.ENOSPC):
            store.write(f"{JOB}a", bytes(MIB))
        assert store.read(f"{JOB}a", 3) == b"old"
        assert names(store, "phjob-artifacts/") == []
        store.write(f"{JOB}a", b"new")


def test_a_read_error_in_the_middle_of_a_file_raises_store_error(faulty: mount.FaultyMount, store: PosixStore) -> None:
    (faulty.backing / JOB / "large").write_bytes(bytes(3 * MIB))
    with closing(store.open(f"{JOB}large")) as file:
        chunks = file.chunks(0, 3 * MIB)
        next(chunks)
        faulty.fault("read", errno.EIO)
        with raises(errno.EIO):
            list(chunks)


@pytest.mark.parametrize("change", ["cut short", "written to", "appended to"])
def test_a_write_during_a_read_raises_file_changed(tmp_path: Path, change: str) -> None:
    store = PosixStore(str(tmp_path))
    path = tmp_path / JOB / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(3 * MIB))
    os.utime(path, (1, 1))
    with closing(store.open(f"{JOB}a")) as file:
        chunks = file.chunks(0, 3 * MIB)
        next(chunks)
        with path.open("r+b") as other:
            if change == "cut short":
                other.truncate(MIB)
            else:
                other.seek(0, os.SEEK_END if change == "appended to" else os.SEEK_SET)
                other.write(b"x")
        with pytest.raises(FileChanged):
            list(chunks)


@pytest.mark.parametrize(("times", "is_read"), [(4, True), (9, False)])
def test_read_retries_if_a_small_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, is_read: bool
) -> None:
    store, remaining = PosixStore(str(tmp_path)), [times]
    store.write("f", b"x")
    open_file = store.open

    def open_and_touch(key: str) -> Any:
        file = open_file(key)
        if remaining[0]:
            remaining[0] -= 1
            os.utime(tmp_path / "f", (1, remaining[0]))
        return file

    monkeypatch.setattr(store, "open", open_and_touch)
    if is_read:
        assert store.read("f", 10) == b"x"
    else:
        with pytest.raises(InvalidDocument, match="changed during each of 5 reads"):
            store.read("f", 10)


def test_an_open_file_is_read_completely_after_its_removal(tmp_path: Path) -> None:
    store = PosixStore(str(tmp_path))
    store.write(f"{JOB}a", bytes(2 * MIB))
    with closing(store.open(f"{JOB}a")) as file:
        chunks = file.chunks(0, 2 * MIB)
        first = next(chunks)
        store.remove(JOB)
        assert first + b"".join(chunks) == bytes(2 * MIB)
    with pytest.raises(FileMissing):
        store.open(f"{JOB}a")


def test_the_etag_survives_new_inode_numbers_on_fuse(
    faulty: mount.FaultyMount, store: PosixStore, tmp_path: Path
) -> None:
    before = store.stat(f"{JOB}a").etag
    faulty.remount()
    assert store.stat(f"{JOB}a").etag == before
    assert PosixStore(str(faulty.backing)).stat(f"{JOB}a").etag.rpartition("-")[2] != "0"
    assert before.rpartition("-")[2] == "0"


def test_a_mount_may_change_the_mtime_at_the_first_read(
    faulty: mount.FaultyMount, store: PosixStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread, times = os.pread, itertools.count(1)
    read = set()

    def pread_like_rclone(fd: int, length: int, start: int) -> bytes:
        if fd not in read:
            os.utime(faulty.backing / JOB / "large", (next(times), 1))
            read.add(fd)
        return pread(fd, length, start)

    (faulty.backing / JOB / "large").write_bytes(bytes(2 * MIB))
    monkeypatch.setattr(os, "pread", pread_like_rclone)
    with closing(store.open(f"{JOB}large")) as file:
        assert sum(map(len, file.chunks(0, 2 * MIB))) == 2 * MIB
        assert sum(map(len, file.chunks(0, 2 * MIB))) == 2 * MIB


@pytest.mark.parametrize(("operation", "match"), [("unlink", "/d/b"), ("rmdir", "/d"), ("readdir", "/d")])
def test_a_file_that_cannot_be_removed_keeps_only_the_last_files(
    faulty: mount.FaultyMount, store: PosixStore, operation: str, match: str
) -> None:
    for name in LAST:
        store.write(JOB + name, b"1\n")
    faulty.fault(operation, errno.EIO, match=f"job-1{match}")
    for _ in range(2):
        with raises(errno.EIO):
            store.remove(JOB, LAST)
    faulty.clear()
    remaining = names(store)
    assert set(LAST) <= set(remaining)
    assert "a" not in remaining
    store.remove(JOB, LAST)
    assert not (faulty.backing / JOB).exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOTCONN])
def test_a_removal_stops_at_a_fatal_error(faulty: mount.FaultyMount, store: PosixStore, number: int) -> None:
    for count in range(50):
        (faulty.backing / JOB / f"d/{count}").touch()
    faulty.fault("unlink", number)
    before = faulty.counts()["unlink"]
    with raises(number):
        store.remove(JOB)
    assert faulty.counts()["unlink"] - before <= 1


def test_a_write_below_a_file_raises_store_conflict(tmp_path: Path) -> None:
    store = PosixStore(str(tmp_path))
    store.write(f"{JOB}.primehub", b"planted")
    with pytest.raises(StoreConflict):
        store.write(JOB + EXPIRED_AT, b"1\n")


KILLED = """
import os, signal, sys
from api.store.posix import PosixStore
remaining = int(sys.argv[3])
def dying(call):
    def called(*args, **more):
        global remaining
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1
        return call(*args, **more)
    return called
os.unlink, os.rmdir = dying(os.unlink), dying(os.rmdir)
PosixStore(sys.argv[1]).remove(sys.argv[2], sys.argv[4:])
"""


def test_a_removal_killed_at_any_step_can_resume_and_removes_the_last_files_last(tmp_path: Path) -> None:
    files = ["a", "d/b", "d/e/c", ".primehub/metadata/report.json"]
    for step in itertools.count():
        root = tmp_path / str(step)
        root.mkdir()
        store = PosixStore(str(root))
        for name in [*files, *LAST]:
            store.write(JOB + name, b"1")
        command = [sys.executable, "-c", KILLED, str(root), JOB, str(step), *LAST]
        killed = subprocess.run(command, cwd=ROOT, check=False).returncode
        remaining = names(store)
        assert killed in (0, -signal.SIGKILL)
        assert [name for name in LAST if name in remaining] == LAST[len(LAST) - len(set(LAST) & set(remaining)) :]
        count = len(set(files) & set(remaining))
        assert not count or set(LAST) <= set(remaining)
        assert store.remove(JOB, LAST) == RemovedFiles(count, count)
        assert os.listdir(root / "groups/phusers/jobArtifacts") == []
        if killed == 0:
            assert remaining == []
            break
    assert step >= len(files) + len(LAST) + 5
