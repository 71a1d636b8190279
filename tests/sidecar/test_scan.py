"""The scan of real folders: what is found, what is left out and why, and of what nothing can be told."""

import os
import socket
from pathlib import Path

import pytest

from artifacts.names import decode_path
from sidecar.globs import Globs
from sidecar.scan import MAX_DEPTH
from sidecar.stamp import stamp_of
from tests.machine import require
from tests.sidecar.volumes import JOB_FOLDER, Volumes, left_out

pytestmark = pytest.mark.usefixtures("either_kernel")


def test_every_file_is_found_with_its_stamp(volumes: Volumes) -> None:
    places = [volumes.write(path, content) for path, content in {"a": "", "d/e/f": "x" * 100, ".hidden": "1"}.items()]
    volumes.artifact("empty").mkdir()
    scan = volumes.scan()
    assert scan.files == dict(zip(["a", "d/e/f", ".hidden"], [stamp_of(place.stat()) for place in places], strict=True))
    folder = volumes.artifact("").stat()
    assert (scan.exists, scan.folder) == (True, (folder.st_dev, folder.st_ino))
    assert (scan.skipped, scan.unsure, scan.linked, scan.in_place, scan.truncated) == ({}, set(), set(), {}, False)


def test_links_to_what_lies_on_the_jobs_volumes_are_followed(volumes: Volumes) -> None:
    target = volumes.write("/project/x/data/model.pt", "model")
    volumes.write("/home/jovyan/notebook.ipynb", "notebook")
    volumes.link("model.pt", "/project/x/data/model.pt")
    volumes.link("folder", "/project/x/data")
    volumes.link("up", "../notebook.ipynb")
    volumes.link("far up", "../../../../../home/jovyan/notebook.ipynb")
    volumes.link("twice", "model.pt")
    scan = volumes.scan()
    assert set(scan.files) == {"model.pt", "folder/model.pt", "up", "far up", "twice"}
    assert scan.files["model.pt"] == stamp_of(target.stat())
    assert scan.linked == {"model.pt", "up", "far up", "twice"}
    assert (scan.skipped, scan.unsure) == ({}, set())


@pytest.mark.parametrize("target", ["/tmp/out", "/other/a", "/etc/hostname", "../../../other/a", "/", "/phfs/../other"])
def test_a_link_to_a_place_on_no_volume_is_told_and_its_copies_kept(volumes: Volumes, target: str) -> None:
    volumes.write("/other/a")
    volumes.link("out", target)
    scan = volumes.scan()
    assert (scan.files, left_out(scan), scan.unsure) == ({}, {"outside_volumes": ["out"]}, {"out"})


def test_where_no_volumes_are_named_what_is_not_there_at_all_is_on_none(volumes: Volumes) -> None:
    volumes.write("/other/a")
    volumes.link("other", "/other/a")
    volumes.link("out", "/scratch/out")
    volumes.link("gone", "/other/gone")
    scan = volumes.scan(volumes=())
    assert set(scan.files) == {"other"}
    assert left_out(scan) == {"outside_volumes": ["out"], "broken_link": ["gone"]}


def test_what_main_has_mounted_over_a_path_is_not_what_the_sidecar_sees_there(volumes: Volumes) -> None:
    volumes.write("/home/jovyan/data/a")
    volumes.link("hidden", "../data/a")
    volumes.link("hidden folder", "../data")
    volumes.write("/home/jovyan/database")
    volumes.link("shown", "../database")
    scan = volumes.scan(hidden_paths=("/home/jovyan/data",))
    assert set(scan.files) == {"shown"}
    assert left_out(scan) == {"outside_volumes": ["hidden", "hidden folder"]}


def test_a_link_to_nothing_is_no_reason_to_keep_a_copy(volumes: Volumes) -> None:
    volumes.write("file")
    volumes.link("gone", "/project/x/gone")
    volumes.link("in a file", "file/x")
    volumes.link("file as folder", "file/")
    scan = volumes.scan()
    assert set(scan.files) == {"file"}
    assert (left_out(scan), scan.unsure) == ({"broken_link": ["file as folder", "gone", "in a file"]}, set())


def test_loops_end(volumes: Volumes) -> None:
    volumes.link("self", "self")
    volumes.link("one", "other")
    volumes.link("other", "one")
    volumes.link("d/up", "..")
    volumes.link("d/here", ".")
    volumes.write("d/a")
    volumes.link("/project/x/back", "/home/jovyan/artifacts")
    volumes.link("round", "/project/x/back")
    scan = volumes.scan()
    assert set(scan.files) == {"d/a"}
    assert left_out(scan) == {"link_loop": ["d/here", "d/up", "one", "other", "round", "self"]}


def test_two_links_to_one_folder_are_no_loop(volumes: Volumes) -> None:
    volumes.write("/project/x/d/a")
    volumes.link("one", "/project/x/d")
    volumes.link("two", "/project/x/d")
    assert set(volumes.scan().files) == {"one/a", "two/a"}


def test_folders_that_are_too_deep_are_told(volumes: Volumes) -> None:
    deep = "/".join(["d"] * MAX_DEPTH)
    volumes.write(f"{deep}/a")
    volumes.write(f"{deep}/d/b")
    scan = volumes.scan()
    assert (set(scan.files), left_out(scan)) == ({f"{deep}/a"}, {"too_deep": [f"{deep}/d"]})


def test_links_that_multiply_are_looked_at_no_longer_than_allowed(volumes: Volumes) -> None:
    for number in range(30):
        for name in ("one", "two"):
            volumes.link(f"/project/x/{number}/{name}", f"/project/x/{number + 1}")
    volumes.link("bomb", "/project/x/0")
    scan = volumes.scan(most=500)
    assert scan.truncated


@pytest.mark.parametrize(("most", "truncated"), [(3, True), (10, True), (11, False)])
def test_more_than_is_to_be_looked_at_is_told(volumes: Volumes, most: int, truncated: bool) -> None:
    for number in range(9):
        volumes.write(f"d/{number}")
    scan = volumes.scan(most=most)
    assert scan.truncated is truncated
    assert len(scan.files) == min(9, most - 1)


def test_what_is_no_regular_file_is_told_and_not_opened(volumes: Volumes) -> None:
    os.mkfifo(volumes.artifact("fifo"))
    volumes.link("to fifo", "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(volumes.artifact(""), os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/socket")  # a path of more than 107 bytes would be too long
        os.close(here)
        scan = volumes.scan()
    assert (scan.files, left_out(scan)) == ({}, {"special_file": ["fifo", "socket", "to fifo"]})


def test_a_device_is_no_file(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to make a device")
    os.mknod(volumes.artifact("null"), 0o020666, os.makedev(1, 3))
    assert left_out(volumes.scan()) == {"special_file": ["null"]}


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe",
        b"a\nb",
        b"\x1b[31m",
        b"%41",
        b"100%",
        b"x" * 255,
        "ü".encode() * 127,
        b" ",
        b".metadata",
        b".primehub",
    ],
)
def test_a_file_of_any_name_is_found_and_its_name_told_without_loss(volumes: Volumes, name: bytes) -> None:
    Path(volumes.artifact(""), os.fsdecode(name)).touch()
    scan = volumes.scan()
    (path,) = scan.files
    assert decode_path(path) == name
    assert path.isprintable()


def test_what_bears_a_reserved_name_goes_under_another(volumes: Volumes) -> None:
    for path in (".primehub/metadata/report.json", ".metadata/expiredAt", "d/.primehub/a"):
        volumes.write(path)
    assert set(volumes.scan().files) == {"%2Eprimehub/metadata/report.json", "%2Emetadata/expiredAt", "d/.primehub/a"}


def test_names_too_long_for_the_store_are_told(volumes: Volumes) -> None:
    Path(volumes.artifact(""), os.fsdecode(b"\xff" * 86)).write_text("12345")
    volumes.write("/".join(["d" * 200] * 5))
    scan = volumes.scan()
    assert scan.files == {}
    assert left_out(scan) == {"invalid_name": sorted(["%FF" * 86, "/".join(["d" * 200] * 5)])}
    assert scan.skipped["invalid_name"].bytes == 6


def test_excluded_files_are_counted_apart(volumes: Volumes) -> None:
    for path in ("a.pt", "b.tmp", "d/c.tmp", "cache/x"):
        volumes.write(path, "12345")
    volumes.link("out.tmp", "/tmp/out")
    scan = volumes.scan(Globs(("*.pt", "*.tmp", "cache"), ("*.tmp", "cache/")))
    assert (set(scan.files), scan.unsure) == ({"a.pt"}, set())
    assert left_out(scan) == {"excluded": ["b.tmp", "cache/x", "d/c.tmp", "out.tmp"]}
    assert scan.skipped["excluded"].bytes == 15


def test_a_link_into_the_job_folder_is_in_place(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/m/weights", "12345")
    volumes.write(f"{JOB_FOLDER}/single", "1")
    volumes.link("models", f"{JOB_FOLDER}/m")
    volumes.link("again", f"{JOB_FOLDER}/m/weights")
    volumes.link("one", f"{JOB_FOLDER}/single")
    scan = volumes.scan()
    assert (scan.files, scan.in_place, scan.linked) == ({}, {"m/weights": 5, "single": 1}, set())
    assert (scan.skipped, scan.unsure) == ({}, set())


def test_a_link_to_our_own_metadata_is_nothing_of_the_jobs(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/.primehub/metadata/report.json")
    volumes.link("report.json", f"{JOB_FOLDER}/.primehub/metadata/report.json")
    scan = volumes.scan()
    assert (scan.files, scan.in_place) == ({}, {})
