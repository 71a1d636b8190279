"""A FUSE mount that simulates the shared store, with configurable latencies and faults.

The program `storefs.c` serves the mount. Neither its process nor the mount outlives the `with` block or this process.
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
    """Additional latency of each operation in microseconds. `storefs.c` defines the operations."""

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


class FaultyMount:
    """Controls a mount. The methods work even while an operation hangs.

    An operation is a name in `OPERATIONS`; other names raise ValueError. A fault applies to the next `count` operations
    (None: to all until `clear`) whose path contains `match`; paths start with / at the mount. If the process behind
    the mount has ended, methods raise BrokenPipeError.
    """

    def __init__(self, backing: Path, path: Path, cache_seconds: float, latencies: Latencies) -> None:
        self.backing = backing
        self.path = path
        self._cache_seconds = cache_seconds
        self._latencies = latencies
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def fault(self, operation: str, error: int, *, count: int | None = None, match: str = "") -> None:
        """Make operations fail with `error`, a number of `errno`, without any effect.

        The kernel retries once after ESTALE, so a single ESTALE has no visible effect.
        """
        self._command("fault", operation, error, _number(count), match)

    def hang(self, operation: str, *, count: int | None = None, match: str = "", seconds: int = 30) -> None:
        """Make operations wait until `clear`, and then complete. After `seconds` they fail with ETIMEDOUT.

        As on a real dead mount, a waiting process cannot be killed, even with SIGKILL. Without the timeout, a test
        that uses the mount itself could hang forever.
        """
        self._command("fault", operation, f"hang={seconds}", _number(count), match)

    def shorten_writes(self, *, count: int | None = None, match: str = "") -> None:
        """Make writes accept only half of their bytes."""
        self._command("fault", "write", "short", _number(count), match)

    def limit_space(self, size_bytes: int) -> None:
        """Make writes fail with ENOSPC after this many more bytes. Removing files frees no space."""
        self._command("space", size_bytes)

    def clear(self) -> None:
        """End all faults and the space limit; hanging operations continue. Latencies stay."""
        self._command("clear")

    def counts(self) -> dict[str, int]:
        """Return the operations since the mount, by name, with the `bytes` written and the number `hanging` now."""
        return cast(dict[str, int], json.loads(self._request("counts")))

    def wait_for_hanging(self, count: int = 1, seconds: float = 10.0) -> None:
        """Wait until at least `count` operations hang at the same time. Raises TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.counts()["hanging"] < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {count} operations hang: {self.counts()}")
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill the process behind the mount. Every use of the mount fails with ENOTCONN until `remount`."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()  # waits for its end, closes the pipes
            self._process = None

    def remount(self) -> None:
        """Mount again with the same content, without faults, and with counts reset. Open files stay unusable."""
        self.unmount()
        self.mount()

    def mount(self) -> None:
        """Mount. Raises ValueError for an invalid latency, and BrokenPipeError if the mount fails."""
        options = f"entry_timeout={self._cache_seconds},attr_timeout={self._cache_seconds},allow_other"
        if self._cache_seconds:
            options += ",kernel_cache"
        self._process = subprocess.Popen(
            [build.program(), self.backing, self.path, "-o", options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must reach only the tests, which then unmount
        )
        self.clear()  # returns once the mount is ready
        for operation, microseconds in self._latencies.items():
            self._command("latency", operation, microseconds)

    def unmount(self) -> None:
        """End the process and the mount in any state. Hanging operations and open files fail."""
        self.kill()
        if _is_mount(self.path):
            subprocess.run(["fusermount3", "-u", "-z", self.path], check=True)

    def _command(self, *words: object) -> None:
        reply = self._request(" ".join(map(str, words)))
        if reply != "ok":
            raise ValueError(f"{reply.removeprefix('error: ')}: {words}")

    def _request(self, line: str) -> str:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokenPipeError(f"{self.path} is not mounted")
        with self._lock:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            reply = process.stdout.readline()
        if not reply:
            raise BrokenPipeError(f"the process behind {self.path} has ended")
        return reply.rstrip("\n")


@contextmanager
def mounted(
    backing: Path, mountpoint: Path, *, cache_seconds: float = 0, **latencies: Unpack[Latencies]
) -> Iterator[FaultyMount]:
    """Mount `backing` at `mountpoint`, both existing folders, until the block ends.

    By default the kernel caches neither names nor attributes: every stat reaches the mount, and a change in `backing`
    is visible at once, which tests need. Benchmarks pass `cache_seconds=5`, which is common for such mounts; the kernel
    then also caches content.
    """
    store = FaultyMount(backing, mountpoint, cache_seconds, latencies)
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
