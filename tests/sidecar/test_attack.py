"""Jobs and colleagues who mean harm: links swapped under the sidecar, and metadata made up by somebody.

What must hold: no byte from outside the job's volumes gets into the store, and nothing is written or removed
outside the job folder. The attackers here exchange names as fast as the kernel lets them.
"""

import ctypes
import itertools
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from artifacts.layout import EXPIRED_AT, LEGACY_METADATA, MANIFEST, METADATA, REPORT, TEMPORARY
from tests.sidecar.sidecars import Job, running, tree, until

SECRET = b"SECRET-8f1c2a"
_renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(one: Path, other: Path) -> bool:
    """Let two names mean what the other one meant, in one step."""
    return _renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE) == 0


@contextmanager
def attackers(*attacks: Callable[[], None]) -> Iterator[None]:
    """Repeat each attack in a thread of its own until the block ends."""
    stop = threading.Event()

    def repeat(attack: Callable[[], None]) -> None:
        while not stop.is_set():
            attack()

    threads = [threading.Thread(target=repeat, args=(attack,)) for attack in attacks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder on none of the job's volumes. No attack exchanges its names: that would bring the secret inside."""
    folder = tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    for name in ("loot", "sub/loot"):
        (folder / name).write_bytes(SECRET)
    return folder


def assert_no_secret(job: Job) -> None:
    for path, content in tree(job.phfs).items():
        assert SECRET not in content, path


def test_links_swapped_under_the_scan_and_the_copy_never_lead_out(job: Job, outside: Path) -> None:
    evil = job.home / "evil"  # on the volume, but not collected
    evil.mkdir()
    targets = {
        "file": outside / "loot",
        "environ": Path("/proc/self/environ"),
        "descriptor": Path("/proc/self/fd/2"),
        "own": job.log,
        "passwd": Path("/etc/passwd"),
        "up": Path("../../outside/loot"),
    }
    for name, target in targets.items():
        job.write(name, f"good {name}")
        (evil / name).symlink_to(target)
    job.write("folder/loot", "good")
    job.write("folder/sub/loot", "good")
    (evil / "folder").symlink_to(outside)
    (evil / "artifacts").symlink_to(outside)

    def swap_all() -> None:
        for name in targets:
            exchange(job.artifacts / name, evil / name)

    def swap_folder() -> None:
        exchange(job.artifacts / "folder", evil / "folder")

    def swap_root() -> None:
        exchange(job.artifacts, evil / "artifacts")
        time.sleep(0.0003)
        exchange(job.artifacts, evil / "artifacts")
        time.sleep(0.002)

    with running(job, prefix=("env", f"TOKEN={SECRET.decode()}"), quiet_seconds=0) as sidecar:
        until(job.termination.exists, "a start")
        ending = time.monotonic() + 2.5
        with attackers(swap_all, swap_folder, swap_root):
            while time.monotonic() < ending:
                sidecar.hasten()
                for name in targets:  # what is always the same is copied once only
                    with suppress(OSError):
                        os.utime(job.artifacts / name, follow_symlinks=False)
                assert_no_secret(job)
            assert sidecar.end() == 0
        log = sidecar.log()
    assert_no_secret(job)
    assert "root:" not in str(tree(job.phfs).get("jobArtifacts/job-1/passwd"))
    assert SECRET.decode() not in log
    assert "Traceback" not in log
    assert set(job.kept().values()) <= {b"good"} | {f"good {name}".encode() for name in targets}
    assert job.kept(), "nothing was ever copied, so nothing was tried"


def state_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Path -> (inode, size, change time) of the folder and all in it."""
    paths = [folder, *sorted(folder.rglob("*"))]
    stats = {str(path.relative_to(folder)): path.lstat() for path in paths}
    return {path: (found.st_ino, found.st_size, found.st_ctime_ns) for path, found in stats.items()}


@pytest.fixture
def victim(job: Job) -> Path:
    """A folder of another group, with files at every name that the sidecar writes or removes."""
    folder = job.phfs.parent / "victim"
    names = ["a", "b", "c", "sub/a", "expiredAt", "manifest.jsonl", "report.json", "metadata/expiredAt", "tmp/1-0"]
    for name in [*names, "metadata/manifest.jsonl", "job-1/a", "job-1/sub/a", "job-1/.metadata/expiredAt"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("victim")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("",),
        ("job-1",),
        ("job-1/sub", "job-1/.primehub", "job-1/.metadata"),
        ("job-1/sub", f"job-1/{METADATA}", f"job-1/{TEMPORARY}"),
    ],
)
def test_links_swapped_in_the_job_folder_never_lead_out(job: Job, victim: Path, names: tuple[str, ...]) -> None:
    evil = job.phfs / "evil"
    evil.mkdir()
    (job.phfs / "jobArtifacts").mkdir()
    numbers = itertools.count()

    def swap(name: str) -> Callable[[], None]:
        here, there = job.phfs / "jobArtifacts" / name, evil / (name.replace("/", "_") or "root")
        there.symlink_to(victim)

        def attack() -> None:
            exchange(here, there)
            if not there.is_symlink() and not here.is_symlink():  # the sidecar has removed the link: another one
                link = evil / f"new-{next(numbers)}"
                link.symlink_to(victim)
                if there.exists():
                    there.rename(evil / f"old-{next(numbers)}")
                link.rename(there)
            time.sleep(0.0005)

        return attack

    before = state_of(victim)
    with running(job) as sidecar:
        until(job.termination.exists, "a start")
        ending = time.monotonic() + 1.5
        with attackers(*map(swap, names)):
            while time.monotonic() < ending:
                for name in ("a", "b", "c", "sub/a", "sub/b"):
                    job.write(name, f"{next(numbers)}")
                sidecar.hasten()
                time.sleep(0.02)
                (job.artifacts / "a").unlink()
                (job.artifacts / "sub/a").unlink()
                sidecar.hasten()
                time.sleep(0.02)
                assert state_of(victim) == before
        shutil.rmtree(evil)
        if (job.phfs / "jobArtifacts").is_symlink():
            (job.phfs / "jobArtifacts").unlink()
        for name in ("a", "b", "c", "sub/a", "sub/b"):  # what was kept before may lie wherever it was swapped to
            job.write(name, "after the attack")
        assert sidecar.end() == 0
        log = sidecar.log()
    assert state_of(victim) == before
    assert "Traceback" not in log
    assert job.kept() == tree(job.artifacts)
    assert job.summary()["state"] == "sealed"


def entry(path: str, **fields: Any) -> bytes:
    given = {"path": path, "size": 1, "mtimeNs": 1, "ctimeNs": 1, "inode": 1}
    return json.dumps(given | fields).encode() + b"\n"


HEADER = b'{"version":1,"job":"job-1","podUid":""}\n'
MANIFESTS = {
    "up": HEADER + entry("../../../outside/loot"),
    "up-inside": HEADER + entry("x/../../job-2/a"),
    "absolute": HEADER + entry("/etc/passwd"),
    "reserved": HEADER + entry(".primehub/metadata/report.json"),
    "reserved-legacy": HEADER + entry(".metadata/expiredAt"),
    "empty-name": HEADER + entry("a//b"),
    "nul": HEADER + entry("a%00b") + entry("a\0b"),
    "surrogate": HEADER + entry("\ud800"),
    "folder": HEADER + entry("theirs"),
    "folder-of-a-folder": HEADER + entry("theirs/x/y"),
    "long-name": HEADER + entry("n" * 10_000),
    "time-too-large": HEADER + entry("x", mtimeNs=2**63),
    "change-time-too-small": HEADER + entry("x", ctimeNs=-(2**63) - 1),
    "inode-below-zero": HEADER + entry("x", inode=-1),
    "size-below-zero": HEADER + entry("x", size=-1),
    "size-of-a-float": HEADER + entry("x", size=1.5),
    "size-of-a-bool": HEADER + entry("x", size=True),
    "number-of-a-million-digits": HEADER + b'{"path":"x","size":' + b"9" * 1_000_000 + b"}\n",
    "digest": HEADER + entry("x", sha256="../" * 21 + "x"),
    "pod": HEADER + entry("x", podUid=["list"]),
    "deep": HEADER + b"[" * 16_000 + b"\n",
    "deep-header": b'{"version":' * 1300 + b"\n",
    "one-line": b"x" * 3_000_000,
    "binary": bytes(range(256)) * 100,
    "no-line": b"",
    "only-newlines": b"\n" * 100_000,
    "another-job": b'{"version":1,"job":"job-2","podUid":""}\n' + entry("theirs/x"),
    "another-version": b'{"version":2,"job":"job-1","podUid":""}\n' + entry("theirs/x"),
    "no-object": b"[]\n",
    "twice": HEADER + entry("a") * 3 + entry("a", pending=True) + entry("a", podUid="other"),
    "file-and-folder": HEADER + entry("a") + entry("a/b") + entry("sub") + entry("sub/b", pending=True),
}


@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS.keys())
def test_a_made_up_manifest_neither_stops_the_sidecar_nor_reaches_beyond_its_files(
    job: Job, outside: Path, content: bytes
) -> None:
    theirs = [job.folder / "theirs/x", job.phfs / "jobArtifacts/job-2/a"]
    for path in [*theirs, job.folder / MANIFEST]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    (job.folder / MANIFEST).write_bytes(content)
    before = state_of(outside)
    job.write("a", "1")
    job.write("sub/b", "2")
    with running(job, grace_seconds=5) as sidecar:
        until(job.termination.exists, "a start")
        assert sidecar.end(8) == 0
        assert "Traceback" not in sidecar.log()
    assert job.kept() == {"a": b"1", "sub/b": b"2", "theirs/x": b"theirs"}
    assert [path.read_text() for path in theirs] == ["theirs", "theirs"]
    assert state_of(outside) == before
    assert sorted(job.manifest()) == ["a", "sub/b"]
    assert job.report().state == "sealed"


def peak_bytes(pid: int) -> int:
    """Most memory that the process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def test_a_manifest_of_more_lines_than_files_are_looked_at_is_taken_in_bounded_memory(job: Job) -> None:
    (job.folder / METADATA).mkdir(parents=True)
    with open(job.folder / MANIFEST, "wb") as file:
        file.write(HEADER)
        for number in range(400_000):
            file.write(b'{"path":"%d","size":1,"mtimeNs":1,"ctimeNs":1,"inode":1}\n' % number)
    job.write("a", "1")
    with running(job, sync_seconds=3600) as sidecar:
        until(lambda: "a" in job.kept(), "the job's file", 40)
        peak = peak_bytes(sidecar.pid)
        assert sidecar.end(30) == 0
    assert job.kept() == {"a": b"1"}
    assert peak < 130_000_000


@pytest.mark.parametrize("name", [MANIFEST, REPORT, EXPIRED_AT, f"{LEGACY_METADATA}/expiredAt", "a"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_stands_in_the_place_of_a_file_of_ours_is_replaced_and_not_followed(
    job: Job, outside: Path, name: str, kind: str
) -> None:
    place = job.folder / name
    place.parent.mkdir(parents=True)
    if kind == "link":
        place.symlink_to(outside / "loot")
    else:
        os.mkfifo(place)
    before = state_of(outside)
    job.write("a", "1")
    with running(job) as sidecar:
        until(lambda: "a" in job.kept(), "the job's file")
        assert sidecar.end(8) == 0
    job.assert_whole()
    assert job.report().state == "sealed"
    assert job.expiries() == [job.report().expired_at] * 2
    assert state_of(outside) == before
    assert place.is_file()
    assert not place.is_symlink()
