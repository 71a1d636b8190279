"""Pauses Python's cyclic garbage collector while very many objects are created that stay."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses: list[bool] = []  # one entry for each pause that runs: whether the collector was enabled at its start


@contextmanager
def paused_collection() -> Iterator[None]:
    """Pause the collector of this process while the block runs. If it succeeds, exempt all objects from then on.

    The collector would visit all objects again and again while their number grows, and stop all threads for 0.1 s
    whenever it does so later. Exempt objects are still freed when nothing refers to them; only cycles of them are not,
    so those that exist are collected first.
    """
    with _lock:
        _pauses.append(gc.isenabled())
        gc.disable()
    try:
        yield
    except BaseException:
        _resume(exempt=False)
        raise
    _resume(exempt=True)


def _resume(*, exempt: bool) -> None:
    with _lock:
        was_enabled = _pauses.pop()  # of the last pause to end: the state at the start of the first
        if not _pauses and was_enabled:
            if exempt:
                gc.collect()
                gc.freeze()
            gc.enable()
