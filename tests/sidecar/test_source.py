"""What may be collected at all: only the job's own files on the job's own volumes, as main could have read them."""

import os
import stat
from pathlib import Path

import pytest

from sidecar.source import OpenFolders, Refused, Source, View
from tests.sidecar.volumes import JOB_FOLDER, VOLUMES, Volumes, content, refusal, refused_by

pytestmark = pytest.mark.usefixtures("either_kernel")


def test_a_file_is_opened_whether_it_is_there_itself_or_by_a_link(volumes: Volumes) -> None:
    volumes.write("d/a", "artifact")
    volumes.write("/project/x/d/b", "linked")
    volumes.link("d/b", "/project/x/d/b")
    volumes.link("folder", "/project/x/d")
    with volumes.source() as source:
        assert content(source, "d/a") == "artifact"
        assert content(source, "d/b") == content(source, "folder/b") == "linked"


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
def test_all_else_is_refused_with_its_reason(volumes: Volumes, path: str, reason: str) -> None:
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
        assert refusal(source, path) == reason


def test_a_refusal_tells_where_a_link_left_the_volumes_in_print(volumes: Volumes) -> None:
    volumes.link("out", "/tmp/o\nut")
    with volumes.source() as source, pytest.raises(Refused) as caught:
        source.open_file("out")
    assert caught.value.detail == "/tmp"


def test_a_writer_that_waits_for_a_reader_of_its_fifo_is_not_woken(volumes: Volumes) -> None:
    os.mkfifo(volumes.artifact("fifo"))
    with volumes.source() as source:
        assert refusal(source, "fifo") == "special_file"
        with pytest.raises(OSError, match="No such device"):  # ENXIO: nobody has it open to read
            os.open(volumes.artifact("fifo"), os.O_WRONLY | os.O_NONBLOCK)


def test_a_file_that_was_opened_is_the_one_that_was_checked(volumes: Volumes) -> None:
    """A link that is turned elsewhere afterwards changes nothing."""
    volumes.write("/project/x/a", "checked")
    volumes.write("/other/secret", "secret")
    link = volumes.link("a", "/project/x/a")
    with volumes.source() as source:
        fd, _ = source.open_file("a")
        link.unlink()
        link.symlink_to("/other/secret")
        with open(fd, encoding="utf-8") as file:
            assert file.read() == "checked"
        assert refusal(source, "a") == "outside_volumes"


def test_an_open_folder_is_still_the_one_that_was_checked(volumes: Volumes) -> None:
    volumes.write("/project/x/d/a", "checked")
    volumes.write("/other/a", "secret")
    link = volumes.link("d", "/project/x/d")
    with volumes.source() as source:
        folders = OpenFolders(source)
        os.close(folders.open_file("d/a")[0])
        link.unlink()
        link.symlink_to("/other")
        volumes.at("/project/x/d/a").unlink()
        volumes.at("/project/x/d/a").symlink_to("/other/a")
        assert refused_by(folders.open_file, "d/a") == "outside_volumes"
        folders.close()


def test_more_folders_than_are_kept_open_are_still_read(volumes: Volumes) -> None:
    with volumes.source() as source:
        folders = OpenFolders(source)
        for number in range(OpenFolders._MOST + 5):
            volumes.write(f"d{number}/a")
            os.close(folders.open_file(f"d{number}/a")[0])
        assert len(os.listdir("/proc/self/fd")) < OpenFolders._MOST + 40
        folders.close()


def test_the_real_path_in_main_of_a_link_is_told(volumes: Volumes) -> None:
    volumes.write("/project/x/d/a")
    volumes.link("l", "/project/x/d")
    with volumes.source() as source:
        found, real_path = source.locate("l/a")
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
def test_only_what_is_below_the_job_folder_is_in_place(volumes: Volumes, real_path: str, in_place: str | None) -> None:
    with volumes.source() as source:
        assert source.path_in_place(real_path) == in_place


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
def test_a_view_sees_its_volumes_without_what_is_hidden_in_them(path: str, sees: bool) -> None:
    assert View("/home/jovyan/artifacts", VOLUMES, ("/home/jovyan/data",), JOB_FOLDER).sees(path) is sees


@pytest.mark.parametrize(
    ("volumes", "path", "beside"),
    [
        (VOLUMES, "/home/jovyan/a", True),
        (VOLUMES, "/project/x/a", False),
        (("/home", *VOLUMES), "/home/other/a", False),
        (("/home/jovyan", "/home/jovyan/project"), "/home/jovyan/project/a", False),
        ((), "/home/jovyan/d/a", True),
        ((), "/project/x/a", False),
    ],
)
def test_beside_the_artifacts_is_what_lies_on_their_own_volume(
    volumes: tuple[str, ...], path: str, beside: bool
) -> None:
    assert View("/home/jovyan/artifacts", volumes, (), JOB_FOLDER).beside(path) is beside


def test_a_root_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Source(str(tmp_path / "gone"), View("/a", (), (), JOB_FOLDER))
