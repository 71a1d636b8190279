"""The scan of an artifacts folder that is none, is elsewhere, may not be read, or is the job folder itself."""

import os

import pytest

from sidecar.globs import Globs
from sidecar.scan import Scan, scan_source
from sidecar.source import Source
from tests.machine import require
from tests.sidecar.volumes import JOB_FOLDER, Volumes, left_out

pytestmark = pytest.mark.usefixtures("either_kernel")
NOBODY = 65534


@pytest.mark.parametrize("target", [JOB_FOLDER, f"{JOB_FOLDER}/", "../../phfs/jobArtifacts/job-1"])
def test_artifacts_that_are_the_job_folder_are_in_place_without_our_own_files(volumes: Volumes, target: str) -> None:
    volumes.write(f"{JOB_FOLDER}/a", "1")
    volumes.write(f"{JOB_FOLDER}/.primehub/metadata/report.json")
    volumes.write(f"{JOB_FOLDER}/.metadata/expiredAt")
    volumes.replace_artifacts(target)
    scan = volumes.scan(Globs((), ("*.json",)))
    assert (scan.exists, scan.files, scan.in_place, scan.skipped) == (True, {}, {"a": 1}, {})


def test_artifacts_that_are_the_whole_store_are_copied_but_for_the_job_folder(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/a", "1")
    volumes.write("/phfs/jobArtifacts/job-10/b")
    volumes.write("/phfs/c")
    volumes.replace_artifacts("/phfs")
    scan = volumes.scan()
    assert (set(scan.files), scan.in_place) == ({"jobArtifacts/job-10/b", "c"}, {"a": 1})


def test_artifacts_may_be_a_link_to_a_folder_on_a_volume(volumes: Volumes) -> None:
    volumes.write("/project/x/out/a")
    volumes.replace_artifacts("/project/x/out")
    scan = volumes.scan()
    assert (scan.exists, set(scan.files), scan.skipped) == (True, {"a"}, {})


@pytest.mark.parametrize("target", ["/tmp/out", "/other"])
def test_artifacts_that_link_to_no_volume_are_told_and_every_copy_kept(volumes: Volumes, target: str) -> None:
    volumes.replace_artifacts(target)
    scan = volumes.scan()
    assert (scan.exists, left_out(scan), scan.unsure) == (False, {"outside_volumes": ["."]}, {""})


def test_without_artifacts_there_is_nothing_to_keep(volumes: Volumes) -> None:
    volumes.artifact("").rmdir()
    assert seen(volumes.scan()) == (False, {}, set())


@pytest.mark.parametrize(
    ("target", "reason"), [("/project/x/gone", "broken_link"), ("artifacts", "link_loop"), ("notes.txt", None)]
)
def test_artifacts_that_lead_to_no_folder_are_told(volumes: Volumes, target: str, reason: str | None) -> None:
    volumes.write("/home/jovyan/notes.txt")
    volumes.replace_artifacts(target)
    scan = volumes.scan()
    assert not scan.exists
    assert scan.files == {}
    assert reason is None or left_out(scan) == {reason: ["."]}


def test_an_artifacts_file_is_told(volumes: Volumes) -> None:
    volumes.artifact("").rmdir()
    volumes.write("/home/jovyan/artifacts")
    assert seen(volumes.scan()) == (False, {"not_a_folder": ["."]}, set())


def test_where_not_even_the_working_directory_is_seen_every_copy_is_kept(volumes: Volumes) -> None:
    volumes.artifact("").rmdir()
    volumes.at("/home/jovyan").rmdir()
    scan = volumes.scan()
    assert (scan.exists, scan.unsure) == (False, {""})


def test_a_folder_that_may_not_be_read_keeps_its_copies(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    volumes.write("d/a")
    volumes.write("d/closed/b")
    volumes.artifact("d/closed").chmod(0o700)
    with volumes.source() as source:
        scan = scan_as_nobody(source)
    assert set(scan.files) == {"d/a"}
    assert (left_out(scan), scan.unsure) == ({"unreadable": ["d/closed"]}, {"d/closed"})
    assert scan.skipped["unreadable"].detail == "Permission denied"


def test_artifacts_that_may_not_be_read_keep_every_copy(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    volumes.write("a")
    volumes.artifact("").chmod(0o700)
    with volumes.source() as source:
        assert seen(scan_as_nobody(source)) == (False, {"unreadable": ["."]}, {""})


def test_a_folder_that_replaced_the_artifacts_is_told_by_its_identity(volumes: Volumes) -> None:
    volumes.write("a")
    before = volumes.scan()
    volumes.artifact("").rename(volumes.at("/home/jovyan/old"))
    volumes.write("b")
    after = volumes.scan()
    assert (set(before.files), set(after.files)) == ({"a"}, {"b"})
    assert before.folder != after.folder


def seen(scan: Scan) -> tuple[bool, dict[str, list[str]], set[str]]:
    assert scan.files == {}
    return scan.exists, left_out(scan), scan.unsure


def scan_as_nobody(source: Source) -> Scan:
    os.seteuid(NOBODY)
    try:
        return scan_source(source, Globs((), ()), 0, 1000)
    finally:
        os.seteuid(0)
