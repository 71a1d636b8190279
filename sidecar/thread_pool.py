"""Runs many small operations on a slow store in a few threads, which live for one sync.

Threads pay off if an operation waits for the network. On a local disk and with small files, they lose more to the GIL
than they gain.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_POLL_SECONDS = 0.2


def map_unordered(
    work: Callable[[Item], Result], items: list[Item], thread_count: int, should_stop: Callable[[], bool]
) -> Iterator[tuple[Item, Result] | None]:
    """Call `work` for each item; yield (item, result) in order of completion, and None if 0.2 s pass without a result.

    Once `should_stop()` is true, no new call starts. A call that hangs is abandoned: the caller stops iterating (hence
    the None), and the thread ends with the process.
    """
    if thread_count <= 1 or len(items) <= 1:
        for item in items:
            if should_stop():
                return
            yield item, work(item)
        return
    results: queue.SimpleQueue[tuple[Item, Result] | None] = queue.SimpleQueue()
    running = _start_threads(work, iter(items), min(thread_count, len(items)), should_stop, results)
    while running:
        try:
            result = results.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            yield None
            continue
        if result is None:
            running -= 1
        else:
            yield result


def interleave_folders(paths: list[str]) -> list[str]:
    """Return the paths in round-robin order of their folders: a remote folder takes only one create at a time."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    rows = [
        (position, folder_number, path)
        for folder_number, folder in enumerate(folders.values())
        for position, path in enumerate(folder)
    ]
    return [path for _, _, path in sorted(rows)]


def _start_threads(
    work: Callable[[Item], Result],
    remaining: Iterator[Item],
    count: int,
    should_stop: Callable[[], bool],
    results: "queue.SimpleQueue[tuple[Item, Result] | None]",
) -> int:
    """Start the threads and return their number. Each puts its results and, when it ends, None into `results`."""
    lock = threading.Lock()

    def run() -> None:
        try:
            while not should_stop():
                with lock:
                    item = next(remaining, None)
                if item is None:
                    return
                results.put((item, work(item)))
        finally:
            results.put(None)

    for _ in range(count):
        threading.Thread(target=run, name="copy", daemon=True).start()
    return count
