"""As root, the sidecar can read everything, but it collects only files that main's user could have read."""

import os
from pathlib import Path

import pytest

from tests.machine import require
from tests.sidecar.volumes import Volumes, read_file, refusal_reason

pytestmark = pytest.mark.usefixtures("either_kernel")
USER, COLLEAGUE = 1000, 2000


def set_owner(path: Path, uid: int, mode: int) -> None:
    """Set owner and mode; links are not followed."""
    path.chmod(mode)
    os.chown(path, uid, uid, follow_symlinks=False)


@pytest.mark.parametrize(
    ("uid", "mode", "outcome"),
    [
        (USER, 0o600, "opened"),
        (USER, 0o400, "opened"),
        (USER, 0o200, "unreadable"),
        (USER, 0o044, "unreadable"),
        (COLLEAGUE, 0o600, "unreadable"),
        (COLLEAGUE, 0o640, "unreadable"),
        (COLLEAGUE, 0o644, "opened"),
        (COLLEAGUE, 0o604, "opened"),
        (0, 0o600, "unreadable"),
        (0, 0o644, "opened"),
    ],
)
@pytest.mark.parametrize("artifacts", ["folder", "link"])
def test_as_root_a_linked_file_is_read_only_if_mains_user_could(
    volumes: Volumes, artifacts: str, uid: int, mode: int, outcome: str
) -> None:
    require(os.geteuid() == 0, "root, to own files as others")
    set_owner(volumes.write("/project/x/d/a"), uid, mode)
    if artifacts == "folder":
        volumes.link("a", "/project/x/d/a")
        set_owner(volumes.artifact(""), USER, 0o755)
    else:
        volumes.replace_artifacts("/project/x/d")
        os.chown(volumes.artifact(""), USER, USER, follow_symlinks=False)
    with volumes.source() as source:
        os.close(source.open_folder("")[0])
        assert refusal_reason(source, "a") == outcome


@pytest.mark.parametrize(
    ("uid", "mode", "outcome"),
    [
        (USER, 0o700, "opened"),
        (COLLEAGUE, 0o755, "opened"),
        (COLLEAGUE, 0o711, "opened"),
        (COLLEAGUE, 0o700, "unreadable"),
        (COLLEAGUE, 0o770, "unreadable"),
        (0, 0o700, "unreadable"),
    ],
)
@pytest.mark.parametrize("link", ["private/d/a", "private/d"])
def test_as_root_files_in_a_folder_that_mains_user_could_not_enter_are_refused(
    volumes: Volumes, link: str, uid: int, mode: int, outcome: str
) -> None:
    """Private files often have mode 0644 in a private folder."""
    require(os.geteuid() == 0, "root, to own files as others")
    set_owner(volumes.write("/project/x/private/d/a"), COLLEAGUE, 0o644)
    set_owner(volumes.at("/project/x/private"), uid, mode)
    volumes.link("l", f"/project/x/{link}")
    set_owner(volumes.artifact(""), USER, 0o755)
    with volumes.source() as source:
        os.close(source.open_folder("")[0])
        assert refusal_reason(source, "l" if link.endswith("/a") else "l/a") == outcome


def test_the_mode_of_a_volumes_mount_point_is_not_checked(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to own files as others")
    set_owner(volumes.write("/project/x/d/a", "shared"), COLLEAGUE, 0o664)
    set_owner(volumes.at("/project/x"), COLLEAGUE, 0o2770)
    volumes.link("a", "/project/x/d/a")
    set_owner(volumes.artifact(""), USER, 0o755)
    with volumes.source() as source:
        os.close(source.open_folder("")[0])
        assert read_file(source, "a") == "shared"


def test_as_root_all_files_on_the_artifacts_volume_are_read(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to own files as others")
    set_owner(volumes.write("a", "private"), COLLEAGUE, 0o600)
    set_owner(volumes.write("/home/jovyan/b", "beside"), COLLEAGUE, 0o600)
    volumes.link("b", "../b")
    set_owner(volumes.artifact(""), USER, 0o700)
    with volumes.source() as source:
        os.close(source.open_folder("")[0])
        assert (read_file(source, "a"), read_file(source, "b")) == ("private", "beside")


def test_all_files_are_read_if_main_is_root(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to own files as others")
    set_owner(volumes.write("/project/x/private/a", "private"), COLLEAGUE, 0o600)
    set_owner(volumes.at("/project/x/private"), COLLEAGUE, 0o700)
    volumes.link("a", "/project/x/private/a")
    with volumes.source() as source:
        os.close(source.open_folder("")[0])
        assert read_file(source, "a") == "private"


def test_a_file_that_the_sidecars_user_cannot_read_raises_eacces(volumes: Volumes) -> None:
    require(os.geteuid() == 0, "root, to become another user")
    volumes.write("a").chmod(0o600)
    with volumes.source() as source:
        os.seteuid(USER)
        try:
            assert refusal_reason(source, "a") == "EACCES"
        finally:
            os.seteuid(0)
