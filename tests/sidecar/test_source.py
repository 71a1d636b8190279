"""Which files may be collected: only regular files on the job's volumes."""

import os
import stat
from pathlib import Path

import pytest

from sidecar.open_folders import MAX_FOLDERS
from sidecar.source import PathRefused, Source, SourceFolders, VolumeView
from tests.sidecar.volumes import JOB_FOLDER, OWN_USER, VOLUMES, Volumes, open_result, read_file, refusal_reason

pytestmark = pytest.mark.usefixtures("either_kernel")


def test_files_are_opened_directly_and_through_links(volumes: Volumes) -> None:
    volumes.write("d/a", "artifact")
    volumes.write("/project/x/d/b", "linked")
    volumes.link("d/b", "/project/x/d/b")
    volumes.link("folder", "/project/x/d")
    with volumes.source() as source:
        assert read_file(source, "d/a") == "artifact"
        assert read_file(source, "d/b") == read_file(source, "folder/b") == "linked"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("out", "outside_volumes"),
        ("gone out", "outside_volumes"),
        ("fifo", "special_file"),
        ("to fifo", "special_file"),
        ("d", "special_file"),
        ("d/in place", "in_place"),
        ("m/b", "in_place"),
        ("loop", "link_loop"),
        ("gone", "ENOENT"),
        ("broken", "ENOENT"),
        ("d/gone", "ENOENT"),
        ("no/folder", "ENOENT"),
        ("file/x", "ENOTDIR"),
    ],
)
def test_everything_else_is_refused_with_a_reason(volumes: Volumes, path: str, reason: str) -> None:
    volumes.write("/other/a")
    volumes.link("out", "/other/a")
    volumes.link("gone out", "/tmp/gone")
    os.mkfifo(volumes.artifact("fifo"))
    volumes.link("to fifo", "fifo")
    volumes.write(f"{JOB_FOLDER}/b")
    volumes.link("d/in place", f"{JOB_FOLDER}/b")
    volumes.link("m", JOB_FOLDER)
    volumes.link("loop", "loop")
    volumes.link("broken", "gone")
    volumes.write("file")
    with volumes.source() as source:
        assert refusal_reason(source, path) == reason


def test_a_refusal_contains_the_encoded_path_outside_the_volumes(volumes: Volumes) -> None:
    volumes.link("out", "/tmp/o\nut")
    with volumes.source() as source, pytest.raises(PathRefused) as caught:
        source.open_file("out")
    assert caught.value.detail == "/tmp"


def test_a_writer_waiting_for_a_fifos_reader_is_not_woken(volumes: Volumes) -> None:
    os.mkfifo(volumes.artifact("fifo"))
    with volumes.source() as source:
        assert refusal_reason(source, "fifo") == "special_file"
        with pytest.raises(OSError, match="No such device"):  # ENXIO: no process has it open for reading
            os.open(volumes.artifact("fifo"), os.O_WRONLY | os.O_NONBLOCK)


def test_the_opened_file_is_the_checked_file(volumes: Volumes) -> None:
    """A link that is changed afterwards has no effect."""
    volumes.write("/project/x/a", "checked")
    volumes.write("/other/secret", "secret")
    link = volumes.link("a", "/project/x/a")
    with volumes.source() as source:
        fd, _ = source.open_file("a")
        link.unlink()
        link.symlink_to("/other/secret")
        with open(fd, encoding="utf-8") as file:
            assert file.read() == "checked"
        assert refusal_reason(source, "a") == "outside_volumes"


def test_an_open_folder_is_the_checked_folder(volumes: Volumes) -> None:
    volumes.write("/project/x/d/a", "checked")
    volumes.write("/other/a", "secret")
    link = volumes.link("d", "/project/x/d")
    with volumes.source() as source:
        folders = SourceFolders(source)
        os.close(folders.open_file("d/a")[0])
        link.unlink()
        link.symlink_to("/other")
        volumes.at("/project/x/d/a").unlink()
        volumes.at("/project/x/d/a").symlink_to("/other/a")
        assert open_result(folders.open_file, "d/a") == "outside_volumes"
        folders.close()


def test_more_folders_than_may_stay_open_are_read(volumes: Volumes) -> None:
    with volumes.source() as source:
        folders = SourceFolders(source)
        for number in range(MAX_FOLDERS + 5):
            volumes.write(f"d{number}/a")
            os.close(folders.open_file(f"d{number}/a")[0])
        assert len(os.listdir("/proc/self/fd")) < MAX_FOLDERS + 40
        folders.close()


def test_the_real_path_in_main_of_a_link_is_returned(volumes: Volumes) -> None:
    volumes.write("/project/x/d/a")
    volumes.link("l", "/project/x/d")
    with volumes.source() as source:
        found, real_path = source.stat_target("l/a")
        assert (stat.S_ISREG(found.st_mode), real_path) == (True, "/project/x/d/a")
        fd, real_folder = source.open_folder("l")
        assert (os.listdir(fd), real_folder) == (["a"], "/project/x/d")
        os.close(fd)


@pytest.mark.parametrize(
    ("real_path", "in_place"),
    [
        (JOB_FOLDER, ""),
        (f"{JOB_FOLDER}/a/b", "a/b"),
        (f"{JOB_FOLDER}0/a", None),
        ("/phfs/jobArtifacts", None),
        ("/", None),
    ],
)
def test_only_paths_below_the_job_folder_are_in_place(volumes: Volumes, real_path: str, in_place: str | None) -> None:
    with volumes.source() as source:
        assert source.path_in_job_folder(real_path) == in_place


@pytest.mark.parametrize(
    ("path", "sees"),
    [
        ("/project/x", True),
        ("/project/x/a", True),
        ("/project/xy/a", False),
        ("/project", False),
        ("/", False),
        ("/home/jovyan/a", True),
        ("/home/jovyan/data", False),
        ("/home/jovyan/data/a", False),
        ("/home/jovyan/data2", True),
    ],
)
def test_paths_on_volumes_are_visible_except_hidden_ones(path: str, sees: bool) -> None:
    assert VolumeView("/home/jovyan/artifacts", VOLUMES, ("/home/jovyan/data",), JOB_FOLDER).is_visible(path) is sees


@pytest.mark.parametrize(
    ("volumes", "path", "expected"),
    [
        (VOLUMES, "/home/jovyan/a", "/home/jovyan"),
        (("/home", *VOLUMES), "/home/other/a", "/home"),
        (("/home/jovyan", "/home/jovyan/project"), "/home/jovyan/project/a", "/home/jovyan/project"),
        ((), "/project/x/a", "/"),
    ],
)
def test_the_volume_of_a_path_is_the_innermost_mount_point(volumes: tuple[str, ...], path: str, expected: str) -> None:
    assert VolumeView("/home/jovyan/artifacts", volumes, (), JOB_FOLDER).volume_of(path) == expected


def test_a_missing_root_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Source(str(tmp_path / "gone"), VolumeView("/a", (), (), JOB_FOLDER), OWN_USER)
