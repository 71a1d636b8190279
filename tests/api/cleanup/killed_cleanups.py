"""A program that runs cleanups which are killed, and prints the store's files after each as a line of JSON.

For n = 1, 2, ...: a process cleans a fresh store and is killed before its n-th change; then another process runs the
next cleanup. In a directory, Python's audit events count the changes; in a bucket, the server counts the requests.
"""

import json
import os
import shutil
import signal
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from api.store.factory import open_store
from tests.api.cleanup.environment import DAY, StoreEnvironment, directory_environment

CHANGES = ("os.remove", "os.rmdir", "os.rename", "os.link", "os.mkdir")
SETTINGS = {"PHJOB_CLEANUP_WORKERS": "1"}


class CleanupSubject(Protocol):
    """A store that is filled, cleaned and listed, each in a separate process."""

    def fill(self) -> None:
        """Create the job folders in an empty store."""

    def clean(self, number: int) -> None:
        """Run the cleanup, and be killed before the n-th change (0: never)."""

    def list_files(self) -> list[str]:
        """Return all files."""


class DirectorySubject:
    """A store that is a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        add_folders(directory_environment(self.root), "job-3")

    def clean(self, number: int) -> None:
        remaining = [number]

        def hook(event: str, _: object) -> None:
            if event in CHANGES:
                remaining[0] -= 1
                if remaining[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        directory_environment(self.root, SETTINGS).cleaner.clean(None)

    def list_files(self) -> list[str]:
        """Return the files and the folders; folders end with a slash."""
        return sorted(f"{path.relative_to(self.root)}{'/' if path.is_dir() else ''}" for path in self.root.rglob("*"))


class BucketSubject:
    """A store that is a bucket of the KillingBucket server at `url`."""

    def __init__(self, url: str, lock: Path) -> None:
        self.url, self.lock = url, lock

    def fill(self) -> None:
        self._send("POST", "/moto-api/reset")
        self._send("PUT", "/phfs")
        add_folders(self._environment())

    def clean(self, number: int) -> None:
        self._send("POST", f"/kill?pid={os.getpid()}&number={number}")
        self._environment().cleaner.clean(None)

    def list_files(self) -> list[str]:
        """Return the keys."""
        env = self._environment()
        return [*env.list_keys(), *env.list_keys("phjob-artifacts/")]

    def _environment(self) -> StoreEnvironment:
        env = StoreEnvironment(open_store("s3://phfs"), self.lock, SETTINGS)
        for job in ("job-1", "job-2"):  # without them, the reports' times in the bucket would keep the folders
            env.add_phjob(job)
        return env

    def _send(self, method: str, path: str) -> None:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=20):
            pass


def main(subject: CleanupSubject) -> None:
    """Print one line for each number of changes, until a run is not killed."""
    in_child(subject.fill)
    print(json.dumps({"before": list_in_child(subject.list_files)}))
    for number in range(1, 500):
        was_killed = in_child(lambda n=number: subject.clean(n))  # type: ignore[misc]
        killed = list_in_child(subject.list_files)
        in_child(lambda: subject.clean(0))
        print(json.dumps({"killed": killed, "after": list_in_child(subject.list_files)}), flush=True)
        if not was_killed:
            return
        in_child(subject.fill)


def add_folders(env: StoreEnvironment, *more: str) -> None:
    """Add folders that are due, one of them with an old extension, and folders that are not."""
    env.add_folder("job-1")
    env.add_folder("job-2", legacy_in=None, files={"model.bin": b"m"})
    for job in more:
        env.add_folder(job)
    env.add_folder("job-10", expires_in=DAY, files={"model.bin": b"m"})
    env.add_folder("job-1", group="b", expires_in=DAY, files={"model.bin": b"m"})
    env.store.write("phjob-artifacts/extensions/a/job-1", b'{"version": 1, "until": 5}')
    env.store.write("phjob-artifacts/first-seen/a/job-2", b"1000000000\n")


def list_in_child(list_files: Callable[[], list[str]]) -> list[str]:
    """Call `list_files` in a child process: this process must not start threads, since it forks."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writing, "w") as pipe:
            json.dump(list_files(), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        listed: list[str] = json.load(pipe)
    os.waitpid(pid, 0)
    return listed


def in_child(work: Callable[[], None]) -> bool:
    """Call `work` in a child process. Returns whether the child was killed."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


if __name__ == "__main__":
    if sys.argv[1] == "bucket":
        main(BucketSubject(os.environ["AWS_ENDPOINT_URL"], Path(sys.argv[2]) / "lock"))
    else:
        main(DirectorySubject(Path(sys.argv[2]) / "phfs"))
