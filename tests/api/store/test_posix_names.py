"""Directories that others write to: names that are invalid in keys, links, and special files."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from api.store.posix import PosixStore
from api.store.store import FileMissing, RemovedFiles
from artifacts.errors import StoreConflict
from tests.api.store.test_store import JOB, names
from tests.machine import require

ROOT = Path(__file__).parents[3]
SECRET = b"secret"


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    (tmp_path / "phfs" / JOB).mkdir(parents=True)
    return PosixStore(str(tmp_path / "phfs"))


@pytest.fixture
def job(tmp_path: Path, store: PosixStore) -> Path:
    return tmp_path / "phfs" / JOB


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder outside the store."""
    folder = tmp_path / "outside"
    (folder / "jobArtifacts/job-1").mkdir(parents=True)
    for path in ("secret", "jobArtifacts/job-1/secret"):
        (folder / path).write_bytes(SECRET)
    return folder


RAW = {
    b"new\nline": "new%0Aline",
    b"\xff\xfe": "%FF%FE",
    b"latin-\xe9.txt": "latin-%E9.txt",
    b"\x1b[31mred": "%1B[31mred",
    b"\xc2\x85": "%C2%85",
    b"100%\n": "100%%0A",
    b"%41\n": "%2541%0A",
    b"\x7f" * 255: "%7F" * 255,
    b"\xff" * 100 + b"a": "%FF" * 100 + "a",
}


def test_names_invalid_in_keys_are_listed_encoded_and_found_by_the_encoded_name(store: PosixStore, job: Path) -> None:
    for raw in RAW:
        folder = os.path.join(bytes(job), b"in " + raw[:50])
        os.mkdir(folder)
        for path in (os.path.join(bytes(job), raw), os.path.join(folder, raw)):
            with open(path, "wb") as file:
                file.write(raw)
    listed = names(store)
    assert len(listed) == 2 * len(RAW)
    assert listed == sorted(listed, key=str.encode)
    assert set(RAW.values()) <= set(listed)
    for name in listed:
        assert RAW[store.read(JOB + name, 300)] in name
        assert store.stat(JOB + name).size == len(store.read(JOB + name, 300))
    for level in names(store, recursive=False):
        below = [name for name in listed if name.startswith(level)]
        assert level.endswith("/") is (below != [level])
        assert [level + name for name in names(store, JOB + level.rstrip("/") + "/")] == below or below == [level]
    middle = listed[len(listed) // 2]
    assert names(store, after=middle) == listed[len(listed) // 2 + 1 :]
    for name in listed[:4]:
        store.delete(JOB + name)
    assert names(store) == listed[4:]
    assert store.remove(JOB).files == len(listed) - 4
    assert not job.exists()


def test_a_literal_name_wins_over_an_encoded_one(store: PosixStore, job: Path) -> None:
    for path, content in {"a%0A": "literal", "a\n": "raw", "d%0A/x": "literal", "d\n/y": "raw"}.items():
        (job / path).parent.mkdir(exist_ok=True)
        (job / path).write_text(content)
    assert names(store) == ["a%0A", "d%0A/x"]
    assert store.read(f"{JOB}a%0A", 10) == b"literal"
    with pytest.raises(FileMissing):
        store.stat(f"{JOB}d%0A/y")
    (job / "a%0A").unlink()
    assert store.read(f"{JOB}a%0A", 10) == b"raw"


@pytest.mark.parametrize("name", ["%41", "a%2Fb", "%2E%2E", "%00", "%", "%2", "%zz", "%C3%BC", "%25", "%2e%2e/%2e%2e"])
def test_an_unneeded_escape_is_not_decoded(store: PosixStore, job: Path, name: str) -> None:
    for path in ("A", "b", "\u00fc"):
        (job / path).write_text(path)
    for key in (JOB + name, f"{JOB}{name}/b"):
        with pytest.raises(FileMissing):
            store.stat(key)
        assert names(store, f"{key}/") == []
    store.write(JOB + name, b"x")
    assert store.read(JOB + name, 1) == b"x"
    assert (job / name).read_bytes() == b"x"


def make_special(folder: Path, kind: str) -> Path:
    path = folder / kind
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with closing(socket.socket(socket.AF_UNIX)) as end:
                end.bind(os.path.relpath(path))
        case "device":
            require(os.geteuid() == 0, "root, to make a device")
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero is endless
        case "loop":
            path.symlink_to(path)
        case "dangling":
            path.symlink_to("nowhere")
    return path


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "loop", "dangling"])
def test_special_files_are_not_listed_or_read_and_are_removed_with_the_job(
    store: PosixStore, job: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job)
    make_special(job, kind)
    (job / "a").write_text("a")
    assert names(store) == names(store, recursive=False) == ["a"]
    for operation in (store.stat, store.open, lambda key: store.read(key, 10)):
        with pytest.raises(FileMissing):
            operation(JOB + kind)
    assert store.remove(JOB) == RemovedFiles(1, 1)
    assert not job.exists()


def test_a_fifo_is_not_opened(store: PosixStore, job: Path) -> None:
    os.mkfifo(job / "fifo")
    with pytest.raises(FileMissing):
        store.open(f"{JOB}fifo")
    with pytest.raises(OSError, match="No such device"):  # no process has opened it for reading
        os.open(job / "fifo", os.O_WRONLY | os.O_NONBLOCK)


# The link replaces each component of a key in turn.
LINKS = ["groups", "groups/phusers", "groups/phusers/jobArtifacts", JOB.rstrip("/"), f"{JOB}d", f"{JOB}d/secret"]


@pytest.mark.parametrize("place", LINKS)
@pytest.mark.parametrize("absolute", [True, False])
def test_links_are_not_followed_at_any_level(tmp_path: Path, outside: Path, place: str, absolute: bool) -> None:
    root = tmp_path / "phfs"
    (root / JOB / "d").mkdir(parents=True)
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    if (root / place).is_dir():
        os.rename(root / place, tmp_path / "before")
    target = outside / "secret" if place.endswith("secret") else outside
    (root / place).symlink_to(target if absolute else os.path.relpath(target, (root / place).parent))
    store = PosixStore(str(root))
    keys = [
        f"{JOB}secret",
        f"{JOB}d/secret",
        "groups/secret",
        "groups/phusers/secret",
        f"{JOB}d/jobArtifacts/job-1/secret",
    ]
    for key in keys:
        for operation in (store.stat, store.open):
            with pytest.raises(FileMissing):
                operation(key)
        store.delete(key)
    for prefix in (JOB, f"{JOB}d/", "groups/", "groups/phusers/", "groups/phusers/jobArtifacts/"):
        assert not any(name.endswith("secret") for name in names(store, prefix))
    if place.startswith(f"{JOB}d"):
        store.write(f"{JOB}d/secret", b"ours")  # a link that a job created is replaced
    elif place == JOB.rstrip("/"):
        store.write(f"{JOB}secret", b"ours")
    else:
        with pytest.raises(StoreConflict):
            store.write(f"{JOB}secret", b"ours")
    store.remove(JOB)
    for path in ("secret", "jobArtifacts/job-1/secret"):
        assert (outside / path).read_bytes() == SECRET
    assert not os.path.lexists(root / JOB.rstrip("/")) or not place.startswith(JOB.rstrip("/"))


def test_a_link_in_place_of_a_job_folder_is_unlinked(store: PosixStore, job: Path, outside: Path) -> None:
    job.rmdir()
    Path(str(job)).symlink_to(outside)
    assert store.remove(JOB) == RemovedFiles(0, 0)
    assert not job.is_symlink()
    assert (outside / "secret").read_bytes() == SECRET


def test_a_file_in_place_of_a_job_folder_is_not_removed(store: PosixStore, job: Path) -> None:
    job.rmdir()
    job.write_text("a file")
    assert store.remove(JOB) == RemovedFiles(0, 0)
    assert job.read_text() == "a file"
    with pytest.raises(StoreConflict):
        store.write(f"{JOB}a", b"")


def test_writing_over_a_folder_raises_store_conflict(store: PosixStore, job: Path) -> None:
    (job / "a").mkdir()
    (job / "a/theirs").write_text("theirs")
    with pytest.raises(StoreConflict):
        store.write(f"{JOB}a", b"ours")
    store.delete(f"{JOB}a")
    assert names(store) == ["a/theirs"]
    assert names(store, "phjob-artifacts/") == []


def test_a_hard_link_is_a_file_and_its_target_is_not_changed(store: PosixStore, job: Path, outside: Path) -> None:
    os.link(outside / "secret", job / "a")
    assert store.read(f"{JOB}a", 100) == SECRET
    store.write(f"{JOB}a", b"ours")
    assert (outside / "secret").read_bytes() == SECRET
    os.link(outside / "secret", job / "b")
    store.remove(JOB)
    assert (outside / "secret").read_bytes() == SECRET


def test_the_root_may_be_a_link(store: PosixStore, job: Path, tmp_path: Path) -> None:
    (job / "a").write_text("a")
    (tmp_path / "link").symlink_to("phfs")
    assert names(PosixStore(str(tmp_path / "link"))) == ["a"]


def test_modes_do_not_depend_on_the_umask(store: PosixStore, job: Path) -> None:
    root = job.parents[3]
    before = os.umask(0o077)
    try:
        store.write(f"{JOB}d/a", b"")
        store.write("phjob-artifacts/records/g", b"")
    finally:
        os.umask(before)
    modes = {
        f"{JOB}d": 0o777,
        f"{JOB}d/a": 0o644,
        "phjob-artifacts": 0o755,
        "phjob-artifacts/tmp": 0o755,
        "phjob-artifacts/records": 0o755,
        "phjob-artifacts/records/g": 0o644,
    }
    assert {path: stat.S_IMODE((root / path).stat().st_mode) for path in modes} == modes


def test_the_error_of_an_unreadable_folder_names_it() -> None:
    require(os.geteuid() == 0, "root, to become another user")
    with tempfile.TemporaryDirectory() as root:  # other users cannot enter pytest's own folder
        for folder in ("a", "private", "z"):
            os.makedirs(f"{root}/{JOB}{folder}")
            Path(root, JOB, folder, "f").write_text("f")
        for path in (root, *(f"{root}/{JOB}{folder}" for folder in ("", "a", "z"))):
            os.chmod(path, 0o777)
        os.chmod(f"{root}/{JOB}private", 0o700)
        result = subprocess.run(
            [sys.executable, "-c", OPERATIONS_AS_NOBODY, root, JOB],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stdout.splitlines() == [
            "a/f",
            f"cannot list '{JOB}private/' in the store: Permission denied",
            f"cannot stat '{JOB}private/f' in the store: Permission denied",
            f"cannot remove '{JOB}private' in the store: Permission denied",
        ], result.stderr
        assert names(PosixStore(root)) == ["private/f", "z/f"]


OPERATIONS_AS_NOBODY = """
import ctypes, os, sys
from api.store.posix import PosixStore
from artifacts.errors import StoreError
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1)  # make the process dumpable again, so that it owns /proc/self
store, job = PosixStore(sys.argv[1]), sys.argv[2]
def print_names():
    for item in store.list(job): print(item.name)
for operation in (print_names, lambda: store.stat(job + "private/f"), lambda: store.remove(job, ["z/f"])):
    try: operation()
    except StoreError as error: print(error)
"""
