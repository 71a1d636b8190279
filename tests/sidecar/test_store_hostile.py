"""The job folder with files of hostile users: never followed, written through or removed."""

import errno
import os
from pathlib import Path

import pytest

from artifacts.errors import InvalidName, StoreConflict, StoreError
from artifacts.layout import EXPIRED_AT, MANIFEST, TEMPORARY
from sidecar.store import JobFolderStore, write_all
from tests.machine import require
from tests.sidecar.folders import JOB, PHFS, artifacts

pytestmark = pytest.mark.usefixtures("either_kernel")


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("target", ["../../../outside", "/etc", "nowhere", "."])
@pytest.mark.parametrize("path", ["d", "d/e", ""])
def test_a_link_in_place_of_a_folder_is_removed_and_never_followed(
    tmp_path: Path, store: JobFolderStore, path: str, target: str, exists: bool
) -> None:
    link = tmp_path / JOB / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(str(tmp_path / "outside") if target.endswith("outside") else target)
    store.write("d/e/secret", lambda fd: write_all(fd, b"own"), exists=exists)
    assert not link.is_symlink()
    assert artifacts(tmp_path) == {"d/e/secret": "own"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_link_in_place_of_a_file_is_replaced_and_never_followed(
    tmp_path: Path, store: JobFolderStore, exists: bool
) -> None:
    (tmp_path / JOB).mkdir(parents=True)
    (tmp_path / JOB / "a").symlink_to(tmp_path / "outside/secret")
    store.write("a", lambda fd: write_all(fd, b"own"), exists=exists)
    assert artifacts(tmp_path) == {"a": "own"}


@pytest.mark.parametrize("path", [".primehub", ".primehub/metadata", TEMPORARY, f"{TEMPORARY}/0"])
def test_links_in_the_metadata_folders_are_not_followed(tmp_path: Path, store: JobFolderStore, path: str) -> None:
    link = tmp_path / JOB / path
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside")
    store.remove_temporaries()
    for exists in (True, False, True):
        store.write_bytes(EXPIRED_AT, b"1\n", exists)
        store.write(MANIFEST, lambda fd: write_all(fd, b"{}\n"), exists=True)
    assert artifacts(tmp_path) == {EXPIRED_AT: "1\n", MANIFEST: "{}\n"}
    assert list(store.read_lines(MANIFEST)) == [b"{}\n"]


def test_a_link_in_place_of_jobArtifacts_is_not_replaced(tmp_path: Path, store: JobFolderStore) -> None:
    (tmp_path / PHFS / "jobArtifacts").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreConflict):
        store.write_bytes("a", b"x")
    store.remove_temporaries()
    assert store.stat("secret") is None
    store.remove("secret")
    assert (tmp_path / PHFS / "jobArtifacts").is_symlink()


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_in_place_of_a_file_is_a_conflict_and_stays(
    tmp_path: Path, store: JobFolderStore, exists: bool
) -> None:
    (tmp_path / JOB / "a").mkdir(parents=True)
    (tmp_path / JOB / "a/users").write_text("foreign")
    with pytest.raises(StoreConflict):
        store.write("a", lambda fd: write_all(fd, b"own"), exists=exists)
    assert artifacts(tmp_path) == {"a/users": "foreign"}


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_in_place_of_a_folder_is_a_conflict_and_stays(
    tmp_path: Path, store: JobFolderStore, exists: bool
) -> None:
    store.write_bytes("a", b"foreign")
    with pytest.raises(StoreConflict):
        store.write("a/b/c", lambda fd: write_all(fd, b"own"), exists=exists)
    assert artifacts(tmp_path) == {"a": "foreign"}


def test_remove_never_follows_a_link_and_never_removes_a_folder(tmp_path: Path, store: JobFolderStore) -> None:
    (tmp_path / JOB / "full").mkdir(parents=True)
    (tmp_path / JOB / "full/foreign").write_text("foreign")
    (tmp_path / JOB / "link").symlink_to(tmp_path / "outside")
    store.remove("link/secret")
    store.remove("full")
    assert artifacts(tmp_path) == {"full/foreign": "foreign", "link": f"-> {tmp_path / 'outside'}"}


@pytest.mark.parametrize("kind", ["absent", "folder", "fifo", "link", "link above"])
def test_metadata_that_is_not_a_file_raises_and_leaks_no_descriptor(
    tmp_path: Path, store: JobFolderStore, kind: str
) -> None:
    path = tmp_path / JOB / MANIFEST
    path.parent.mkdir(parents=True)
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(tmp_path / "outside/secret")
        case "link above":
            path.parent.rmdir()
            path.parent.symlink_to(tmp_path / "outside")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StoreError):
        list(store.read_lines(MANIFEST))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("job", ["..", "a/b", "", "job-1/../job-2"])
def test_an_invalid_job_name_raises(tmp_path: Path, job: str) -> None:
    with pytest.raises(InvalidName):
        JobFolderStore(str(tmp_path), job, 0o644, 0o777)


def test_a_folder_without_write_permission_raises_a_store_error(tmp_path: Path, store: JobFolderStore) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    store.write_bytes("d/a", b"1")
    os.chmod(tmp_path / JOB / "d", 0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(StoreError) as caught:
            store.write_bytes("d/b", b"2")
    finally:
        os.seteuid(0)
    assert caught.value.cause.errno == errno.EACCES
    assert artifacts(tmp_path) == {"d/a": "1"}
