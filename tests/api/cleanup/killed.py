"""Cleanups that are killed: run as a program with a place, it prints a JSON line for each step.

For n = 1, 2, ...: a process cleans a fresh store, and is killed before its n-th change; another process goes on. Both
leave a list of what is there. A folder as place: changes of the file system, told by Python's own audit events. A
URL: requests that change something; the server there kills the process that it was told of.
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


class Place(Protocol):
    """A store to be filled, cleaned and listed, each in a process of its own."""

    def fill(self) -> None: ...
    def clean(self, number: int) -> None:
        """Clean, and be killed before the change of that number (0: never)."""

    def listing(self) -> list[str]: ...


class Folder:
    """A directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        fill(directory_environment(self.root), "job-3")

    def clean(self, number: int) -> None:
        left = [number]

        def hook(event: str, _: object) -> None:
            if event in CHANGES:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        directory_environment(self.root, SETTINGS).cleaner.clean(None)

    def listing(self) -> list[str]:
        """Files, and folders with a slash at the end."""
        return sorted(f"{path.relative_to(self.root)}{'/' if path.is_dir() else ''}" for path in self.root.rglob("*"))


class BucketPlace:
    """A bucket of the server at `url`, as the environment names it."""

    def __init__(self, url: str, lock: Path) -> None:
        self.url, self.lock = url, lock

    def fill(self) -> None:
        self._ask("POST", "/moto-api/reset")
        self._ask("PUT", "/phfs")
        fill(self._world())

    def clean(self, number: int) -> None:
        self._ask("POST", f"/fuse?pid={os.getpid()}&number={number}")
        self._world().cleaner.clean(None)

    def listing(self) -> list[str]:
        """The keys."""
        env = self._world()
        return [*env.stored(), *env.stored("phjob-artifacts/")]

    def _world(self) -> StoreEnvironment:
        return StoreEnvironment(open_store("s3://phfs"), self.lock, SETTINGS)

    def _ask(self, method: str, path: str) -> None:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method), timeout=20):
            pass


def main(place: Place) -> None:
    """One line for each number of changes, until a run ends by itself."""
    in_child(place.fill)
    print(json.dumps({"before": told_by_child(place.listing)}))
    for number in range(1, 500):
        was_killed = in_child(lambda n=number: place.clean(n))  # type: ignore[misc]
        killed = told_by_child(place.listing)
        in_child(lambda: place.clean(0))
        print(json.dumps({"killed": killed, "after": told_by_child(place.listing)}), flush=True)
        if not was_killed:
            return
        in_child(place.fill)


def fill(env: StoreEnvironment, *more: str) -> None:
    """Jobs that are due, one of them with a record that is over, and neighbours that are not."""
    env.fill("job-1")
    env.fill("job-2", legacy_in=None, files={"model.bin": b"m"})
    for job in more:
        env.fill(job)
    env.fill("job-10", expires_in=DAY, files={"model.bin": b"m"})
    env.fill("job-1", group="b", expires_in=DAY, files={"model.bin": b"m"})
    env.store.write("phjob-artifacts/extensions/a/job-1", b'{"version": 1, "until": 5}')
    env.store.write("phjob-artifacts/first-seen/a/job-2", b"1000000000\n")


def told_by_child(listing: Callable[[], list[str]]) -> list[str]:
    """What `listing` gives, in a child: this process stays without threads, which no fork could copy."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writing, "w") as pipe:
            json.dump(listing(), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        listed: list[str] = json.load(pipe)
    os.waitpid(pid, 0)
    return listed


def in_child(work: Callable[[], None]) -> bool:
    """Do it in a child; whether that was killed."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


if __name__ == "__main__":
    if sys.argv[1] == "bucket":
        main(BucketPlace(os.environ["AWS_ENDPOINT_URL"], Path(sys.argv[2]) / "lock"))
    else:
        main(Folder(Path(sys.argv[2]) / "phfs"))
