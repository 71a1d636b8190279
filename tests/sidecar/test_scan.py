"""The scan of real folders: files found, files skipped and why, and uncertain paths."""

import os
import socket
from pathlib import Path
from unittest import mock

import pytest

from artifacts.names import decode_path
from sidecar.file_signature import signature_of
from sidecar.globs import Globs
from sidecar.scan import ScanOptions
from sidecar.scanner import MAX_DEPTH, scan_source
from sidecar.source import Source, VolumeView
from tests.machine import require
from tests.sidecar.volumes import JOB_FOLDER, OWN_USER, Volumes, skipped_paths

pytestmark = pytest.mark.usefixtures("either_kernel")


def test_every_file_is_found_with_its_signature(volumes: Volumes) -> None:
    paths = [volumes.write(path, content) for path, content in {"a": "", "d/e/f": "x" * 100, ".hidden": "1"}.items()]
    volumes.artifact("empty").mkdir()
    scan = volumes.scan()
    assert scan.files == dict(
        zip(["a", "d/e/f", ".hidden"], [signature_of(path.stat()) for path in paths], strict=True)
    )
    folder = volumes.artifact("").stat()
    assert (scan.exists, scan.folder_id) == (True, (folder.st_dev, folder.st_ino))
    assert (scan.skipped, scan.uncertain, scan.linked, scan.in_place) == ({}, set(), set(), {})
    assert not scan.is_truncated


def test_links_to_paths_on_the_jobs_volumes_are_followed(volumes: Volumes) -> None:
    target = volumes.write("/project/x/data/model.pt", "model")
    volumes.write("/home/jovyan/notebook.ipynb", "notebook")
    volumes.link("model.pt", "/project/x/data/model.pt")
    volumes.link("folder", "/project/x/data")
    volumes.link("up", "../notebook.ipynb")
    volumes.link("far up", "../../../../../home/jovyan/notebook.ipynb")
    volumes.link("twice", "model.pt")
    scan = volumes.scan()
    assert set(scan.files) == {"model.pt", "folder/model.pt", "up", "far up", "twice"}
    assert scan.files["model.pt"] == signature_of(target.stat())
    assert scan.linked == scan.files.keys()
    assert (scan.skipped, scan.uncertain) == ({}, set())


@pytest.mark.parametrize("target", ["/tmp/out", "/other/a", "/etc/hostname", "../../../other/a", "/", "/phfs/../other"])
def test_a_link_to_a_path_on_no_volume_is_reported_and_its_copies_retained(volumes: Volumes, target: str) -> None:
    volumes.write("/other/a")
    volumes.link("out", target)
    scan = volumes.scan()
    assert (scan.files, skipped_paths(scan), scan.uncertain) == ({}, {"outside_volumes": ["out"]}, {"out"})


def test_without_configured_volumes_a_missing_top_level_folder_is_outside_them(volumes: Volumes) -> None:
    volumes.write("/other/a")
    volumes.link("other", "/other/a")
    volumes.link("out", "/scratch/out")
    volumes.link("gone", "/other/gone")
    scan = volumes.scan(volumes=())
    assert set(scan.files) == {"other"}
    assert skipped_paths(scan) == {"outside_volumes": ["out"], "broken_link": ["gone"]}


def test_paths_under_a_mount_in_main_are_hidden(volumes: Volumes) -> None:
    volumes.write("/home/jovyan/data/a")
    volumes.link("hidden", "../data/a")
    volumes.link("hidden folder", "../data")
    volumes.write("/home/jovyan/database")
    volumes.link("visible", "../database")
    scan = volumes.scan(hidden_paths=("/home/jovyan/data",))
    assert set(scan.files) == {"visible"}
    assert skipped_paths(scan) == {"outside_volumes": ["hidden", "hidden folder"]}


def test_a_broken_link_does_not_retain_a_copy(volumes: Volumes) -> None:
    volumes.write("file")
    volumes.link("gone", "/project/x/gone")
    volumes.link("in a file", "file/x")
    volumes.link("file as folder", "file/")
    scan = volumes.scan()
    assert set(scan.files) == {"file"}
    assert (skipped_paths(scan), scan.uncertain) == ({"broken_link": ["file as folder", "gone", "in a file"]}, set())


def test_link_loops_are_reported(volumes: Volumes) -> None:
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
    assert skipped_paths(scan) == {"link_loop": ["d/here", "d/up", "one", "other", "round", "self"]}
    assert not scan.uncertain  # no copy of an earlier file at these paths is retained


def test_two_links_to_one_folder_are_not_a_loop(volumes: Volumes) -> None:
    volumes.write("/project/x/d/a")
    volumes.link("one", "/project/x/d")
    volumes.link("two", "/project/x/d")
    assert set(volumes.scan().files) == {"one/a", "two/a"}


def test_folders_that_are_too_deep_are_reported(volumes: Volumes) -> None:
    deep = "/".join(["d"] * MAX_DEPTH)
    volumes.write(f"{deep}/a")
    volumes.write(f"{deep}/d/b")
    scan = volumes.scan()
    assert (set(scan.files), skipped_paths(scan)) == ({f"{deep}/a"}, {"too_deep": [f"{deep}/d"]})


@pytest.mark.parametrize("limit", ["entries", "bytes", "time"])
def test_links_that_multiply_are_scanned_up_to_a_limit_after_the_own_files(
    volumes: Volumes, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        for name in ("one", "two"):
            volumes.link(f"/project/x/{number}/{name}", f"/project/x/{number + 1}")
    volumes.link("bomb", "/project/x/0")
    volumes.link("cut", "/project/x/29")
    for number in range(8):
        volumes.write(f"own/{number}/file")
    if limit != "entries":
        constant, value = {"bytes": ("PATH_BYTES_PER_ENTRY", 0.05), "time": ("MAX_LINK_SECONDS", 0.0)}[limit]
        monkeypatch.setattr(f"sidecar.scanner.{constant}", value)
    scan = volumes.scan(max_entries=200 if limit == "entries" else 4000)
    assert set(scan.files) == {f"own/{number}/file" for number in range(8)}
    assert not scan.is_truncated
    assert scan.uncertain == scan.linked == {"bomb", "cut"}
    assert skipped_paths(scan) == {"link_over_limit": ["bomb", "cut"]}


def test_only_regular_files_in_the_folder_itself_are_own_content(volumes: Volumes) -> None:
    """Each inode once, under its first name, as `find -type f` and `du` count."""
    volumes.write("/project/x/data/a")
    volumes.write("/home/jovyan/result")
    volumes.write("d/k")
    for name in "mbz":
        os.link(volumes.artifact("d/k"), volumes.artifact(name))
    os.link(volumes.at("/home/jovyan/result"), volumes.artifact("result"))
    volumes.link("data", "/project/x/data")
    volumes.link("folder", "d")
    volumes.link("file", "d/k")
    volumes.link("home", "..")
    volumes.link("gone", "/tmp/out")
    scan = volumes.scan()
    assert set(scan.files) - scan.linked == {"b", "result"}
    assert scan.linked - set(scan.files) == scan.uncertain == {"gone"}
    assert set(scan.files) & scan.linked == {"d/k", "m", "z", "data/a", "folder/k", "file", "home/result"}
    assert skipped_paths(scan) == {"link_loop": ["home/artifacts"], "outside_volumes": ["gone"]}


def test_a_linked_folder_that_is_excluded_is_not_scanned(volumes: Volumes) -> None:
    volumes.write("/project/x/data/a")
    volumes.link("data", "/project/x/data")
    assert skipped_paths(volumes.scan(Globs((), ("data",)))) == {"excluded": ["data"]}


def test_links_are_reported_if_the_setting_leaves_them_out(volumes: Volumes) -> None:
    volumes.write("/project/x/data/a")
    volumes.write("own")
    os.link(volumes.artifact("own"), volumes.artifact("second"))
    for name, target in {"data": "/project/x/data", "file": "own", "gone": "x", "x.tmp": "own"}.items():
        volumes.link(name, target)
    scan = volumes.scan(Globs((), ("*.tmp",)), follow_links=False)
    assert (set(scan.files), scan.uncertain) == ({"own", "second"}, set())
    assert skipped_paths(scan) == {"link_skipped": ["data", "file", "gone"], "excluded": ["x.tmp"]}


def test_artifacts_of_other_jobs_are_not_reached_through_links(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/own", "12345")
    for path in ("job-2/a", "job-2/.metadata/expiredAt", "job-10/b"):
        volumes.write(f"/phfs/jobArtifacts/{path}")
    volumes.write("/phfs/datasets/jobArtifacts/c")
    links = {"phfs": "/phfs", "all": "/phfs/jobArtifacts", "other": "/phfs/jobArtifacts/job-2"}
    for name, target in (links | {"file": "/phfs/jobArtifacts/job-10/b", "self": JOB_FOLDER}).items():
        volumes.link(name, target)
    scan = volumes.scan()
    assert (set(scan.files), scan.in_place) == ({"phfs/datasets/jobArtifacts/c"}, {"own": 5})
    assert skipped_paths(scan) == {"other_jobs": ["all", "file", "other", "phfs/jobArtifacts"]}
    assert scan.uncertain == set()


def test_no_group_has_its_jobs_artifacts_collected_if_the_store_shows_all_groups(tmp_path: Path) -> None:
    """In local mode, the group's part of PHFS is a folder of a store that the job can reach."""
    groups, home = tmp_path / "phfs/groups", tmp_path / "home"
    for path in ("g/jobArtifacts/job-1/own", "g/jobArtifacts/job-2/a", "h/jobArtifacts/job-1/b", "h/data/c", "g/d"):
        (groups / path).parent.mkdir(parents=True, exist_ok=True)
        (groups / path).write_text("x")
    (home / "artifacts").mkdir(parents=True)
    (home / "artifacts/all").symlink_to(groups)
    (home / "artifacts/file").symlink_to(groups / "h/jobArtifacts/job-1/b")
    view = VolumeView(f"{home}/artifacts", (str(tmp_path),), (), f"{groups}/g/jobArtifacts/job-1")
    source = Source("/", view, OWN_USER)
    scan = scan_source(source, ScanOptions(Globs((), ()), 0, 1000))
    source.close()
    assert (set(scan.files), set(scan.in_place)) == ({"all/g/d", "all/h/data/c"}, {"own"})
    assert skipped_paths(scan) == {"other_jobs": ["all/g/jobArtifacts", "all/h/jobArtifacts", "file"]}


@pytest.mark.parametrize(("max_entries", "truncated"), [(3, True), (10, True), (11, False)])
def test_a_scan_over_the_limit_is_truncated(volumes: Volumes, max_entries: int, truncated: bool) -> None:
    for number in range(9):
        volumes.write(f"d/{number}")
    scan = volumes.scan(max_entries=max_entries)
    assert scan.is_truncated is truncated
    assert len(scan.files) == min(9, max_entries - 1)


def test_a_scan_without_time_finds_the_files_of_the_upper_folders(volumes: Volumes) -> None:
    for path in ("a/b/c/d", "a/b/c/e/f", "own"):
        volumes.write(path)
    with volumes.source() as source, mock.patch("time.monotonic", side_effect=range(100)):
        scan = scan_source(source, ScanOptions(Globs((), ()), 0, 1000), max_seconds=3)
    assert (set(scan.files), scan.is_truncated) == ({"own"}, True)


def test_special_files_are_reported_and_not_opened(volumes: Volumes) -> None:
    os.mkfifo(volumes.artifact("fifo"))
    volumes.link("to fifo", "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(volumes.artifact(""), os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/socket")  # the full path could exceed the limit of 107 bytes
        os.close(here)
        scan = volumes.scan()
    assert (scan.files, skipped_paths(scan)) == ({}, {"special_file": ["fifo", "socket", "to fifo"]})


def test_a_device_is_a_special_file(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to make a device")
    os.mknod(volumes.artifact("null"), 0o020666, os.makedev(1, 3))
    assert skipped_paths(volumes.scan()) == {"special_file": ["null"]}


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
def test_a_file_of_any_name_is_found_and_its_name_encoded_losslessly(volumes: Volumes, name: bytes) -> None:
    Path(volumes.artifact(""), os.fsdecode(name)).touch()
    scan = volumes.scan()
    (path,) = scan.files
    assert decode_path(path) == name
    assert path.isprintable()


def test_reserved_names_are_encoded(volumes: Volumes) -> None:
    for path in (".primehub/metadata/report.json", ".metadata/expiredAt", "d/.primehub/a"):
        volumes.write(path)
    assert set(volumes.scan().files) == {"%2Eprimehub/metadata/report.json", "%2Emetadata/expiredAt", "d/.primehub/a"}


def test_names_too_long_for_the_store_are_reported(volumes: Volumes) -> None:
    Path(volumes.artifact(""), os.fsdecode(b"\xff" * 86)).write_text("12345")
    volumes.write("/".join(["d" * 200] * 5))
    scan = volumes.scan()
    assert scan.files == {}
    assert skipped_paths(scan) == {"invalid_name": sorted(["%FF" * 86, "/".join(["d" * 200] * 5)])}
    assert scan.skipped["invalid_name"].bytes == 6


def test_excluded_files_are_counted(volumes: Volumes) -> None:
    for path in ("a.pt", "b.tmp", "d/c.tmp", "cache/x"):
        volumes.write(path, "12345")
    volumes.link("out.tmp", "/tmp/out")
    scan = volumes.scan(Globs(("*.pt", "*.tmp", "cache"), ("*.tmp", "cache/")))
    assert (set(scan.files), scan.uncertain) == ({"a.pt"}, set())
    assert skipped_paths(scan) == {"excluded": ["b.tmp", "cache/x", "d/c.tmp", "out.tmp"]}
    assert scan.skipped["excluded"].bytes == 15


def test_a_link_into_the_job_folder_is_in_place(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/m/weights", "12345")
    volumes.write(f"{JOB_FOLDER}/single", "1")
    volumes.link("models", f"{JOB_FOLDER}/m")
    volumes.link("again", f"{JOB_FOLDER}/m/weights")
    volumes.link("one", f"{JOB_FOLDER}/single")
    scan = volumes.scan()
    assert (scan.files, scan.in_place, scan.linked) == ({}, {"m/weights": 5, "single": 1}, set())
    assert (scan.skipped, scan.uncertain) == ({}, set())


def test_a_link_to_the_collectors_metadata_is_ignored(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/.primehub/metadata/report.json")
    volumes.link("report.json", f"{JOB_FOLDER}/.primehub/metadata/report.json")
    scan = volumes.scan()
    assert (scan.files, scan.in_place) == ({}, {})
