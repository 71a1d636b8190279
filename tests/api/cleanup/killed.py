"""Cleanups that are killed: run as a program with a folder, it prints a JSON line for each step.

For n = 1, 2, ...: a process cleans a fresh store, and kills itself before its n-th change of the file system (told by
Python's own audit events); another process goes on. Both leave a list of the files that are there.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.api.cleanup.worlds import DAY, directory_world

CHANGES = ("os.remove", "os.rmdir", "os.rename", "os.link", "os.mkdir")
SETTINGS = {"PHJOB_CLEANUP_WORKERS": "1"}


def main(place: Path) -> None:
    """One line for each number of changes, until a run ends by itself."""
    template, root = place / "template", place / "phfs"
    fill(template)
    print(json.dumps({"before": listing(template)}))
    for number in range(1, 500):
        shutil.copytree(template, root)
        was_killed = in_child(lambda n=number: clean(root, n))  # type: ignore[misc]
        killed = listing(root)
        in_child(lambda: clean(root, 0))
        print(json.dumps({"killed": killed, "after": listing(root)}), flush=True)
        shutil.rmtree(root)
        if not was_killed:
            return


def fill(root: Path) -> None:
    """Three jobs that are due, one of them with a record that is over, and neighbours that are not."""
    world = directory_world(root)
    world.fill("job-1")
    world.fill("job-2", legacy_in=None)
    world.fill("job-3")
    world.fill("job-10", expires_in=DAY)
    world.fill("job-1", group="b", expires_in=DAY)
    world.store.write("phjob-artifacts/retention/a/job-1", b'{"version": 1, "extension": {"until": 5}}')
    world.store.write("phjob-artifacts/first-seen/a/job-2", b"1000000000\n")


def clean(root: Path, number: int) -> None:
    """Clean, and be killed before the change of that number (0: never)."""
    world = directory_world(root, SETTINGS)
    left = [number]

    def hook(event: str, _: object) -> None:
        if event in CHANGES:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    world.cleaner.clean(None)


def in_child(work: Callable[[], None]) -> bool:
    """Do it in a child; whether that was killed."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), status
    return status != 0


def listing(root: Path) -> list[str]:
    """All files and folders; those with a slash at the end."""
    return sorted(f"{path.relative_to(root)}{'/' if path.is_dir() else ''}" for path in root.rglob("*"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
