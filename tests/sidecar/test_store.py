"""The job folder in a real folder: written whole or not at all."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from artifacts.errors import StoreConflict, StoreError
from artifacts.layout import MANIFEST, TEMPORARY
from sidecar.store import Store, file_system_of, write_all
from tests.sidecar.folders import JOB, PHFS, artifacts, opened, tree

pytestmark = pytest.mark.usefixtures("either_kernel")


def fails(error: OSError) -> Callable[[int], None]:
    def fill(fd: int) -> None:
        os.write(fd, b"half")
        raise error

    return fill


def test_a_new_file_is_made_with_the_folders_it_needs(tmp_path: Path, store: Store) -> None:
    store.write_bytes("a/b/ü.txt", b"content")
    assert tree(tmp_path / PHFS) == {"jobArtifacts/job-1/a/b/ü.txt": "content"}


def test_a_new_file_appears_in_its_place_at_once_and_nowhere_else(tmp_path: Path, store: Store) -> None:
    """Stores that know no rename, and mounts where it costs a copy, need nothing else."""
    seen = []

    def fill(fd: int) -> None:
        seen.append(sorted(tree(tmp_path / JOB)))
        write_all(fd, b"x")

    store.write("a", fill)
    assert seen == [["a"]]


@pytest.mark.parametrize("exists", [False, True])
def test_an_older_copy_stays_whole_until_the_new_one_is(tmp_path: Path, store: Store, exists: bool) -> None:
    store.write_bytes("d/a", b"old")
    seen = []

    def fill(fd: int) -> None:
        write_all(fd, b"new")
        seen.append((tmp_path / JOB / "d/a").read_text())

    store.write("d/a", fill, exists=exists)
    assert seen == ["old"]
    assert artifacts(tmp_path) == {"d/a": "new"}
    assert not [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text]


@pytest.mark.parametrize("exists", [False, True])
def test_what_is_said_to_exist_and_does_not_is_written_all_the_same(tmp_path: Path, store: Store, exists: bool) -> None:
    store.write("x/y/a", lambda fd: write_all(fd, b"new"), exists=exists)
    assert artifacts(tmp_path) == {"x/y/a": "new"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, store: Store, exists: bool) -> None:
    if exists:
        store.write_bytes("a", b"old")
    with pytest.raises(StoreError) as caught:
        store.write("a", fails(OSError(errno.ENOSPC, "full")), exists=exists)
    assert (caught.value.path, caught.value.cause.errno) == ("a", errno.ENOSPC)
    assert not isinstance(caught.value, StoreConflict)
    assert artifacts(tmp_path) == ({"a": "old"} if exists else {})


def test_another_error_of_the_content_passes_through_and_leaves_nothing(tmp_path: Path, store: Store) -> None:
    def fill(fd: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write("a", fill)
    assert artifacts(tmp_path) == {}


def test_an_executable_file_stays_so(tmp_path: Path, store: Store) -> None:
    store.write("run", lambda fd: None, executable=True)
    store.write("data", lambda fd: None)
    assert [(tmp_path / JOB / name).stat().st_mode & 0o111 for name in ("run", "data")] == [0o111, 0]


@pytest.mark.parametrize(
    ("umask", "file_mode", "folder_mode"), [(0, 0o664, 0o2777), (0, 0o600, 0o700), (0o077, 0o600, 0o700)]
)
def test_files_and_folders_get_the_modes_of_the_settings(
    tmp_path: Path, store: Store, umask: int, file_mode: int, folder_mode: int
) -> None:
    """The process runs with umask 0; another umask still takes bits away, as everywhere."""
    before = os.umask(umask)
    try:
        with opened(tmp_path, 0o664 if not umask and file_mode == 0o664 else 0o666, 0o2777) as other:
            other.write_bytes("plain", b"")
        with opened(tmp_path, file_mode, folder_mode) as other:
            other.write_bytes("d/e/a", b"1")
            other.write("d/e/a", lambda fd: write_all(fd, b"2"), exists=True)
            other.write_bytes("d/e/b", b"")
    finally:
        os.umask(before)
    folders = [stat.S_IMODE((tmp_path / JOB / name).stat().st_mode) for name in ("d", "d/e")]
    assert [mode & 0o777 for mode in folders] == [folder_mode & 0o777] * 2
    assert [stat.S_IMODE((tmp_path / JOB / f"d/e/{name}").stat().st_mode) for name in "ab"] == [file_mode] * 2
    assert stat.S_IMODE((tmp_path / JOB / "plain").stat().st_mode) == (0o664 if file_mode == 0o664 else 0o666 & ~umask)


def test_a_job_folder_that_was_removed_is_made_anew(tmp_path: Path, store: Store) -> None:
    for exists in (False, True):
        store.write(MANIFEST, lambda fd: write_all(fd, b"{}\n"), exists=exists)
        os.rename(tmp_path / JOB, tmp_path / f"moved-{exists}")
    store.write(MANIFEST, lambda fd: write_all(fd, b"{}\n"), exists=True)
    assert artifacts(tmp_path) == {MANIFEST: "{}\n"}


@pytest.mark.parametrize("refused", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV])
def test_where_the_store_cannot_rename_the_copy_is_written_in_place(tmp_path: Path, store: Store, refused: int) -> None:
    store.write_bytes("d/a", b"old")
    with mock.patch("os.rename", side_effect=OSError(refused, "no rename here")):
        store.write("d/a", lambda fd: write_all(fd, b"new"), exists=True)
    assert artifacts(tmp_path) == {"d/a": "new"}
    assert not [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text]


def test_a_rename_that_fails_otherwise_leaves_the_older_copy(tmp_path: Path, store: Store) -> None:
    store.write_bytes("a", b"old")
    with mock.patch("os.rename", side_effect=OSError(errno.EIO, "broken")), pytest.raises(StoreError) as caught:
        store.write("a", lambda fd: write_all(fd, b"new"), exists=True)
    assert caught.value.cause.errno == errno.EIO
    assert artifacts(tmp_path) == {"a": "old"}
    assert not [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text]


def test_a_removed_file_takes_its_empty_folders_along(tmp_path: Path, store: Store) -> None:
    for path in ("a/b/c/x", "a/y", "z"):
        store.write_bytes(path, b"1")
    store.remove("a/b/c/x")
    assert artifacts(tmp_path) == {"a/y": "1", "z": "1"}
    store.remove("a/y")
    assert artifacts(tmp_path) == {"z": "1"}
    store.remove("z")
    assert (tmp_path / JOB).is_dir()


@pytest.mark.parametrize("path", ["gone", "no/such/folder/a", "file/a"])
def test_removing_what_is_gone_is_fine(tmp_path: Path, store: Store, path: str) -> None:
    store.write_bytes("file", b"1")
    store.remove(path)
    assert artifacts(tmp_path) == {"file": "1"}


def test_the_size_of_a_copy_is_told_and_of_all_else_none(tmp_path: Path, store: Store) -> None:
    store.write_bytes("d/a", b"12345")
    (tmp_path / JOB / "link").symlink_to("d/a")
    (tmp_path / JOB / "folder-link").symlink_to("d")
    assert store.size("d/a") == 5
    assert [store.size(path) for path in ("gone", "gone/a", "d", "d/a/x", "link", "folder-link/a")] == [None] * 6


def test_what_a_killed_sync_left_half_written_is_removed(tmp_path: Path, store: Store) -> None:
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt), mock.patch.object(store, "_forget"):
            store.write("a", fails(KeyboardInterrupt()), exists=True)  # type: ignore[arg-type]
    store.write_bytes("kept", b"1")
    assert [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text == "half"]
    store.remove_temporaries()
    assert {path: text for path, text in tree(tmp_path / JOB).items() if text} == {"kept": "1"}


def test_lines_are_read_bounded(store: Store) -> None:
    store.write_bytes(MANIFEST, b"a\n" + b"x" * 100_000 + b"\nb")
    lines = list(store.read_lines(MANIFEST))
    assert (lines[0], lines[-1], max(map(len, lines))) == (b"a\n", b"b", 64 * 1024)


def test_a_store_that_is_not_there_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, opened(tmp_path):
        pass
    assert (caught.value.action, caught.value.cause.errno) == ("open", errno.ENOENT)


def test_connecting_again_finds_the_mount_that_is_there_now(tmp_path: Path, store: Store) -> None:
    store.write_bytes("a", b"1")
    os.rename(tmp_path / PHFS, tmp_path / "dead")
    (tmp_path / PHFS).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    store.connect()
    store.write_bytes("b", b"2")
    assert artifacts(tmp_path) == {"b": "2"}
    assert len(os.listdir("/proc/self/fd")) == before


def test_every_byte_is_written_where_a_store_takes_fewer_at_a_time() -> None:
    taken = bytearray()

    def write(fd: int, content: memoryview) -> int:
        taken.extend(content[:3])
        return min(3, len(content))

    with mock.patch("os.write", write):
        write_all(-1, b"0123456789")
    assert taken == b"0123456789"


def test_the_type_of_a_file_system_is_told() -> None:
    assert file_system_of("/proc/self/status") == "proc"
    assert file_system_of("/sys/kernel/") == "sysfs"
    assert file_system_of("/no/such/place") == file_system_of("/")
