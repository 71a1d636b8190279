"""Opening below a folder: the system call and its stand-in give the same answers, and neither lets anything out."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar import openat2
from sidecar.openat2 import open_beneath, open_in_root, walk_in_root
from tests.machine import require

OFTEN = settings(deadline=None, max_examples=150)
PLACE = os.O_PATH
FOLDER = os.O_PATH | os.O_DIRECTORY
READ = os.O_RDONLY | os.O_NONBLOCK
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL

Tree = list[tuple[str, str]]  # path -> "folder", "file", or what a link points at
NAMES = ["a", "b", "c"]
SPELT = st.lists(st.sampled_from([*NAMES, *NAMES, "..", ".", ""]), max_size=5).map("/".join)
TARGET = st.builds("{}{}".format, st.sampled_from(["", "/", "../"]), SPELT).filter(bool)
ASKED = st.builds("{}{}".format, st.sampled_from(["", "/"]), SPELT).filter(bool)
PATH = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
TREES: st.SearchStrategy[Tree] = st.lists(
    st.tuples(PATH, st.sampled_from(["folder", "file"]) | TARGET), min_size=1, max_size=8
)


@pytest.fixture(autouse=True, scope="module")
def kernel() -> None:
    require(_knows_openat2(), "a kernel, and a seccomp profile, with openat2")


def _knows_openat2() -> bool:
    root = os.open("/", FOLDER)
    try:
        fd = openat2._openat2(root, ".", FOLDER, 0, openat2._IN_ROOT)
        if fd >= 0:
            os.close(fd)
        return fd >= 0
    finally:
        os.close(root)


@contextmanager
def built(tree: Tree) -> Iterator[int]:
    """A folder `root` with the tree in it, and beside it what nobody may reach; yields the folder's descriptor."""
    with tempfile.TemporaryDirectory() as outside:
        for name in NAMES:
            Path(outside, name).write_text("secret")
        root = Path(outside, "root")
        root.mkdir()
        for path, kind in tree:
            place = root / path
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                if kind == "folder":
                    place.mkdir()
                elif kind == "file":
                    place.touch(exist_ok=False)
                else:
                    place.symlink_to(kind)
            except OSError:
                continue  # something else stands there, or a link leads there out of the tree
        fd = os.open(root, FOLDER)
        try:
            yield fd
        finally:
            os.close(fd)


def answer(opening: Callable[[int, str, int], int], root: int, path: str, flags: int) -> object:
    """What was opened, as its path below the root and its type, or the error's number."""
    try:
        fd = opening(root, path, flags)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    try:
        assert not os.get_inheritable(fd)
        real, top = os.readlink(f"/proc/self/fd/{fd}"), os.readlink(f"/proc/self/fd/{root}")
        assert real == top or real.startswith(f"{top}/")
        return real[len(top) :], stat.S_IFMT(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


@contextmanager
def old_kernel() -> Iterator[None]:
    with mock.patch.object(openat2, "_openat2", return_value=-1):
        yield


@OFTEN
@given(TREES, st.lists(ASKED, min_size=1, max_size=6))
@example([("a", "b/"), ("b", "file")], ["a", "b/", "b/.", "b/..", "b/../b", "b//", "a/"])
@example([("a", "/../../../a"), ("b", "../../b"), ("c", "a")], ["a", "b", "c", "../../a", ".."])
def test_links_resolve_alike_with_and_without_the_system_call(tree: Tree, paths: list[str]) -> None:
    with built(tree) as root:
        for path in paths:
            for flags in (PLACE, FOLDER, READ):
                expected = answer(open_in_root, root, path, flags)
                with old_kernel():
                    assert answer(open_in_root, root, path, flags) == expected, path


@OFTEN
@given(TREES, st.lists(PATH, min_size=1, max_size=6))
def test_what_is_written_goes_below_the_folder_with_and_without_the_system_call(tree: Tree, paths: list[str]) -> None:
    with built(tree) as root:
        for path in paths:
            for flags in (FOLDER, READ, CREATE):
                expected = answer(open_beneath, root, path, flags)
                if flags == CREATE and not isinstance(expected, str):
                    os.unlink(path, dir_fd=root)
                with old_kernel():
                    found = answer(open_beneath, root, path, flags)
                # A link in the way is ELOOP to the one and ENOTDIR to the other: the store takes them alike.
                alike = {"ELOOP", "ENOTDIR"} if expected in ("ELOOP", "ENOTDIR") else {expected}
                assert found in alike, path


@pytest.mark.parametrize("fallback", [False, True], ids=["openat2", "fallback"])
@pytest.mark.parametrize("path", ["../a", "../../a", "b/../../a", "/a", "link/a", "away", "up"])
def test_nothing_outside_is_ever_opened_to_write(path: str, fallback: bool) -> None:
    tree = [("b", "folder"), ("link", ".."), ("away", "/etc/hostname"), ("up", "../a")]
    with built(tree) as root, old_kernel() if fallback else mock.MagicMock():
        for flags in (FOLDER, READ, CREATE, os.O_WRONLY | os.O_TRUNC):
            with pytest.raises(OSError, match=r"\[Errno \d+\]"):
                os.close(open_beneath(root, path, flags))


@pytest.mark.parametrize("fallback", [False, True], ids=["openat2", "fallback"])
def test_an_absolute_link_and_dots_begin_at_the_root(fallback: bool) -> None:
    tree = [("etc/hostname", "file"), ("a", "/etc/hostname"), ("b", "../../../../etc/hostname")]
    with built(tree) as root, old_kernel() if fallback else mock.MagicMock():
        for path in ("a", "b", "/a", "../../a", "/../etc/hostname"):
            assert answer(open_in_root, root, path, PLACE) == ("/etc/hostname", stat.S_IFREG)


@pytest.mark.parametrize("fallback", [False, True], ids=["openat2", "fallback"])
@pytest.mark.parametrize(("links", "outcome"), [(40, ("/end", stat.S_IFREG)), (41, "ELOOP")])
def test_a_chain_of_links_ends_where_the_kernel_ends_it(links: int, outcome: object, fallback: bool) -> None:
    tree = [("end", "file"), ("l1", "end"), *((f"l{number}", f"l{number - 1}") for number in range(2, links + 1))]
    with built(tree) as root, old_kernel() if fallback else mock.MagicMock():
        assert answer(open_in_root, root, f"l{links}", PLACE) == outcome


def test_a_link_of_proc_to_a_place_outside_leads_to_none(tmp_path: Path) -> None:
    """With "/" as the root, as in local mode, /proc is there: its links lead past every root."""
    (tmp_path / "link").symlink_to("/proc/self/root/etc/hostname")
    root = os.open("/", FOLDER)
    try:
        assert answer(open_in_root, root, str(tmp_path / "link"), PLACE) == "ELOOP"
    finally:
        os.close(root)


@pytest.mark.parametrize(
    ("path", "stopped"),
    [("a/x/y", "/a/x"), ("out", "/tmp/out"), ("a/file/x", "/a/file/x"), ("deep", "/a/gone"), ("loop", "/loop")],
)
def test_the_walk_tells_where_it_stopped(path: str, stopped: str) -> None:
    tree = [("a/file", "file"), ("out", "/tmp/out/x"), ("deep", "/a/gone/y"), ("loop", "loop"), ("tmp", "folder")]
    with built(tree) as root, pytest.raises(OSError, match=r"Errno") as caught:
        walk_in_root(root, path, PLACE)
    assert caught.value.filename == stopped


@pytest.mark.parametrize("fallback", [False, True], ids=["openat2", "fallback"])
def test_a_file_is_made_with_the_mode_that_was_asked_for(fallback: bool) -> None:
    before = os.umask(0)
    try:
        with built([]) as root, old_kernel() if fallback else mock.MagicMock():
            fd = open_beneath(root, "new", CREATE, 0o751)
            os.close(fd)
            assert os.stat("new", dir_fd=root).st_mode == stat.S_IFREG | 0o751
            with pytest.raises(FileExistsError):
                open_beneath(root, "new", CREATE, 0o751)
    finally:
        os.umask(before)


def test_a_name_that_is_no_utf_8_is_opened_and_one_with_a_nul_is_an_error(tmp_path: Path) -> None:
    Path(tmp_path, os.fsdecode(b"\xff\n")).touch()
    root = os.open(tmp_path, FOLDER)
    try:
        for path in (b"\xff\n", os.fsdecode(b"\xff\n")):
            os.close(open_beneath(root, path, READ))
            os.close(open_in_root(root, path, READ))
        with pytest.raises(OSError, match="NUL"):
            open_in_root(root, "a\0b", READ)
    finally:
        os.close(root)


def test_no_descriptor_stays_open_however_it_ends(tmp_path: Path) -> None:
    with built([("a/b/c", "file"), ("l", "a/b"), ("loop", "loop")]) as root:
        before = os.listdir("/proc/self/fd")
        for path in ("a/b/c", "a/x", "l/c", "l/../b/c", "loop", "a/b/c/d", "/l/../.."):
            for flags in (PLACE, FOLDER, READ):
                with old_kernel():
                    answer(open_in_root, root, path, flags)
                    answer(open_beneath, root, path.lstrip("/"), flags)
        assert os.listdir("/proc/self/fd") == before
