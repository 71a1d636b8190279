"""The job folder store in a real folder: files are written completely or not at all."""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from artifacts.errors import StoreConflict, StoreError
from artifacts.layout import MANIFEST, TEMPORARY
from sidecar.copy import CopyAborted, GrowthExceeded
from sidecar.open_folders import MAX_FOLDERS
from sidecar.store import JobFolderStore, file_system_of, write_all
from tests.sidecar.folders import JOB, PHFS, artifacts, open_store, tree

pytestmark = pytest.mark.usefixtures("either_kernel")


def fail_with(error: Exception) -> Callable[[int], None]:
    def write_content(fd: int) -> None:
        os.write(fd, b"half")
        raise error

    return write_content


def test_a_new_file_is_created_with_its_parent_folders(tmp_path: Path, store: JobFolderStore) -> None:
    store.write_bytes("a/b/ü.txt", b"content")
    assert tree(tmp_path / PHFS) == {"jobArtifacts/job-1/a/b/ü.txt": "content"}


def test_a_new_file_is_created_in_place(tmp_path: Path, store: JobFolderStore) -> None:
    """So that stores without rename, or with an expensive one, work too."""
    observed = []

    def write_content(fd: int) -> None:
        observed.append(sorted(tree(tmp_path / JOB)))
        write_all(fd, b"x")

    store.write("a", write_content)
    assert observed == [["a"]]


@pytest.mark.parametrize("exists", [False, True])
def test_an_older_copy_stays_complete_until_the_new_one_is(tmp_path: Path, store: JobFolderStore, exists: bool) -> None:
    store.write_bytes("d/a", b"old")
    observed = []

    def write_content(fd: int) -> None:
        write_all(fd, b"new")
        observed.append((tmp_path / JOB / "d/a").read_text())

    store.write("d/a", write_content, exists=exists)
    assert observed == ["old"]
    assert artifacts(tmp_path) == {"d/a": "new"}
    assert not [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text]


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_is_written_whether_or_not_exists_is_correct(
    tmp_path: Path, store: JobFolderStore, exists: bool
) -> None:
    store.write("x/y/a", lambda fd: write_all(fd, b"new"), exists=exists)
    assert artifacts(tmp_path) == {"x/y/a": "new"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_write_leaves_the_old_content(tmp_path: Path, store: JobFolderStore, exists: bool) -> None:
    if exists:
        store.write_bytes("a", b"old")
    with pytest.raises(StoreError) as caught:
        store.write("a", fail_with(OSError(errno.ENOSPC, "full")), exists=exists)
    assert (caught.value.path, caught.value.cause.errno) == ("a", errno.ENOSPC)
    assert not isinstance(caught.value, StoreConflict)
    assert artifacts(tmp_path) == ({"a": "old"} if exists else {})


@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_write_leaves_no_folder(tmp_path: Path, store: JobFolderStore, exists: bool) -> None:
    """A later file with the name of such a folder would be a conflict."""
    store.write_bytes("d/kept", b"")
    for error in (OSError(errno.ENOSPC, "full"), GrowthExceeded(), CopyAborted()):
        with pytest.raises((StoreError, GrowthExceeded, CopyAborted)):
            store.write("d/e/f/a", fail_with(error), exists=exists)
    assert artifacts(tmp_path) == {"d/kept": ""}


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_that_others_remove_during_a_sync_is_created_again(
    tmp_path: Path, store: JobFolderStore, exists: bool
) -> None:
    with closing(store.open_folders()) as folders:
        for name in ("a", "b"):
            store.write(f"d/e/{name}", lambda fd: write_all(fd, b"x"), exists=exists, folders=folders)
            shutil.rmtree(tmp_path / JOB)
        store.write("d/e/c", lambda fd: write_all(fd, b"x"), exists=exists, folders=folders)
    assert artifacts(tmp_path) == {"d/e/c": "x"}


def test_a_few_folders_stay_open_during_a_sync(tmp_path: Path, store: JobFolderStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with closing(store.open_folders()) as folders:
        for number in range(MAX_FOLDERS + 5):
            store.write(f"d{number}/a", lambda fd: None, folders=folders)
        assert len(os.listdir("/proc/self/fd")) == before + MAX_FOLDERS
    assert len(os.listdir("/proc/self/fd")) == before


def test_other_errors_while_writing_are_raised_and_leave_no_file(tmp_path: Path, store: JobFolderStore) -> None:
    def write_content(fd: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write("a", write_content)
    assert artifacts(tmp_path) == {}


def test_an_executable_file_stays_executable(tmp_path: Path, store: JobFolderStore) -> None:
    store.write("run", lambda fd: None, executable=True)
    store.write("data", lambda fd: None)
    assert [(tmp_path / JOB / name).stat().st_mode & 0o111 for name in ("run", "data")] == [0o111, 0]


@pytest.mark.parametrize(
    ("umask", "file_mode", "folder_mode"), [(0, 0o664, 0o2777), (0, 0o600, 0o700), (0o077, 0o600, 0o700)]
)
def test_files_and_folders_get_the_configured_modes(
    tmp_path: Path, store: JobFolderStore, umask: int, file_mode: int, folder_mode: int
) -> None:
    """The sidecar sets umask 0; another umask still applies."""
    before = os.umask(umask)
    try:
        with open_store(tmp_path, 0o664 if not umask and file_mode == 0o664 else 0o666, 0o2777) as other:
            other.write_bytes("plain", b"")
        with open_store(tmp_path, file_mode, folder_mode) as other:
            other.write_bytes("d/e/a", b"1")
            other.write("d/e/a", lambda fd: write_all(fd, b"2"), exists=True)
            other.write_bytes("d/e/b", b"")
    finally:
        os.umask(before)
    folders = [stat.S_IMODE((tmp_path / JOB / name).stat().st_mode) for name in ("d", "d/e")]
    assert [mode & 0o777 for mode in folders] == [folder_mode & 0o777] * 2
    assert [stat.S_IMODE((tmp_path / JOB / f"d/e/{name}").stat().st_mode) for name in "ab"] == [file_mode] * 2
    assert stat.S_IMODE((tmp_path / JOB / "plain").stat().st_mode) == (0o664 if file_mode == 0o664 else 0o666 & ~umask)


def test_a_removed_job_folder_is_recreated(tmp_path: Path, store: JobFolderStore) -> None:
    for exists in (False, True):
        store.write(MANIFEST, lambda fd: write_all(fd, b"{}\n"), exists=exists)
        os.rename(tmp_path / JOB, tmp_path / f"moved-{exists}")
    store.write(MANIFEST, lambda fd: write_all(fd, b"{}\n"), exists=True)
    assert artifacts(tmp_path) == {MANIFEST: "{}\n"}


@pytest.mark.parametrize("refused", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV])
def test_a_copy_is_written_in_place_if_the_store_cannot_rename(
    tmp_path: Path, store: JobFolderStore, refused: int
) -> None:
    store.write_bytes("d/a", b"old")
    with mock.patch("os.rename", side_effect=OSError(refused, "no rename here")):
        store.write("d/a", lambda fd: write_all(fd, b"new"), exists=True)
    assert artifacts(tmp_path) == {"d/a": "new"}
    assert not [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text]


def test_any_other_rename_error_leaves_the_older_copy(tmp_path: Path, store: JobFolderStore) -> None:
    store.write_bytes("a", b"old")
    with mock.patch("os.rename", side_effect=OSError(errno.EIO, "broken")), pytest.raises(StoreError) as caught:
        store.write("a", lambda fd: write_all(fd, b"new"), exists=True)
    assert caught.value.cause.errno == errno.EIO
    assert artifacts(tmp_path) == {"a": "old"}
    assert not [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text]


def test_empty_parent_folders_are_removed_with_a_file(tmp_path: Path, store: JobFolderStore) -> None:
    for path in ("a/b/c/x", "a/y", "z"):
        store.write_bytes(path, b"1")
    store.remove("a/b/c/x")
    assert artifacts(tmp_path) == {"a/y": "1", "z": "1"}
    store.remove("a/y")
    assert artifacts(tmp_path) == {"z": "1"}
    store.remove("z")
    assert (tmp_path / JOB).is_dir()


def test_a_removal_that_was_killed_between_two_folders_is_finished(tmp_path: Path, store: JobFolderStore) -> None:
    """Else the empty folder stays, and a file of its name can never be copied."""
    store.write_bytes("a/b/c/x", b"1")
    (tmp_path / JOB / "a/b/c/x").unlink()
    (tmp_path / JOB / "a/b/c").rmdir()
    store.remove("a/b/c/x")
    store.write_bytes("a", b"now a file")
    assert artifacts(tmp_path) == {"a": "now a file"}


@pytest.mark.parametrize("path", ["gone", "no/such/folder/a", "file/a"])
def test_removing_a_missing_file_succeeds(tmp_path: Path, store: JobFolderStore, path: str) -> None:
    store.write_bytes("file", b"1")
    store.remove(path)
    assert artifacts(tmp_path) == {"file": "1"}


def test_only_regular_files_have_a_size(tmp_path: Path, store: JobFolderStore) -> None:
    store.write_bytes("d/a", b"12345")
    (tmp_path / JOB / "link").symlink_to("d/a")
    (tmp_path / JOB / "folder-link").symlink_to("d")
    status = store.stat("d/a")
    assert status is not None
    assert status.st_size == 5
    assert [store.stat(path) for path in ("gone", "gone/a", "d", "d/a/x", "link", "folder-link/a")] == [None] * 6


def test_temporary_files_of_a_killed_sync_are_removed(tmp_path: Path, store: JobFolderStore) -> None:
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt), mock.patch.object(store, "remove"):
            store.write("a", fail_with(KeyboardInterrupt()), exists=True)  # type: ignore[arg-type]
    store.write_bytes("kept", b"1")
    assert [path for path, text in tree(tmp_path / JOB / TEMPORARY).items() if text == "half"]
    store.remove_temporaries()
    assert {path: text for path, text in tree(tmp_path / JOB).items() if text} == {"kept": "1"}


def test_line_length_is_bounded(store: JobFolderStore) -> None:
    store.write_bytes(MANIFEST, b"a\n" + b"x" * 100_000 + b"\nb")
    lines = list(store.read_lines(MANIFEST))
    assert (lines[0], lines[-1], max(map(len, lines))) == (b"a\n", b"b", 64 * 1024)


def test_connecting_to_a_missing_store_raises(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught, open_store(tmp_path):
        pass
    assert (caught.value.action, caught.value.cause.errno) == ("open", errno.ENOENT)


def test_reconnecting_opens_the_current_mount(tmp_path: Path, store: JobFolderStore) -> None:
    store.write_bytes("a", b"1")
    os.rename(tmp_path / PHFS, tmp_path / "dead")
    (tmp_path / PHFS).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    store.connect()
    store.write_bytes("b", b"2")
    assert artifacts(tmp_path) == {"b": "2"}
    assert len(os.listdir("/proc/self/fd")) == before


def test_write_all_writes_all_bytes_despite_short_writes() -> None:
    taken = bytearray()

    def write(fd: int, content: memoryview) -> int:
        taken.extend(content[:3])
        return min(3, len(content))

    with mock.patch("os.write", write):
        write_all(-1, b"0123456789")
    assert taken == b"0123456789"


def test_the_type_of_a_file_system_is_found() -> None:
    assert file_system_of("/proc/self/status") == "proc"
    assert file_system_of("/sys/kernel/") == "sysfs"
    assert file_system_of("/no/such/place") == file_system_of("/")
