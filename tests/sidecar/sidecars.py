"""Real sidecar processes for tests, and the folders of their jobs, which are all below one folder.

The sidecar starts as in a pod, with the signals blocked before Python starts. Unlike in a pod, its root is "/". No
process outlives its `with` block.
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
from sidecar.sync import Syncer

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 20.0
SECRET = b"SECRET-8f1c2a"  # no attack may bring this into the store
BLOCKED = ("env", "--block-signal=TERM,USR1")
# Frequent syncs without a quiet time make tests fast; without a port, tests can run in parallel.
QUICK = {
    "sync_seconds": 0.1,
    "quiet_seconds": 0,
    "linger_seconds": 0,
    "grace_seconds": 20,
    "metrics_listen": "",
    "log_level": "debug",
}


def until(holds: Callable[[], object], description: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `holds()` is true. Fails with `description` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {description}")
        time.sleep(0.01)


def end_syncer(syncer: Syncer) -> None:
    """Run the last sync and close the syncer."""
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 20)
    syncer.close()


def tree(folder: Path) -> dict[str, bytes]:
    """Return path -> content of every regular file below `folder`. Links are not followed."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # it may be removed meanwhile
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def state_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return path -> (inode, size, change time) of the folder and everything in it."""
    paths = [folder, *sorted(folder.rglob("*"))]
    stats = {str(path.relative_to(folder)): path.lstat() for path in paths}
    return {path: (found.st_ino, found.st_size, found.st_ctime_ns) for path, found in stats.items()}


def open_files(pid: int) -> list[str]:
    """Return the targets of the descriptors of a process."""
    targets = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return targets


class Job:
    """One job: its artifacts folder and its job folder.

    The sidecar writes to `phfs`. Tests read the result from `backing` (`phfs` by default), so that they do not depend
    on a mount that fails.
    """

    def __init__(
        self, folder: Path, phfs: Path | None = None, backing: Path | None = None, name: str = "job-1"
    ) -> None:
        self.name, self.home, self.phfs = name, folder / "home", phfs or folder / "phfs"
        self.artifacts = self.home / "artifacts"
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.phfs.mkdir(exist_ok=True)
        self.folder = (backing or self.phfs) / job_folder(name)
        self.termination, self.log = folder / "termination-log", folder / "log"

    def write(self, path: str, content: str | bytes) -> Path:
        """Write an artifact."""
        target = self.artifacts / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def write_all(self, paths: Iterable[str]) -> None:
        """Write artifacts, each with different content."""
        for path in paths:
            self.write(path, path * 100)

    def environ(self, **settings: object) -> dict[str, str]:
        """Return the sidecar's environment: `settings`, named as in SidecarSettings, override QUICK."""
        values = QUICK | {
            "root": "/",
            "path": self.artifacts,
            "volumes": f"{self.home}:{self.phfs}",
            "phfs": self.phfs,
            "store": self.phfs,
            "termination_log": self.termination,
            "main_uid": os.geteuid(),
            "main_gid": os.getegid(),
        }
        env_names = {row.field: row.env for row in SETTINGS_TABLE}
        names = {
            env_names.get(field, f"PHJOB_ARTIFACT_{field.upper()}"): str(value)
            for field, value in (values | settings).items()
        }
        return {"PATH": os.environ["PATH"], "PHJOB_NAME": self.name, "PRIMEHUB_GROUP": "g"} | names

    def settings(self, **settings: object) -> SidecarSettings:
        """Return the settings for tests without a process."""
        return SidecarSettings.from_env(self.environ(**settings))

    def copies(self) -> dict[str, bytes]:
        """Return path -> content of all files in the job folder, without metadata."""
        return {
            path: content for path, content in tree(self.folder).items() if path.split("/")[0] not in METADATA_FOLDERS
        }

    def temporaries(self) -> list[str]:
        """Return the names of the temporary files in the job folder."""
        return sorted(name for _, _, names in os.walk(self.folder / TEMPORARY) for name in names)

    def manifest(self) -> dict[str, dict[str, Any]]:
        """Return path -> fields of every entry in the manifest; {} if there is no manifest."""
        with suppress(FileNotFoundError):
            lines = (self.folder / MANIFEST).read_bytes().splitlines()
            return {entry["path"]: entry for entry in map(json.loads, lines[1:])}
        return {}

    def report(self) -> Report:
        """Return the report, or an empty one if there is none."""
        with suppress(FileNotFoundError):
            return read_report((self.folder / REPORT).read_bytes())
        return Report("", state="")

    def summary(self) -> dict[str, Any]:
        """Return the termination message."""
        document: dict[str, Any] = json.loads(self.termination.read_bytes())
        return document

    def expiries(self) -> list[int]:
        """Return the UNIX seconds in both expiry files. Raises ValueError for any other content."""
        return [int((self.folder / path).read_bytes()) for path in (EXPIRED_AT, LEGACY_EXPIRED_AT)]

    def assert_complete(self) -> None:
        """The job folder contains exactly the artifacts, and the manifest has the digest of every file."""
        expected = {encode_path(path): content for path, content in tree(self.artifacts).items()}
        copies, manifest = self.copies(), self.manifest()
        wrong = [path for path in expected.keys() | copies.keys() if expected.get(path) != copies.get(path)]
        assert not wrong, f"copies differ from their files: {sorted(wrong)}; {self.report()}"
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in copies.items()}
        recorded = {path: None if entry.get("pending") else entry.get("sha256") for path, entry in manifest.items()}
        assert recorded == digests, f"the manifest has {manifest}, digests are {digests}"
        assert self.temporaries() == [], f"temporary files remain: {self.temporaries()}"


METADATA_FOLDERS = frozenset({".primehub", ".metadata"})


class Sidecar:
    """A running sidecar: `process` was started; `pid` is the sidecar's, which may be a child of that process."""

    def __init__(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        self.job, self.process, self.pid = job, process, process.pid

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def sync_now(self) -> None:
        """Request a sync at once."""
        self.send(signal.SIGUSR1)

    def end(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Send SIGTERM and return the exit code. Raises TimeoutExpired after `seconds`."""
        self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.send(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def wait_copied(self, *paths: str, repeat_request: bool = False) -> None:
        """Wait until the job folder contains exactly these paths, with complete entries in the manifest.

        `repeat_request`: request syncs until then, because after a long sync, as on a mount, the next one comes late.
        """

        def holds() -> bool:
            if repeat_request and self.job.termination.exists():  # before that, the signal would end the process
                self.sync_now()
                time.sleep(0.1)
            with suppress(json.JSONDecodeError):  # the first manifest is written in place
                done = {path for path, entry in self.job.manifest().items() if not entry.get("pending")}
                return set(self.job.copies()) == set(paths) == done
            return False

        until(holds, f"{sorted(paths)} copied, instead of {sorted(self.job.copies())}")

    def wait_reported(
        self, holds: Callable[[Report], object], description: str, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until `holds(report)` is true. The first report is written in place, so it may be half-written."""

        def is_reported() -> bool:
            with suppress(InvalidDocument):
                return bool(holds(self.job.report()))
            return False

        until(is_reported, description, seconds)

    def wait_ended(self, seconds: float) -> None:
        """Wait until the main thread has ended. It cannot be reaped while a thread hangs on a mount."""
        stat = Path(f"/proc/{self.pid}/stat")
        until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "the end of the process", seconds)

    def peak_bytes(self) -> int:
        """Return the peak memory; 0 if the process has just ended."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def is_watching(self) -> bool:
        """Whether the sidecar watches a folder."""
        for descriptor in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):
                if "inotify wd:" in descriptor.read_text():
                    return True
        return False

    def open_files(self) -> list[str]:
        """Return the targets of the sidecar's descriptors."""
        return open_files(self.pid)

    def log(self) -> str:
        """Return the log of this sidecar and of earlier ones of the job."""
        return self.job.log.read_text()


@contextmanager
def running(job: Job, *, prefix: Sequence[str] = (), **settings: object) -> Iterator[Sidecar]:
    """Start a sidecar for `job`; kill it at the end of the block. `prefix`: a command that starts it."""
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
    """Run `python -m sidecar ARGUMENTS` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "sidecar", *arguments],
        env=job.environ(**settings),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
