"""Work on many things at once: bounded in threads and in what waits, in the order in which things came."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 4  # things begun or waiting for each thread, so that a slow one does not hold up all others

T = TypeVar("T")
R = TypeVar("R")


def map_ordered(things: Iterable[T], work: Callable[[T], R], workers: int) -> Iterator[R]:
    """The results of `work` on each thing, in order. What waits is dropped when nobody asks for more."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cleanup")
    waiting: deque[Future[R]] = deque()
    try:
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) >= workers * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
