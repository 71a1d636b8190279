"""Maps a function over items in threads, with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_QUEUED_PER_WORKER = 4  # so that one slow item does not leave the other threads idle

T = TypeVar("T")
R = TypeVar("R")


def map_ordered(items: Iterable[T], work: Callable[[T], R], workers: int) -> Generator[R]:
    """Yield `work(item)` for each item, in order. Closing the generator drops queued items and joins the threads."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cleanup")
    queue: deque[Future[R]] = deque()
    try:
        for item in items:
            queue.append(pool.submit(work, item))
            if len(queue) >= workers * _QUEUED_PER_WORKER:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
