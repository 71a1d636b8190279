"""A mounted stand-in for the shared store: as slow and as faulty as who mounts it wants.

The mount is a process of ours (`storefs.c`). Owned here: that neither it nor the mount outlives the `with`
block, or this process, whatever happens.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack, cast

from tests.storefs import build


class Latencies(TypedDict, total=False):
    """Microseconds that each operation takes longer; what they are, `storefs.c` says."""

    lookup: int
    open: int
    create: int
    read: int
    write: int
    flush: int
    fsync: int
    readdir: int
    mkdir: int
    rmdir: int
    rename: int
    unlink: int
    setattr: int
    symlink: int
    readlink: int
    statfs: int


OPERATIONS = tuple(Latencies.__annotations__)


class Store:
    """The mount, from the side of who decides how it behaves. Its methods work while any operation hangs.

    An operation is named as in `OPERATIONS`; a wrong name is a ValueError. `count` is how many of them are
    hit (None: all until `clear`), and only those whose path, which begins with / at the mount, has `match`
    in it. BrokenPipeError when the process behind the mount is gone.
    """

    def __init__(self, backing: Path, path: Path, cache_seconds: float, latencies: Latencies) -> None:
        self.backing = backing
        self.path = path
        self._cache_seconds = cache_seconds
        self._latencies = latencies
        self._asking = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def fault(self, operation: str, error: int, *, count: int | None = None, match: str = "") -> None:
        """Operations fail with `error`, a number of `errno`, without having done anything.

        The kernel asks once more after ESTALE, so a single one of those goes unseen.
        """
        self._order("fault", operation, error, _number(count), match)

    def hang(self, operation: str, *, count: int | None = None, match: str = "", seconds: int = 30) -> None:
        """Operations wait until `clear`, then are done; after so many seconds they fail with ETIMEDOUT.

        As on a real dead mount, no signal reaches a process that waits so, not even SIGKILL. Without the limit,
        a test that itself used what hangs could never be ended.
        """
        self._order("fault", operation, f"hang={seconds}", _number(count), match)

    def shorten_writes(self, *, count: int | None = None, match: str = "") -> None:
        """Writes take half of what they are given."""
        self._order("fault", "write", "short", _number(count), match)

    def limit_space(self, size_bytes: int) -> None:
        """Writes fail with ENOSPC once this many bytes more were written; removing gives nothing back."""
        self._order("space", size_bytes)

    def clear(self) -> None:
        """Ends all faults and the space limit; what hangs goes on. Latencies stay."""
        self._order("clear")

    def counts(self) -> dict[str, int]:
        """Operations since the mount was made, by name, with `bytes` written and the number `hanging` now."""
        return cast(dict[str, int], json.loads(self._ask("counts")))

    def wait_hanging(self, count: int = 1, seconds: float = 10.0) -> None:
        """Returns when this many operations hang at once. TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.counts()["hanging"] < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {count} operations hang: {self.counts()}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Kills the process behind the mount: whoever uses the mount gets ENOTCONN until `remount`."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # waits for its end, closes the pipes
            self._process = None

    def remount(self) -> None:
        """The same content at the same place, without faults, counted from zero; what was open stays dead."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        """Makes the mount. ValueError for a wrong latency, BrokenPipeError when it cannot be mounted."""
        options = f"entry_timeout={self._cache_seconds},attr_timeout={self._cache_seconds},allow_other"
        if self._cache_seconds:
            options += ",kernel_cache"
        self._process = subprocess.Popen(
            [build.program(), self.backing, self.path, "-o", options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which then unmount
        )
        self.clear()  # answered once the mount is there
        for operation, microseconds in self._latencies.items():
            self._order("latency", operation, microseconds)

    def unmount(self) -> None:
        """Ends the process and the mount, whatever state they are in; what hangs, or is still open, fails."""
        self.kill()
        if _is_mount(self.path):
            subprocess.run(["fusermount3", "-u", "-z", self.path], check=True)

    def _order(self, *words: object) -> None:
        reply = self._ask(" ".join(map(str, words)))
        if reply != "ok":
            raise ValueError(f"{reply.removeprefix('error: ')}: {words}")

    def _ask(self, line: str) -> str:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError(f"{self.path} is not mounted")
        with self._asking:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        if not reply:
            raise BrokenPipeError(f"the process behind {self.path} has ended")
        return reply.rstrip("\n")


@contextmanager
def mounted(
    backing: Path, mountpoint: Path, *, cache_seconds: float = 0, **latencies: Unpack[Latencies]
) -> Iterator[Store]:
    """Shows `backing` at `mountpoint`, both existing folders, until the block ends.

    By default the kernel remembers no names and no attributes: every stat reaches the store, and what is
    changed in `backing` shows at once, which tests need. Benchmarks ask for what such mounts commonly have,
    `cache_seconds=5`, with which the kernel keeps file content too.
    """
    store = Store(backing, mountpoint, cache_seconds, latencies)
    try:
        store.mount()
        yield store
    finally:
        store.unmount()


def _number(count: int | None) -> int:
    return -1 if count is None else count


def _is_mount(path: Path) -> bool:
    try:
        return os.lstat(path).st_dev != os.lstat(path.parent).st_dev
    except FileNotFoundError:
        return False
    except OSError:  # ENOTCONN: a mount without its process
        return True
