"""Copying on a local disk with every processor, once main has ended: the work is shared with forked processes.

Small files cost Python more than the disk, and threads would wait for one another's lock. A child does nothing but
copy: no logging, no imports, no locks that another thread could have held when it was forked.
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
_FILE_COST_BYTES = 64 * 1024  # what a file costs beside its bytes, as bytes that could be copied meanwhile
_BATCH = 64

_prctl = ctypes.CDLL(None).prctl
Result = tuple[Any, ...]


def run_forked(
    work: Callable[[str], Result], sizes: dict[str, int], processes: int, stop: Callable[[], bool]
) -> Iterator[tuple[str, Result]]:
    """Yield (path, result) for the paths of `sizes` (bytes each), worked on by `processes`, this one among them.

    Results are tuples of what marshal can hold. Once `stop()` is true the children are killed: paths that have not
    been yielded may be half done.
    """
    own, *others = share(sizes, processes)
    children = [_Child(work, paths) for paths in others]
    try:
        for number, path in enumerate(own):
            if stop():
                return
            yield path, work(path)
            if number % _BATCH == 0:
                for child in children:
                    yield from child.results(0.0)
        while any(not child.ended for child in children) and not stop():
            for child in children:
                yield from child.results(0.05)
    finally:
        for child in children:
            child.end()


def share(sizes: dict[str, int], parts: int) -> list[list[str]]:
    """The paths, in order, in at most `parts` runs of about the same cost: neighbours stay together."""
    left = sum(sizes.values()) + len(sizes) * _FILE_COST_BYTES
    runs: list[list[str]] = [[]]
    cost = 0
    for path, size in sizes.items():
        if runs[-1] and cost >= left / (parts - len(runs) + 1) and len(runs) < parts:
            left -= cost
            cost = 0
            runs.append([])
        runs[-1].append(path)
        cost += size + _FILE_COST_BYTES
    return runs


class _Child:
    """A forked process that works on `paths`, and the pipe that its results come through."""

    def __init__(self, work: Callable[[str], Result], paths: Sequence[str]) -> None:
        self._pipe, writing = os.pipe()
        self._received = bytearray()
        self.ended = False
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _labour(work, paths, writing, parent)
        os.close(writing)

    def results(self, seconds: float) -> Iterator[tuple[str, Result]]:
        """What has come by now, or comes within `seconds`."""
        while not self.ended and select.select([self._pipe], [], [], seconds)[0]:
            received = os.read(self._pipe, 1 << 20)
            self.ended = not received
            self._received += received
            while len(self._received) >= 4 and len(self._received) >= 4 + _length(self._received):
                end = 4 + _length(self._received)
                yield from marshal.loads(self._received[4:end])
                del self._received[:end]

    def end(self) -> None:
        """Kill it, if it still runs, and let go of everything."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._pipe)


def _labour(work: Callable[[str], Result], paths: Sequence[str], pipe: int, parent: int) -> None:
    """The child's whole life: it ends with its parent, however that ends, and never returns."""
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before it could be told of
            return
        for start in range(0, len(paths), _BATCH):
            batch = [(path, tuple(work(path))) for path in paths[start : start + _BATCH]]
            content = marshal.dumps(batch)
            content = len(content).to_bytes(4, "little") + content
            while content:
                content = content[os.write(pipe, content) :]
    finally:
        os._exit(0)


def _length(received: bytearray) -> int:
    return int.from_bytes(received[:4], "little")
