"""The sidecar may have more rights than main, but it collects only files that main's user could read."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from sidecar.access import MainUser
from tests.machine import require
from tests.sidecar.volumes import Volumes, open_result, read_file, refusal_reason

pytestmark = pytest.mark.usefixtures("either_kernel")
USER, COLLEAGUE = 1000, 2000
KNOWN, UNKNOWN, ROOT = MainUser(USER), MainUser(), MainUser(0)


@pytest.fixture(autouse=True)
def needs_root() -> None:
    """Require the right to give files to other users."""
    require(os.geteuid() == 0, "root, to own files as others")


def set_owner(path: Path, uid: int, mode: int, gid: int | None = None) -> None:
    """Set owner, group and mode; links are not followed."""
    path.chmod(mode)
    os.chown(path, uid, uid if gid is None else gid, follow_symlinks=False)


@pytest.mark.parametrize(
    ("uid", "mode", "if_known", "if_unknown"),
    [
        (USER, 0o600, "opened", "unreadable"),
        (USER, 0o400, "opened", "unreadable"),
        (USER, 0o200, "unreadable", "unreadable"),
        (USER, 0o044, "unreadable", "opened"),
        (COLLEAGUE, 0o600, "unreadable", "unreadable"),
        (COLLEAGUE, 0o640, "unreadable", "unreadable"),
        (COLLEAGUE, 0o644, "opened", "opened"),
        (COLLEAGUE, 0o604, "opened", "opened"),
        (0, 0o600, "unreadable", "unreadable"),
        (0, 0o644, "opened", "opened"),
    ],
)
@pytest.mark.parametrize("artifacts", ["folder", "link"])
def test_as_root_a_linked_file_is_read_only_if_mains_user_could(
    volumes: Volumes, artifacts: str, uid: int, mode: int, if_known: str, if_unknown: str
) -> None:
    """The owner of the artifacts folder proves nothing: main can rename a folder of another user to `artifacts`."""
    set_owner(volumes.write("/project/x/d/a"), uid, mode)
    if artifacts == "folder":
        volumes.link("a", "/project/x/d/a")
    else:
        volumes.replace_artifacts("/project/x/d")
    for owner in (0, COLLEAGUE, USER):
        os.chown(volumes.artifact(""), owner, owner, follow_symlinks=False)
        for main_user, outcome in ((KNOWN, if_known), (UNKNOWN, if_unknown)):
            with volumes.source(main_user=main_user) as source:
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
        (COLLEAGUE, 0o774, "unreadable"),
        (0, 0o700, "unreadable"),
    ],
)
@pytest.mark.parametrize("link", ["private/d/a", "private/d"])
def test_as_root_files_in_a_folder_that_mains_user_could_not_enter_are_refused(
    volumes: Volumes, link: str, uid: int, mode: int, outcome: str
) -> None:
    """Private files often have mode 0644 in a private folder."""
    set_owner(volumes.write("/project/x/private/d/a"), COLLEAGUE, 0o644)
    set_owner(volumes.at("/project/x/private"), uid, mode)
    volumes.link("l", f"/project/x/{link}")
    with volumes.source(main_user=KNOWN) as source:
        assert refusal_reason(source, "l" if link.endswith("/a") else "l/a") == outcome


def test_a_folder_that_main_could_list_but_not_enter_is_refused(volumes: Volumes) -> None:
    set_owner(volumes.write("/project/x/d/a"), COLLEAGUE, 0o644)
    set_owner(volumes.at("/project/x/d"), COLLEAGUE, 0o744)
    volumes.link("d", "/project/x/d")
    with volumes.source(main_user=KNOWN) as source:
        assert refusal_reason(source, "d/a") == "unreadable"


@pytest.mark.parametrize("opened", ["file", "folder"])
def test_folders_swapped_after_the_path_was_read_do_not_hide_a_private_folder(volumes: Volumes, opened: str) -> None:
    """Main may rename a colleague's folder in a shared folder, and put its own in place."""
    set_owner(volumes.write("/project/x/bob/d/a", "secret"), COLLEAGUE, 0o644)
    set_owner(volumes.at("/project/x/bob"), COLLEAGUE, 0o700)
    set_owner(volumes.write("/project/x/own/d/a"), USER, 0o644)
    volumes.link("l", "/project/x/bob/d/a" if opened == "file" else "/project/x/bob/d")
    with volumes.source(main_user=KNOWN) as source, mock.patch("os.readlink", swapping(volumes, os.readlink)):
        path = "l" if opened == "file" else "l/a"
        assert open_result(source.open_file, path) in ("unreadable", "ESTALE")


def swapping(volumes: Volumes, readlink: Callable[..., str]) -> Callable[..., str]:
    """Return a readlink that exchanges the folders `bob` and `own` after it has read a path in `bob`."""

    def read_and_swap(*arguments: object, **options: object) -> str:
        target = readlink(*arguments, **options)
        if target.startswith(str(volumes.at("/project/x/bob/d"))):
            volumes.at("/project/x/bob").rename(volumes.at("/project/x/moved"))
            volumes.at("/project/x/own").rename(volumes.at("/project/x/bob"))
        return target

    return read_and_swap


def test_the_mode_of_a_volumes_mount_point_is_not_checked(volumes: Volumes) -> None:
    set_owner(volumes.write("/project/x/d/a", "shared"), COLLEAGUE, 0o664)
    set_owner(volumes.at("/project/x"), COLLEAGUE, 0o2770)
    volumes.link("a", "/project/x/d/a")
    with volumes.source(main_user=UNKNOWN) as source:
        assert read_file(source, "a") == "shared"


def test_all_files_on_a_private_volume_are_read(volumes: Volumes) -> None:
    set_owner(volumes.write("a", "private"), COLLEAGUE, 0o600)
    set_owner(volumes.write("/home/jovyan/b", "beside"), COLLEAGUE, 0o600)
    volumes.link("b", "../b")
    with volumes.source(main_user=UNKNOWN) as source:
        assert (read_file(source, "a"), read_file(source, "b")) == ("private", "beside")
    with volumes.source(main_user=UNKNOWN, private_volumes=()) as source:  # the working directory is on a claim
        assert (refusal_reason(source, "a"), refusal_reason(source, "b")) == ("unreadable", "unreadable")


def test_all_files_are_read_if_main_is_root(volumes: Volumes) -> None:
    set_owner(volumes.write("/project/x/private/a", "private"), COLLEAGUE, 0o600)
    set_owner(volumes.at("/project/x/private"), COLLEAGUE, 0o700)
    volumes.link("a", "/project/x/private/a")
    set_owner(volumes.artifact(""), USER, 0o755)
    with volumes.source(main_user=ROOT) as source:
        assert read_file(source, "a") == "private"


@pytest.mark.parametrize(
    ("main_user", "uid", "gid", "mode", "outcome"),
    [
        (MainUser(USER), COLLEAGUE, 0, 0o640, "unreadable"),  # the runtime chose group 0; main's image may not
        (MainUser(USER), COLLEAGUE, 0, 0o644, "opened"),
        (MainUser(USER), USER, 0, 0o600, "opened"),
        (MainUser(USER, 0), COLLEAGUE, 0, 0o640, "opened"),
        (MainUser(), USER, USER, 0o600, "unreadable"),  # the user ID is the administrator's, not main's
        (MainUser(), COLLEAGUE, COLLEAGUE, 0o640, "EACCES"),
    ],
)
def test_files_that_only_the_sidecars_own_user_or_group_can_read_are_refused(
    volumes: Volumes, main_user: MainUser, uid: int, gid: int, mode: int, outcome: str
) -> None:
    set_owner(volumes.write("/project/x/a"), uid, mode, gid)
    volumes.link("a", "/project/x/a")
    groups = os.getgroups()
    with mock.patch("os.geteuid", return_value=USER), volumes.source(main_user=main_user) as source:
        os.setgroups([])
        os.seteuid(USER)
        try:
            assert refusal_reason(source, "a") == outcome
        finally:
            os.seteuid(0)
            os.setgroups(groups)
