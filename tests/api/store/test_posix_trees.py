"""Directory trees: large, deep, and changed by others during a listing or removal."""

import errno
import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.store import descriptors, listing, removal
from api.store.posix import PosixStore
from api.store.store import FileChanged, FileMissing, RemovedFiles
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from artifacts.names import MAX_KEY_BYTES
from tests.api.store.test_store import JOB, names
from tests.machine import require
from tests.sidecar.test_attack import attackers, exchange
from tests.storefs import tmpfs

LAST = [LEGACY_EXPIRED_AT, EXPIRED_AT]


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(str(tmp_path))


@pytest.fixture
def job(tmp_path: Path) -> Path:
    folder = tmp_path / JOB
    for path in LAST:
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text("1\n")
    return folder


def make_deep(folder: Path, depth: int, name: str = "d") -> None:
    """Create nested folders, each with a file before and after the next one."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        for file in ("a", "z"):
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def count_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_deep_tree_is_listed_with_few_descriptors(store: PosixStore, job: Path) -> None:
    depth = (MAX_KEY_BYTES - len(JOB) - 1) // 2
    make_deep(job, depth + 50)
    max_open, listed = 0, []
    for item in store.list(JOB):
        listed.append(item.name)
        if len(listed) % 50 == 0:
            max_open = max(max_open, count_open())
    assert len(listed) == 2 * (depth + 1) + 2
    assert listed[2] == "a"
    assert listed[-1] == "z"
    assert listed == sorted(listed)
    assert 0 < max_open < 50
    assert [item.name for item in store.list(JOB, after=listed[depth])] == listed[depth + 1 :]


def test_paths_too_long_for_a_key_are_not_listed_and_their_folders_not_read(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = MAX_KEY_BYTES - len(JOB)
    folder = "/".join(["\u00fc" * 120] * (room // 241))
    (job / folder).mkdir(parents=True)
    rest = room - len(folder.encode()) - 1
    for name in ("a" * rest, "a" * (rest + 1), "\u00fc" * (rest // 2), "\u00fc" * (rest // 2 + 1)):
        (job / folder / name).touch()
    (job / folder / ("d" * (rest - 2))).mkdir()
    (job / folder / ("d" * (rest - 2)) / "f").touch()
    (job / folder / ("e" * (rest - 1))).mkdir()
    scanned, scandir = [], os.scandir

    def recording_scandir(fd: int) -> Any:
        scanned.append(fd)
        return scandir(fd)

    monkeypatch.setattr(os, "scandir", recording_scandir)
    listed = names(store, after="a")
    monkeypatch.undo()
    tails = ["a" * rest, "d" * (rest - 2) + "/f", "\u00fc" * (rest // 2)]
    assert listed == [f"{folder}/{tail}" for tail in tails]
    assert len(scanned) == 2 + folder.count("/") + 1


class InterruptedListing(Exception):
    pass


def test_a_listing_of_many_entries_can_be_stopped(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that yields no file can be stopped too, in the middle of a folder."""
    monkeypatch.setattr(listing, "_CHUNK_ENTRIES", 3)
    for number in range(10):
        (job / f"empty{number}").mkdir()
    counts: list[int] = []

    def stop(count: int) -> None:
        counts.append(count)
        if sum(counts) > 5:
            raise InterruptedListing

    with pytest.raises(InterruptedListing):
        next(store.list(JOB, on_read=stop))
    assert counts == [3, 3]


def test_a_very_deep_tree_is_removed_with_few_descriptors_and_steps(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = 3000
    make_deep(job, depth, "deeper")
    opened, max_open, open_file = 0, 0, os.open

    def counting_open(*args: Any, **more: Any) -> int:
        nonlocal opened, max_open
        opened += 1
        if opened % 500 == 0:
            max_open = max(max_open, count_open())
        return open_file(*args, **more)

    monkeypatch.setattr(os, "open", counting_open)
    assert store.remove(JOB, LAST) == RemovedFiles(2 * depth, 0)
    monkeypatch.undo()
    assert not job.exists()
    assert 0 < max_open < 50
    assert opened < 2 * depth + 100  # once on the way down, once on the way up


@pytest.mark.parametrize("can_rename", [True, False])
def test_folders_that_are_too_deep_are_moved_to_the_top(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch, can_rename: bool
) -> None:
    monkeypatch.setattr(removal, "_MAX_DEPTH", 2)
    files = 0
    for path in itertools.product("ab", repeat=6):
        folder = job.joinpath(*path)
        folder.mkdir(parents=True)
        (folder / "f").touch()
        files += 1
    max_depth, enter = 0, descriptors.DirectoryStack.enter

    def recording_enter(stack: descriptors.DirectoryStack, name: str) -> None:
        nonlocal max_depth
        enter(stack, name)
        max_depth = max(max_depth, len(stack.names))

    monkeypatch.setattr(descriptors.DirectoryStack, "enter", recording_enter)
    if not can_rename:
        monkeypatch.setattr(os, "rename", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EXDEV, "")))
    assert store.remove(JOB, LAST) == RemovedFiles(files, 0)
    assert not job.exists()
    assert max_depth == (2 if can_rename else 6)


def test_the_error_of_a_deep_path_is_short(store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_deep(job, 500, "deeper")
    monkeypatch.setattr(os, "rmdir", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(StoreError, match=r"broken$") as raised:
        store.remove(JOB, LAST)
    assert len(str(raised.value)) < 500


def test_a_tree_moved_during_a_removal_does_not_lead_outside(
    store: PosixStore, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors.DirectoryStack, "_MAX_OPEN", 1)
    (job / "d/e/f/g").mkdir(parents=True)
    outside = tmp_path / "outside/d/e"
    outside.mkdir(parents=True)
    (outside / "precious").touch()
    rmdir = os.rmdir

    def move_before_rmdir(name: str, **more: int) -> None:
        if name == "g":
            os.rename(job / "d/e/f", outside / "f")  # ".." of the open folder now leads outside
        rmdir(name, **more)

    monkeypatch.setattr(os, "rmdir", move_before_rmdir)
    store.remove(JOB, LAST)
    assert not job.exists()
    assert sorted(path.name for path in outside.iterdir()) == ["f", "precious"]


def test_a_page_stats_only_its_own_files(store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("d1", "d2", "d3"):
        (job / folder).mkdir()
        for number in range(300):
            (job / folder / f"{number:03}").touch()
    stated, scanned = [], []
    stat, scandir = os.stat, os.scandir

    def recording_stat(*args: Any, **more: Any) -> os.stat_result:
        stated.append(args)
        return stat(*args, **more)

    def recording_scandir(fd: int) -> Any:
        scanned.append(fd)
        return scandir(fd)

    monkeypatch.setattr(os, "stat", recording_stat)
    monkeypatch.setattr(os, "scandir", recording_scandir)
    page = list(itertools.islice(store.list(JOB, after="d1/249"), 100))
    monkeypatch.undo()
    assert [item.name for item in page] == [f"d1/{n}" for n in range(250, 300)] + [f"d2/{n:03}" for n in range(50)]
    assert len(stated) == 100
    assert len(scanned) == 3  # the job, d1, d2


# Trees as nested dictionaries; a file is its size.
_name = st.text(st.sampled_from("a-./0\u00fc\n%A\U0001f680".replace("/", "")), min_size=1, max_size=3).filter(
    lambda name: name not in (".", "..")
)
_tree = st.recursive(
    st.dictionaries(_name, st.integers(0, 3), max_size=5),
    lambda inner: st.dictionaries(_name, st.one_of(st.integers(0, 3), inner), max_size=5),
    max_leaves=20,
)
_numbers = itertools.count()


def _grow(folder: Path, tree: dict[str, object]) -> None:
    folder.mkdir(parents=True)
    for name, inner in tree.items():
        if isinstance(inner, dict):
            _grow(folder / name, inner)
        else:
            (folder / name).write_bytes(b"x" * int(str(inner)))


@given(_tree, st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_page_is_part_of_the_whole_listing(tmp_path: Path, tree: dict[str, object], data: st.DataObject) -> None:
    root = tmp_path / str(next(_numbers))
    _grow(root / JOB, tree)
    store = PosixStore(str(root))
    whole = list(store.list(JOB))
    listed = [item.name for item in whole]
    assert listed == sorted(set(listed), key=str.encode)
    assert [store.stat(JOB + item.name).size for item in whole] == [item.size for item in whole]
    after = data.draw(st.one_of(st.sampled_from([*listed, ""]), st.text("a-./0\u00fc%A", max_size=5)))
    assert [item.name for item in store.list(JOB, after=after)] == [name for name in listed if name > after]
    level = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in listed})
    assert [name for name in names(store, recursive=False) if name in level] == level
    files = sum(len(files) for _, _, files in os.walk(root / JOB))
    assert store.remove(JOB).files == files
    assert not (root / JOB).exists()


def test_files_removed_during_a_listing_are_omitted(store: PosixStore, job: Path) -> None:
    for path in ("a", "b", "d/e/f/1", "d/e/f/2", "d/z", "y", "z"):
        (job / path).parent.mkdir(parents=True, exist_ok=True)
        (job / path).touch()
    listing = store.list(JOB, after="A")
    assert next(listing).name == "a"
    (job / "b").unlink()
    assert next(listing).name == "d/e/f/1"
    os.rename(job / "d", job / "moved")  # the open folder is listed to its end; the others no longer exist
    assert [item.name for item in listing] == ["d/e/f/2", "d/z", "y", "z"]


def test_a_folder_removed_during_a_listing_is_left(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors.DirectoryStack, "_MAX_OPEN", 1)
    for path in ("d/e/f/1", "d/e/z", "d/z", "z"):
        (job / path).parent.mkdir(parents=True, exist_ok=True)
        (job / path).touch()
    listing = store.list(JOB, after="A")
    assert next(listing).name == "d/e/f/1"
    os.rename(job / "d/e/f", job / "moved")
    os.rename(job / "d/e", job / "moved/e")
    assert [item.name for item in listing] == ["d/z", "z"]


def test_swapped_links_never_lead_outside(store: PosixStore, job: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "e").mkdir(parents=True)
    for path in ("secret", "e/secret"):
        (outside / path).write_text("secret")
    (tmp_path / "link").symlink_to(outside)
    swapped = 0

    def swap() -> None:
        nonlocal swapped
        swapped += exchange(job / "d", tmp_path / "link")

    with attackers(swap):
        for _ in range(60):
            with suppress(OSError):
                (job / "d/e").mkdir(parents=True)
            for path in ("d/secret", "d/e/secret"):
                with suppress(StoreError):
                    store.write(JOB + path, b"ours")
                with suppress(StoreError, FileMissing, FileChanged):
                    assert store.read(JOB + path, 10) == b"ours"
            for item in store.list(JOB):
                assert item.size != len("secret") or item.name.endswith("expiredAt"), item
            with suppress(StoreError):
                store.remove(JOB)
    assert swapped
    for path in ("secret", "e/secret"):
        assert (outside / path).read_text() == "secret"


def test_a_job_folder_is_removed_while_another_pod_writes_to_it(store: PosixStore, job: Path) -> None:
    numbers = itertools.count()

    def write() -> None:
        number = next(numbers)
        with suppress(OSError):
            (job / f"d{number % 7}").mkdir(exist_ok=True)
            (job / f"d{number % 7}" / str(number)).write_text("x")

    with attackers(write):
        for _ in range(20):
            with suppress(StoreError):
                store.remove(JOB, LAST)
            job.mkdir(exist_ok=True)
    store.remove(JOB, LAST)
    assert not job.exists()


def test_files_written_to_an_emptied_folder_are_removed(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job / "d/e").mkdir(parents=True)
    rmdir, times = os.rmdir, itertools.count()

    def write_before_rmdir(name: str, **more: int) -> None:
        if name in ("e", "job-1") and next(times) < 4:
            Path(os.readlink(f"/proc/self/fd/{more['dir_fd']}"), name, "late").write_text("late")
        rmdir(name, **more)

    monkeypatch.setattr(os, "rmdir", write_before_rmdir)
    assert store.remove(JOB, LAST).files == 4
    assert not job.exists()


def test_concurrent_removals_of_one_job_succeed(store: PosixStore, job: Path) -> None:
    for number in range(600):
        (job / f"d{number % 20}").mkdir(exist_ok=True)
        (job / f"d{number % 20}" / str(number)).touch()
    removed: list[RemovedFiles] = []
    threads = [threading.Thread(target=lambda: removed.append(store.remove(JOB, LAST))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not job.exists()
    assert sum(result.files for result in removed) == 600


def test_a_mounted_file_system_is_not_removed(store: PosixStore, job: Path) -> None:
    require(tmpfs.missing() is None, str(tmpfs.missing()))
    for path in ("a", "mounted", "z"):
        (job / path).mkdir()
        (job / path / "f").touch()
    with tmpfs.tmpfs(job / "mounted", 64 * 1024) as disk:
        (disk / "theirs").touch()
        with pytest.raises(StoreError, match=f"remove '{JOB}mounted'.*mounted there"):
            store.remove(JOB, LAST)
        assert names(store) == sorted([*LAST, "mounted/theirs"])
    assert store.remove(JOB, LAST).files == 1


def test_the_last_files_are_removed_last_and_in_order(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job / "d").mkdir()
    (job / "d/f").touch()
    (job / ".primehub/metadata/report.json").touch()
    removed: list[str] = []
    unlink = os.unlink

    def recording_unlink(name: str, **more: int) -> None:
        removed.append(os.path.relpath(os.path.join(os.readlink(f"/proc/self/fd/{more['dir_fd']}"), name), job))
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", recording_unlink)
    store.remove(JOB, LAST)
    assert sorted(removed[:-2]) == [".primehub/metadata/report.json", "d/f"]
    assert removed[-2:] == LAST
