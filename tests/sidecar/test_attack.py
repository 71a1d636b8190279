"""Jobs and colleagues who mean harm: links swapped under the sidecar, and metadata made up by somebody.

What must hold: no byte from outside the job's volumes gets into the store, and nothing is written or removed
outside the job folder. The attackers here exchange names as fast as the kernel lets them.
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
    """Let two names mean what the other one meant, in one step."""
    done: int = _renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE)
    return done == 0


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
