"""Doing many small things on a slow store at once: a few threads that live for one sync.

Threads pay off where an operation waits for a network; on a local disk they lose to Python's own lock for small
files. One directory takes one create at a time, so neighbours in the queue come from different directories.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
_POLL_SECONDS = 0.2


def run_all(
    work: Callable[[str], Result], paths: list[str], threads: int, stop: Callable[[], bool]
) -> Iterator[tuple[str, Result] | None]:
    """Yield (path, result) as they come, and None at least every 0.2 s; begin nothing new once `stop()` is true.

    Work that hangs is left behind: the caller ends by itself (its `stop` says so) and the thread with the process.
    """
    if threads <= 1 or len(paths) <= 1:
        for path in paths:
            if stop():
                return
            yield path, work(path)
        return
    done: queue.SimpleQueue[tuple[str, Result] | None] = queue.SimpleQueue()
    workers = _start(work, iter(paths), min(threads, len(paths)), stop, done)
    while workers:
        try:
            result = done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            yield None
            continue
        if result is None:
            workers -= 1
        else:
            yield result


def _start(
    work: Callable[[str], Result],
    todo: Iterator[str],
    workers: int,
    stop: Callable[[], bool],
    done: "queue.SimpleQueue[tuple[str, Result] | None]",
) -> int:
    """Start the threads, each of which puts its results and, when it ends, None into `done`."""
    lock = threading.Lock()

    def labour() -> None:
        try:
            while not stop():
                with lock:
                    path = next(todo, None)
                if path is None:
                    return
                done.put((path, work(path)))
        finally:
            done.put(None)

    for _ in range(workers):
        threading.Thread(target=labour, name="copy", daemon=True).start()
    return workers


def interleave(paths: list[str]) -> list[str]:
    """The paths in an order that goes round the directories."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    rows = [(place, number, path) for number, row in enumerate(folders.values()) for place, path in enumerate(row)]
    return [path for _, _, path in sorted(rows)]
