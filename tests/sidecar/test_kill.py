"""The sidecar is killed at random moments while its job runs: the store always stays consistent.

One process imports the sidecar and forks for every start, so that hundreds of starts take seconds.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.machine import require
from tests.sidecar.sidecars import METADATA_FOLDERS, REPOSITORY, Job, running, until
from tests.storefs import build
from tests.storefs.mount import mounted

ROUNDS = 100  # on each kind of store
NAMES = ("a", "b", "folder", "folder/a", "folder/b", "folder/deep/a", "folder/deep/b", "other/a", "other/b", "ü %41")
FOREIGN = "foreign"
STARTER = """
import os, signal, sys
import sidecar.watch
from sidecar.process import run
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os._exit(run(dict(os.environ)))
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


class Starter:
    """Starts sidecars for one job, one after the other."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._log = open(job.log, "ab")  # noqa: SIM115 - open until close()
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTER],
            env=job.environ(sync_seconds=0.1, log_level="warning"),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def start(self) -> int:
        """Start a sidecar and return its process id once it handles signals."""
        self._job.termination.unlink(missing_ok=True)
        self._send("\n")
        pid = int(self._receive())
        until(self._job.termination.exists, "the start")
        return pid

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self._receive() == "ended\n"

    def close(self) -> None:
        self._process.communicate(timeout=20)
        self._log.close()

    def _send(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def _receive(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(params=["folder", "mount"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Job]:
    if request.param == "folder":
        yield Job(tmp_path)
        return
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    with mounted(backing, mountpoint, create=1000, write=3000, flush=500, rename=1000, unlink=500):
        yield Job(tmp_path, mountpoint, backing)


def remove(path: Path) -> None:
    """Remove a file or a folder with its content, if it exists."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if path.is_dir():
            for inner in path.iterdir():
                remove(inner)
            path.rmdir()
        else:
            path.unlink()


def change(job: Job, rng: random.Random) -> None:
    """Perform one random action of a job: create, change, move or remove a file, or replace a file by a folder."""
    path = job.artifacts / rng.choice(NAMES)
    action = rng.random()
    if action < 0.3:
        remove(path)
        return
    for parent in reversed(path.relative_to(job.artifacts).parents):
        if (job.artifacts / parent).is_file():
            (job.artifacts / parent).unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    if action < 0.45:
        other = job.artifacts / rng.choice(NAMES)
        if other.is_file() and not path.is_dir():
            other.rename(path)
        return
    if path.is_dir():
        remove(path)
    if action < 0.6 and path.is_file():
        with open(path, "ab") as file:
            file.write(b"more")
    else:
        path.write_bytes(rng.randbytes(rng.choice((0, 1, 10, 1000, 1000, 700_000, 2_500_000))))


def assert_all_files_listed(job: Job) -> None:
    """Every copy is in the manifest and will expire; a foreign file is preserved."""
    copies = job.copies()
    assert copies.pop(FOREIGN) == b"keep"
    if copies:
        assert copies.keys() <= job.manifest().keys()
        assert (job.folder / EXPIRED_AT).is_file()
        assert (job.folder / LEGACY_EXPIRED_AT).is_file()


def assert_complete_after_the_end(job: Job) -> None:
    """Run a sidecar to its end: all files are collected, and a foreign file is preserved."""
    with running(job) as sidecar:
        until(job.termination.exists, "the start")
        assert sidecar.end() == 0
    foreign = job.folder / FOREIGN
    assert foreign.read_text() == "keep"
    foreign.unlink()
    job.assert_complete()
    assert job.report().state in ("sealed", "empty")
    foreign.write_text("keep")


def test_a_sidecar_killed_at_any_moment_leaves_no_unlisted_file_and_the_last_sync_is_complete(job: Job) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    print("seed", seed)  # pytest shows the output if the test fails
    (job.folder / FOREIGN).parent.mkdir(parents=True)
    (job.folder / FOREIGN).write_text("keep")
    starter = Starter(job)
    try:
        for number in range(ROUNDS):
            for _ in range(rng.randrange(4)):
                change(job, rng)
            pid = starter.start()
            time.sleep(rng.random() * 0.06)
            for _ in range(rng.randrange(3)):
                change(job, rng)
                time.sleep(rng.random() * 0.03)
            if rng.random() < 0.3:
                os.kill(pid, signal.SIGUSR1)
                time.sleep(rng.random() * 0.06)
            starter.kill(pid)
            assert_all_files_listed(job)
            if number % 25 == 24:
                job.termination.unlink()
                assert_complete_after_the_end(job)
    finally:
        starter.close()
    assert "Traceback" not in job.log.read_text()


def test_child_processes_end_if_the_sidecar_is_killed(tmp_path: Path) -> None:
    job = Job(tmp_path)
    (job.folder / FOREIGN).parent.mkdir(parents=True)
    (job.folder / FOREIGN).write_text("keep")
    forks = 0
    for delay in (0.0, 0.03, 0.1):
        for number in range(1500):
            job.write(f"{number % 7}/{number}", f"{delay} {number}" * 1000)
        job.termination.unlink(missing_ok=True)
        with running(job, sync_seconds=3600, quiet_seconds=3600, limit_files=2000) as sidecar:
            until(job.termination.exists, "the start")
            time.sleep(0.3)  # the first sync copies nothing, because no file is quiet yet
            started_ns = time.time_ns()
            sidecar.send(signal.SIGTERM)
            until(lambda started_ns=started_ns: is_written_since(job, started_ns), "a first copy")  # type: ignore[misc]
            time.sleep(delay)
            children = child_processes(sidecar.pid)
            sidecar.kill()
        until(lambda children=children: not any(map(is_running, children)), "the end of the children")  # type: ignore[misc]
        assert_all_files_listed(job)
        forks += len(children)
    assert forks, "no sidecar had a child when it was killed"
    job.termination.unlink()
    with running(job, limit_files=2000) as sidecar:
        until(job.termination.exists, "the start")
        assert sidecar.end() == 0
    (job.folder / FOREIGN).unlink()
    job.assert_complete()


def child_processes(pid: int) -> list[int]:
    """Return the process ids of the children of a process."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                children.append(int(stat.parent.name))
    return children


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_written_since(job: Job, when_ns: int) -> bool:
    """Whether a copy has been written since `when_ns` (UNIX time in nanoseconds)."""
    for path in job.folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            is_metadata = not METADATA_FOLDERS.isdisjoint(path.parts)
            if not is_metadata and path.is_file() and path.stat().st_ctime_ns > when_ns:
                return True
    return False
