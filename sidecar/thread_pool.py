"""Runs many small operations on a slow store in a few threads, which live for one sync.

Threads pay off if an operation waits for the network. On a local disk and with small files, they lose more to the GIL
than they gain.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Result = TypeVar("Result")
_POLL_SECONDS = 0.2


def map_unordered(
    work: Callable[[str], Result], paths: list[str], thread_count: int, should_stop: Callable[[], bool]
) -> Iterator[tuple[str, Result] | None]:
    """Call `work` for each path; yield (path, result) in order of completion, and None if 0.2 s pass without a result.

    Once `should_stop()` is true, no new call starts. A call that hangs is abandoned: the caller stops iterating (hence
    the None), and the thread ends with the process.
    """
    if thread_count <= 1 or len(paths) <= 1:
        for path in paths:
            if should_stop():
                return
            yield path, work(path)
        return
    results: queue.SimpleQueue[tuple[str, Result] | None] = queue.SimpleQueue()
    running = _start_threads(work, iter(paths), min(thread_count, len(paths)), should_stop, results)
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
    work: Callable[[str], Result],
    remaining: Iterator[str],
    count: int,
    should_stop: Callable[[], bool],
    results: "queue.SimpleQueue[tuple[str, Result] | None]",
) -> int:
    """Start the threads and return their number. Each puts its results and, when it ends, None into `results`."""
    lock = threading.Lock()

    def run() -> None:
        try:
            while not should_stop():
                with lock:
                    path = next(remaining, None)
                if path is None:
                    return
                results.put((path, work(path)))
        finally:
            results.put(None)

    for _ in range(count):
        threading.Thread(target=run, name="copy", daemon=True).start()
    return count
