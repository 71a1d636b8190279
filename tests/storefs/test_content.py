"""Without faults, the mount behaves like an ordinary folder."""

import os
from pathlib import Path

import pytest

from tests.storefs.mount import FaultyMount, mounted


def test_content_written_to_the_mount_is_in_the_backing_folder(store: FaultyMount) -> None:
    content = os.urandom(3_000_000)
    (store.path / "a").mkdir()
    (store.path / "a/f").write_bytes(content)
    assert (store.backing / "a/f").read_bytes() == content
    assert (store.path / "a/f").read_bytes() == content


def test_overwriting_truncates_and_appending_appends(store: FaultyMount) -> None:
    file = store.path / "f"
    file.write_text("long ago")
    file.write_text("new")
    with file.open("a") as out:
        out.write("er")
    assert (store.backing / "f").read_text() == "newer"


def test_an_open_file_can_be_truncated_and_written_in_the_middle(store: FaultyMount) -> None:
    with (store.path / "f").open("wb") as out:
        out.write(b"0123456789")
        out.truncate(6)
        out.seek(2)
        out.write(b"xy")
    assert (store.backing / "f").read_bytes() == b"01xy45"


def test_exclusive_creation_refuses_an_existing_file(store: FaultyMount) -> None:
    (store.path / "f").touch()
    with pytest.raises(FileExistsError):
        (store.path / "f").open("x")


def test_names_can_be_renamed_linked_listed_and_removed(store: FaultyMount) -> None:
    (store.path / "d").mkdir()
    (store.path / "d/f").write_text("x")
    (store.path / "d/f").rename(store.path / "d/g")
    (store.path / "d/l").symlink_to("g")
    assert sorted(os.listdir(store.path / "d")) == ["g", "l"]
    assert [entry.name for entry in os.scandir(store.path) if entry.is_dir()] == ["d"]
    assert (store.path / "d/l").readlink() == Path("g")
    assert (store.path / "d/l").read_text() == "x"
    (store.path / "d/l").unlink()
    (store.path / "d/g").unlink()
    (store.path / "d").rmdir()
    assert os.listdir(store.backing) == []


def test_modes_and_times_reach_the_backing(store: FaultyMount) -> None:
    file = store.path / "f"
    file.touch()
    file.chmod(0o604)
    os.utime(file, ns=(1, 2))
    status = (store.backing / "f").stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o604, 2)


def test_the_umask_of_the_writing_process_applies(store: FaultyMount) -> None:
    before = os.umask(0o005)
    try:
        os.close(os.open(store.path / "f", os.O_CREAT | os.O_WRONLY, 0o666))
    finally:
        os.umask(before)
    assert (store.backing / "f").stat().st_mode & 0o777 == 0o662


def test_an_unlinked_open_file_can_be_written_and_leaves_no_file(store: FaultyMount) -> None:
    with (store.path / "f").open("wb", buffering=0) as out:
        (store.path / "f").unlink()
        assert out.write(b"x") == 1
        assert os.listdir(store.backing) == []


def test_the_free_space_is_that_of_the_backing_folder(store: FaultyMount) -> None:
    assert os.statvfs(store.path).f_blocks == os.statvfs(store.backing).f_blocks


def test_without_a_cache_a_change_in_the_backing_folder_is_visible_at_once(store: FaultyMount) -> None:
    for content in ("one", "three", "thirteen"):
        (store.backing / "f").write_text(content)
        assert (store.path / "f").stat().st_size == len(content)
        assert (store.path / "f").read_text() == content


def test_with_a_cache_only_open_reaches_the_mount(folders: tuple[Path, Path]) -> None:
    with mounted(*folders, cache_seconds=60) as store:
        file = store.path / "f"
        file.write_text("x")
        for _ in range(2):
            before = store.counts()
            for _ in range(5):
                assert (file.stat().st_size, file.read_text()) == (1, "x")
            after = store.counts()
    assert [after[name] - before[name] for name in ("lookup", "read", "open")] == [0, 0, 5]
