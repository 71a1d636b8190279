"""The scan of an artifacts folder that is missing, not a folder, unreadable, a link, or the job folder itself."""

import os

import pytest

from sidecar.globs import Globs
from sidecar.scan import Scan, ScanOptions
from sidecar.scanner import scan_source
from sidecar.source import Source
from tests.machine import require
from tests.sidecar.volumes import JOB_FOLDER, Volumes, skipped_paths

pytestmark = pytest.mark.usefixtures("either_kernel")
NOBODY = 65534


@pytest.mark.parametrize("target", [JOB_FOLDER, f"{JOB_FOLDER}/", "../../phfs/jobArtifacts/job-1"])
def test_artifacts_that_link_to_the_job_folder_are_in_place(volumes: Volumes, target: str) -> None:
    volumes.write(f"{JOB_FOLDER}/a", "1")
    volumes.write(f"{JOB_FOLDER}/.primehub/metadata/report.json")
    volumes.write(f"{JOB_FOLDER}/.metadata/expiredAt")
    volumes.replace_artifacts(target)
    scan = volumes.scan(Globs((), ("*.json",)))
    assert (scan.exists, scan.files, scan.in_place, scan.skipped) == (True, {}, {"a": 1}, {})


def test_artifacts_that_link_to_the_store_are_copied_except_all_job_folders(volumes: Volumes) -> None:
    volumes.write(f"{JOB_FOLDER}/a", "1")
    volumes.write("/phfs/jobArtifacts/job-10/b")
    volumes.write("/phfs/c")
    volumes.replace_artifacts("/phfs")
    scan = volumes.scan()
    assert (set(scan.files), scan.in_place) == ({"c"}, {"a": 1})
    assert skipped_paths(scan) == {"other_jobs": ["jobArtifacts"]}


def test_artifacts_may_be_a_link_to_a_folder_on_a_volume(volumes: Volumes) -> None:
    volumes.write("/project/x/out/a")
    volumes.replace_artifacts("/project/x/out")
    scan = volumes.scan()
    assert (scan.exists, set(scan.files), scan.skipped) == (True, {"a"}, {})


@pytest.mark.parametrize("target", ["/tmp/out", "/other"])
def test_artifacts_that_link_outside_the_volumes_are_reported_and_every_copy_retained(
    volumes: Volumes, target: str
) -> None:
    volumes.replace_artifacts(target)
    scan = volumes.scan()
    assert (scan.exists, skipped_paths(scan), scan.uncertain) == (False, {"outside_volumes": ["."]}, {""})


def test_a_missing_artifacts_folder_is_not_an_error(volumes: Volumes) -> None:
    volumes.artifact("").rmdir()
    assert scan_result(volumes.scan()) == (False, {}, set())


@pytest.mark.parametrize(
    ("target", "reason"), [("/project/x/gone", "broken_link"), ("artifacts", "link_loop"), ("notes.txt", None)]
)
def test_an_artifacts_link_to_no_folder_is_reported(volumes: Volumes, target: str, reason: str | None) -> None:
    volumes.write("/home/jovyan/notes.txt")
    volumes.replace_artifacts(target)
    scan = volumes.scan()
    assert not scan.exists
    assert scan.files == {}
    assert reason is None or skipped_paths(scan) == {reason: ["."]}
    assert scan.uncertain == ({""} if reason == "link_loop" else set())


def test_a_file_in_place_of_the_artifacts_folder_is_reported(volumes: Volumes) -> None:
    volumes.artifact("").rmdir()
    volumes.write("/home/jovyan/artifacts")
    assert scan_result(volumes.scan()) == (False, {"not_a_folder": ["."]}, set())


def test_every_copy_is_retained_if_the_working_directory_is_missing(volumes: Volumes) -> None:
    volumes.artifact("").rmdir()
    volumes.at("/home/jovyan").rmdir()
    scan = volumes.scan()
    assert (scan.exists, scan.uncertain) == (False, {""})


def test_an_unreadable_folder_retains_its_copies(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    volumes.write("d/a")
    volumes.write("d/closed/b")
    volumes.artifact("d/closed").chmod(0o700)
    with volumes.source() as source:
        scan = scan_as_nobody(source)
    assert set(scan.files) == {"d/a"}
    assert (skipped_paths(scan), scan.uncertain) == ({"unreadable": ["d/closed"]}, {"d/closed"})
    assert scan.skipped["unreadable"].detail == "Permission denied"


def test_an_unreadable_artifacts_folder_retains_every_copy(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    volumes.write("a")
    volumes.artifact("").chmod(0o700)
    with volumes.source() as source:
        assert scan_result(scan_as_nobody(source)) == (False, {"unreadable": ["."]}, {""})


def test_a_replaced_artifacts_folder_has_another_id(volumes: Volumes) -> None:
    volumes.write("a")
    before = volumes.scan()
    volumes.artifact("").rename(volumes.at("/home/jovyan/old"))
    volumes.write("b")
    after = volumes.scan()
    assert (set(before.files), set(after.files)) == ({"a"}, {"b"})
    assert before.folder_id != after.folder_id


def scan_result(scan: Scan) -> tuple[bool, dict[str, list[str]], set[str]]:
    """Return whether the folder exists, the skipped paths and the uncertain ones; there must be no files."""
    assert scan.files == {}
    return scan.exists, skipped_paths(scan), scan.uncertain


def scan_as_nobody(source: Source) -> Scan:
    os.seteuid(NOBODY)
    try:
        return scan_source(source, ScanOptions(Globs((), ()), 0, 1000))
    finally:
        os.seteuid(0)
