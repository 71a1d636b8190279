"""Attacks by jobs and by users of the store: links swapped while the sidecar works.

No byte from outside the job's volumes may reach the store, and nothing outside the job folder may be written or
removed. The attackers exchange names as fast as the kernel permits.
"""

import ctypes
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from artifacts.layout import METADATA, TEMPORARY
from tests.sidecar.sidecars import SECRET, Job, running, state_of, tree, until

_renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically. Returns whether it succeeded."""
    done: int = _renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE)
    return done == 0


@contextmanager
def attackers(*attacks: Callable[[], None]) -> Iterator[None]:
    """Repeat each attack in a separate thread until the block ends."""
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


def assert_no_secret(job: Job) -> None:
    """No file in the store contains the secret."""
    for path, content in tree(job.phfs).items():
        assert SECRET not in content, path


def test_links_swapped_during_scan_and_copy_never_escape_the_volumes(job: Job, outside: Path) -> None:
    evil = job.home / "evil"  # on the volume, but outside the artifacts folder
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
        until(job.termination.exists, "the start")
        ending = time.monotonic() + 2.5
        with attackers(swap_all, swap_folder, swap_root):
            while time.monotonic() < ending:
                sidecar.sync_now()
                for name in targets:  # an unchanged file would be copied only once
                    with suppress(OSError):
                        os.utime(job.artifacts / name, follow_symlinks=False)
                assert_no_secret(job)
            assert sidecar.end() == 0
        log = sidecar.log()
    assert_no_secret(job)
    assert "root:" not in str(tree(job.phfs).get("jobArtifacts/job-1/passwd"))
    assert SECRET.decode() not in log
    assert "Traceback" not in log
    assert set(job.copies().values()) <= {b"good"} | {f"good {name}".encode() for name in targets}
    assert job.copies(), "nothing was copied, so the test proves nothing"


@pytest.fixture
def victim(job: Job) -> Path:
    """A folder of another group, with a file for each name that the sidecar writes or removes."""
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
def test_links_swapped_in_the_job_folder_never_escape_it(job: Job, victim: Path, names: tuple[str, ...]) -> None:
    evil = job.phfs / "evil"
    evil.mkdir()
    (job.phfs / "jobArtifacts").mkdir()
    numbers = itertools.count()

    def swap(name: str) -> Callable[[], None]:
        current, evil_link = job.phfs / "jobArtifacts" / name, evil / (name.replace("/", "_") or "root")
        evil_link.symlink_to(victim)

        def attack() -> None:
            exchange(current, evil_link)
            if not evil_link.is_symlink() and not current.is_symlink():  # the sidecar removed the link
                link = evil / f"new-{next(numbers)}"
                link.symlink_to(victim)
                if evil_link.exists():
                    evil_link.rename(evil / f"old-{next(numbers)}")
                link.rename(evil_link)
            time.sleep(0.0005)

        return attack

    before = state_of(victim)
    with running(job) as sidecar:
        until(job.termination.exists, "the start")
        ending = time.monotonic() + 1.5
        with attackers(*map(swap, names)):
            while time.monotonic() < ending:
                for name in ("a", "b", "c", "sub/a", "sub/b"):
                    job.write(name, f"{next(numbers)}")
                sidecar.sync_now()
                time.sleep(0.02)
                (job.artifacts / "a").unlink()
                (job.artifacts / "sub/a").unlink()
                sidecar.sync_now()
                time.sleep(0.02)
                assert state_of(victim) == before
        shutil.rmtree(evil)
        if (job.phfs / "jobArtifacts").is_symlink():
            (job.phfs / "jobArtifacts").unlink()
        for name in ("a", "b", "c", "sub/a", "sub/b"):  # earlier copies may be wherever they were swapped to
            job.write(name, "after the attack")
        assert sidecar.end() == 0
        log = sidecar.log()
    assert state_of(victim) == before
    assert "Traceback" not in log
    assert job.copies() == tree(job.artifacts)
    assert job.summary()["state"] == "sealed"
