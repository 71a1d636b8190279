"""Maps a function over items in threads, with bounded memory, and leaves the processor to requests."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from api.store.store import Store

_QUEUED_PER_WORKER = 4  # so that one slow item does not leave the other threads idle
_DIRECTORY_THREADS = 4  # more gain nothing
_DIRECTORY_PROCESSOR_SHARE = 0.3
_MAX_PAUSE_SECONDS = 0.1  # after one item, which may be a large folder

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Workers:
    """The number of threads, and the share of one processor that all of them together may use (0: no limit).

    Python runs one thread at a time. A thread that often calls the operating system loses its turn to the others each
    time, so threads that never wait slow down every request many times.
    """

    threads: int
    max_processor_share: float = 0.0

    def run(self, work: Callable[[T], R], item: T) -> R:
        """Call `work` in a thread of the pool, then pause in proportion to the processor time that it took."""
        if not self.max_processor_share:
            return work(item)
        started = time.thread_time()
        result = work(item)
        used = time.thread_time() - started
        time.sleep(min(used * (self.threads / self.max_processor_share - 1), _MAX_PAUSE_SECONDS))
        return result


def workers_for(store: Store, max_threads: int) -> Workers:
    """Return the workers that suit the store: many threads if operations wait, else few that leave turns to requests.

    Raises StoreError.
    """
    if store.has_latency():
        return Workers(max_threads)
    return Workers(min(max_threads, _DIRECTORY_THREADS), _DIRECTORY_PROCESSOR_SHARE)


def map_ordered(items: Iterable[T], work: Callable[[T], R], workers: Workers) -> Generator[R]:
    """Yield `work(item)` for each item, in order. Closing the generator drops queued items and joins the threads."""
    pool = ThreadPoolExecutor(workers.threads, thread_name_prefix="cleanup")
    queue: deque[Future[R]] = deque()
    try:
        for item in items:
            queue.append(pool.submit(workers.run, work, item))
            if len(queue) >= workers.threads * _QUEUED_PER_WORKER:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
