"""Directories as trees: large, deep, and changed by others while they are listed or removed."""

import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.store import descriptors
from api.store.posix import PosixStore
from api.store.store import FileChanged, FileMissing, RemovedFiles
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
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


def make_deep(folder: Path, depth: int) -> None:
    """Folders in one another, past what a path may be long, with a file before and one behind each."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        for name in ("a", "z"):
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.mkdir("deeper-and-deeper", dir_fd=fd)
        inner = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_a_tree_deeper_than_any_path_is_listed_and_removed_with_few_descriptors(store: PosixStore, job: Path) -> None:
    depth = 300
    make_deep(job, depth)
    most = 0
    shown = []
    for item in store.list(JOB):
        shown.append(item.name)
        if len(shown) % 50 == 0:
            most = max(most, len(os.listdir("/proc/self/fd")))
    assert len(shown) == 2 * depth + 2
    assert shown[2] == "a"
    assert shown[-1] == "z"
    assert shown == sorted(shown)
    assert 0 < most < 50
    assert [item.name for item in store.list(JOB, after=shown[depth])] == shown[depth + 1 :]
    assert store.remove(JOB, LAST) == RemovedFiles(2 * depth, 0)
    assert not job.exists()


def test_the_first_page_looks_at_no_more_files_than_it_shows(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("d1", "d2", "d3"):
        (job / folder).mkdir()
        for number in range(300):
            (job / folder / f"{number:03}").touch()
    looked_at, read = [], []
    stat, scandir = os.stat, os.scandir

    def noted_stat(*args: Any, **more: Any) -> os.stat_result:
        looked_at.append(args)
        return stat(*args, **more)

    def noted_scandir(fd: int) -> Any:
        read.append(fd)
        return scandir(fd)

    monkeypatch.setattr(os, "stat", noted_stat)
    monkeypatch.setattr(os, "scandir", noted_scandir)
    page = list(itertools.islice(store.list(JOB, after="d1/249"), 100))
    monkeypatch.undo()
    assert [item.name for item in page] == [f"d1/{n}" for n in range(250, 300)] + [f"d2/{n:03}" for n in range(50)]
    assert len(looked_at) == 100
    assert len(read) == 3  # the job, d1, d2


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
def test_any_page_is_a_part_of_the_whole_and_all_of_it_can_be_removed(
    tmp_path: Path, tree: dict[str, object], data: st.DataObject
) -> None:
    root = tmp_path / str(next(_numbers))
    _grow(root / JOB, tree)
    store = PosixStore(str(root))
    whole = list(store.list(JOB))
    shown = [item.name for item in whole]
    assert shown == sorted(set(shown), key=str.encode)
    assert [store.stat(JOB + item.name).size for item in whole] == [item.size for item in whole]
    after = data.draw(st.one_of(st.sampled_from([*shown, ""]), st.text("a-./0\u00fc%A", max_size=5)))
    assert [item.name for item in store.list(JOB, after=after)] == [name for name in shown if name > after]
    level = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in shown})
    assert [each for each in names(store, recursive=False) if each in level] == level
    files = sum(len(found) for _, _, found in os.walk(root / JOB))
    assert store.remove(JOB).files == files
    assert not (root / JOB).exists()


def test_what_vanishes_while_it_is_listed_is_left_out(store: PosixStore, job: Path) -> None:
    for path in ("a", "b", "d/e/f/1", "d/e/f/2", "d/z", "y", "z"):
        (job / path).parent.mkdir(parents=True, exist_ok=True)
        (job / path).touch()
    listing = store.list(JOB, after="A")
    assert next(listing).name == "a"
    (job / "b").unlink()
    assert next(listing).name == "d/e/f/1"
    os.rename(job / "d", job / "moved")  # what is open is listed on; what is not is not there any more
    assert [item.name for item in listing] == ["d/e/f/2", "d/z", "y", "z"]


def test_a_folder_that_has_gone_is_left_when_it_is_come_back_to(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors.Descent, "_MOST", 1)
    for path in ("d/e/f/1", "d/e/z", "d/z", "z"):
        (job / path).parent.mkdir(parents=True, exist_ok=True)
        (job / path).touch()
    listing = store.list(JOB, after="A")
    assert next(listing).name == "d/e/f/1"
    os.rename(job / "d/e", job / "d/moved")
    assert [item.name for item in listing] == ["d/z", "z"]


def test_links_swapped_under_it_never_lead_out(store: PosixStore, job: Path, tmp_path: Path) -> None:
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


def test_a_job_is_removed_while_another_pod_writes_there(store: PosixStore, job: Path) -> None:
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


def test_what_is_written_into_a_folder_just_emptied_goes_too(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job / "d/e").mkdir(parents=True)
    rmdir, times = os.rmdir, itertools.count()

    def beaten_to_it(name: str, **more: int) -> None:
        if name in ("e", "job-1") and next(times) < 4:
            Path(os.readlink(f"/proc/self/fd/{more['dir_fd']}"), name, "late").write_text("late")
        rmdir(name, **more)

    monkeypatch.setattr(os, "rmdir", beaten_to_it)
    assert store.remove(JOB, LAST).files == 4
    assert not job.exists()


def test_two_that_remove_the_same_job_do_not_disturb_each_other(store: PosixStore, job: Path) -> None:
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
    assert sum(each.files for each in removed) == 600


def test_what_is_mounted_in_a_job_is_not_removed(store: PosixStore, job: Path) -> None:
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


def test_what_is_to_go_last_goes_when_all_else_has_gone_and_in_order(
    store: PosixStore, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job / "d").mkdir()
    (job / "d/f").touch()
    (job / ".primehub/metadata/report.json").touch()
    gone: list[str] = []
    unlink = os.unlink

    def noted(name: str, **more: int) -> None:
        gone.append(os.path.relpath(os.path.join(os.readlink(f"/proc/self/fd/{more['dir_fd']}"), name), job))
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", noted)
    store.remove(JOB, LAST)
    assert sorted(gone[:-2]) == [".primehub/metadata/report.json", "d/f"]
    assert gone[-2:] == LAST
