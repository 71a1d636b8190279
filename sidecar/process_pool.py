"""Uses all processors, after main has ended, by sharing the work with forked processes.

For small files on a local disk, Python costs more than the disk, and threads would wait for the GIL. A child only
copies or verifies: it does not log or import, and it takes no lock that another thread may have held at the fork.
"""

import ctypes
import marshal
import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_FILE_COST_BYTES = 64 * 1024  # the fixed cost of a file, as bytes that could be copied in the same time
_BATCH_FILES = 64

_prctl = ctypes.CDLL(None).prctl
WorkResult = tuple[Any, ...]


def map_forked(
    work: Callable[[str], WorkResult], sizes: dict[str, int], process_count: int, should_stop: Callable[[], bool]
) -> Iterator[tuple[str, WorkResult]]:
    """Call `work` for each path of `sizes` (path -> bytes); yield (path, result).

    `process_count` includes this process. Results are tuples of values that marshal supports. Once `should_stop()` is
    true, the children are killed; files that have not been yielded may be half-written.
    """
    own_paths, *child_paths = partition(sizes, process_count)
    children = [_Child(work, paths) for paths in child_paths]
    try:
        for number, path in enumerate(own_paths):
            if should_stop():
                return
            yield path, work(path)
            if number % _BATCH_FILES == 0:
                for child in children:
                    yield from child.results(0.0)
        while any(not child.has_ended for child in children) and not should_stop():
            for child in children:
                yield from child.results(0.05)
    finally:
        for child in children:
            child.close()


class ForkedCall:
    """Calls `function` in a forked process, while this process does other work. The caller must call `close`."""

    def __init__(self, function: Callable[[], WorkResult]) -> None:
        self._child = _Child(lambda _: function(), [""])

    def wait(self, should_stop: Callable[[], bool]) -> WorkResult | None:
        """Return the result, or None if the function has failed or `should_stop()` becomes true."""
        results: list[tuple[str, WorkResult]] = []
        while not self._child.has_ended and not should_stop():
            results += self._child.results(0.05)
        return results[0][1] if results else None

    def close(self) -> None:
        """End the process if it is still running."""
        self._child.close()


def partition(sizes: dict[str, int], max_parts: int) -> list[list[str]]:
    """Split the paths, in order, into at most `max_parts` runs of about the same cost."""
    remaining = sum(sizes.values()) + len(sizes) * _FILE_COST_BYTES
    runs: list[list[str]] = [[]]
    cost = 0
    for path, size in sizes.items():
        if runs[-1] and cost >= remaining / (max_parts - len(runs) + 1) and len(runs) < max_parts:
            remaining -= cost
            cost = 0
            runs.append([])
        runs[-1].append(path)
        cost += size + _FILE_COST_BYTES
    return runs


class _Child:
    """A forked process that works on `paths`, and the pipe from which this process reads its results."""

    def __init__(self, work: Callable[[str], WorkResult], paths: Sequence[str]) -> None:
        self._pipe, write_end = os.pipe()
        self._received = bytearray()
        self.has_ended = False
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _run_child(work, paths, write_end, parent)
        os.close(write_end)

    def results(self, timeout_seconds: float) -> Iterator[tuple[str, WorkResult]]:
        """Yield the results that have arrived; wait at most `timeout_seconds` for each read."""
        while not self.has_ended and select.select([self._pipe], [], [], timeout_seconds)[0]:
            received = os.read(self._pipe, 1 << 20)
            self.has_ended = not received
            self._received += received
            while len(self._received) >= 4 and len(self._received) >= 4 + _batch_length(self._received):
                end = 4 + _batch_length(self._received)
                yield from marshal.loads(self._received[4:end])
                del self._received[:end]

    def close(self) -> None:
        """Kill the process if it is still running, reap it, and close the pipe."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._pipe)


def _run_child(work: Callable[[str], WorkResult], paths: Sequence[str], pipe: int, parent: int) -> None:
    """Run the child: work on the paths, send the results, and exit. The child is killed if its parent ends."""
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent ended before prctl
            return
        for start in range(0, len(paths), _BATCH_FILES):
            batch = [(path, tuple(work(path))) for path in paths[start : start + _BATCH_FILES]]
            content = marshal.dumps(batch)
            content = len(content).to_bytes(4, "little") + content
            while content:
                content = content[os.write(pipe, content) :]
    finally:
        os._exit(0)


def _batch_length(received: bytearray) -> int:
    return int.from_bytes(received[:4], "little")
