"""Real sidecars for tests: a job's folders below one folder, and the process that collects from them.

Started as in a pod, with the signals blocked before Python; only the root is "/", and everything it may touch
lies in the test's own folder. Owned here: that no process outlives its `with` block.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from artifacts.errors import InvalidDocument
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT, MANIFEST, REPORT, TEMPORARY, job_folder
from artifacts.names import encode_path
from artifacts.report import Report, read_report
from artifacts.settings import SETTINGS_TABLE, SidecarSettings

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0
SECRET = b"SECRET-8f1c2a"  # what no attack may bring into the store
BLOCKED = ("env", "--block-signal=TERM,USR1")
# Syncs are frequent and nothing has to rest, so that tests are quick; no port, so that tests do not meet on one.
QUICK = {
    "sync_seconds": 0.1,
    "quiet_seconds": 0,
    "linger_seconds": 0,
    "grace_seconds": 20,
    "metrics_listen": "",
    "log_level": "debug",
}


def until(holds: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Return once `holds()`; fail, naming `what`, when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def tree(folder: Path) -> dict[str, bytes]:
    """Path -> content of every regular file below `folder` and its folders, links followed nowhere."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # it may go while we look
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def state_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Path -> (inode, size, change time) of the folder and all in it."""
    paths = [folder, *sorted(folder.rglob("*"))]
    stats = {str(path.relative_to(folder)): path.lstat() for path in paths}
    return {path: (found.st_ino, found.st_size, found.st_ctime_ns) for path, found in stats.items()}


def opened(pid: int) -> list[str]:
    """What the descriptors of a process point at."""
    targets = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return targets


class Job:
    """One job: what it writes to (`artifacts`), and what is kept of it.

    `phfs` is where the sidecar writes; `kept`, the same unless given, is where a test looks at the outcome, so that
    it does not have to go through a mount that fails.
    """

    def __init__(self, folder: Path, phfs: Path | None = None, kept: Path | None = None, name: str = "job-1") -> None:
        self.name, self.home, self.phfs = name, folder / "home", phfs or folder / "phfs"
        self.artifacts = self.home / "artifacts"
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.phfs.mkdir(exist_ok=True)
        self.folder = (kept or self.phfs) / job_folder(name)
        self.termination, self.log = folder / "termination-log", folder / "log"

    def write(self, path: str, content: str | bytes) -> Path:
        """Make an artifact."""
        target = self.artifacts / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def write_all(self, paths: Iterable[str]) -> None:
        """Make artifacts, each with a content of its own."""
        for path in paths:
            self.write(path, path * 100)

    def environ(self, **settings: object) -> dict[str, str]:
        """The sidecar's environment: `settings` by their names in `SidecarSettings`, over what makes tests quick."""
        values = QUICK | {
            "root": "/",
            "path": self.artifacts,
            "volumes": f"{self.home}:{self.phfs}",
            "phfs": self.phfs,
            "store": self.phfs,
            "termination_log": self.termination,
        }
        known = {row.field: row.env for row in SETTINGS_TABLE}
        names = {
            known.get(field, f"PHJOB_ARTIFACT_{field.upper()}"): str(value)
            for field, value in (values | settings).items()
        }
        return {"PATH": os.environ["PATH"], "PHJOB_NAME": self.name, "PRIMEHUB_GROUP": "g"} | names

    def settings(self, **settings: object) -> SidecarSettings:
        """The same as the object they make, for tests without a process."""
        return SidecarSettings.from_env(self.environ(**settings))

    def kept(self) -> dict[str, bytes]:
        """Path -> content of all that lies in the job folder, without metadata."""
        return {path: content for path, content in tree(self.folder).items() if path.split("/")[0] not in OWN}

    def temporaries(self) -> list[str]:
        """What lies in the folder for copies on their way."""
        return sorted(name for _, _, names in os.walk(self.folder / TEMPORARY) for name in names)

    def manifest(self) -> dict[str, dict[str, Any]]:
        """Path -> fields of every entry in the manifest; none where there is no manifest."""
        with suppress(FileNotFoundError):
            lines = (self.folder / MANIFEST).read_bytes().splitlines()
            return {entry["path"]: entry for entry in map(json.loads, lines[1:])}
        return {}

    def report(self) -> Report:
        """The report, or one of nothing where there is none."""
        with suppress(FileNotFoundError):
            return read_report((self.folder / REPORT).read_bytes())
        return Report("", state="")

    def summary(self) -> dict[str, Any]:
        """The termination message."""
        document: dict[str, Any] = json.loads(self.termination.read_bytes())
        return document

    def expiries(self) -> list[int]:
        """The UNIX seconds in both expiry files; ValueError where one holds anything else."""
        return [int((self.folder / path).read_bytes()) for path in (EXPIRED_AT, LEGACY_EXPIRED_AT)]

    def assert_whole(self) -> None:
        """What is kept is the artifacts folder's tree, and the manifest tells the truth of every file."""
        wanted = {encode_path(path): content for path, content in tree(self.artifacts).items()}
        kept, manifest = self.kept(), self.manifest()
        wrong = [path for path in wanted.keys() | kept.keys() if wanted.get(path) != kept.get(path)]
        assert not wrong, f"kept otherwise than they are: {sorted(wrong)}; {self.report()}"
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in kept.items()}
        told = {path: None if entry.get("pending") else entry.get("sha256") for path, entry in manifest.items()}
        assert told == digests, f"the manifest says {manifest}, digests are {digests}"
        assert self.temporaries() == [], f"left behind: {self.temporaries()}"


OWN = frozenset({".primehub", ".metadata"})  # folders that hold no artifacts


class Sidecar:
    """A sidecar that runs. `process` is what was started, `pid` the sidecar itself where that is another."""

    def __init__(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        self.job, self.process, self.pid = job, process, process.pid

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def hasten(self) -> None:
        """Have it sync at once."""
        self.send(signal.SIGUSR1)

    def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """SIGTERM; the exit code. TimeoutExpired where it goes on for `seconds`."""
        self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def wait_kept(self, *paths: str, hastened: bool = False) -> None:
        """Until just these paths are kept, their entries in the manifest whole. `hastened`: asked for again and again,
        for where a sync takes long, as at a mount, the next one comes late."""

        def holds() -> bool:
            if hastened and self.job.termination.exists():  # before that, the signal would be the process's end
                self.hasten()
                time.sleep(0.1)
            with suppress(json.JSONDecodeError):  # as with the first report
                done = {path for path, entry in self.job.manifest().items() if not entry.get("pending")}
                return set(self.job.kept()) == set(paths) == done
            return False

        until(holds, f"{sorted(paths)} kept, instead of {sorted(self.job.kept())}")

    def wait_reported(self, holds: Callable[[Report], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Until the report is as it should be. The first one is written in place: it may be met half-written."""

        def is_reported() -> bool:
            with suppress(InvalidDocument):
                return bool(holds(self.job.report()))
            return False

        until(is_reported, what, seconds)

    def wait_gone(self, seconds: float) -> None:
        """Until its main thread has ended. What waits for a dead mount can only be reaped when the mount goes."""
        stat = Path(f"/proc/{self.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "the process gone", seconds)

    def peak_bytes(self) -> int:
        """Most memory that it has had; 0 where it has just ended."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def watches(self) -> bool:
        """Whether it watches any folder by now."""
        for descriptor in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):
                if "inotify wd:" in descriptor.read_text():
                    return True
        return False

    def opened(self) -> list[str]:
        """What its descriptors point at."""
        return opened(self.pid)

    def log(self) -> str:
        """What it and those before it in the same folder have logged."""
        return self.job.log.read_text()


@contextmanager
def running(job: Job, *, prefix: Sequence[str] = (), **settings: object) -> Iterator[Sidecar]:
    """A sidecar for `job`, killed at the end of the block if it still runs. `prefix`: a command that starts it."""
    with open(job.log, "ab") as log:
        process = subprocess.Popen(
            [*prefix, *BLOCKED, sys.executable, "-m", "sidecar"],
            env=job.environ(**settings),
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Sidecar(job, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE_SECONDS)


def run_command(job: Job, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """`python -m sidecar ARGUMENTS`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        env=job.environ(**settings),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
