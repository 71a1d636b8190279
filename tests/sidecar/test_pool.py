"""Doing many things at once: all are done, a stop is heard, and a hanging one holds nobody."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.pool import interleave, run_all

PATHS = [f"f{number}" for number in range(20)]
EITHER = pytest.mark.parametrize("threads", [1, 4])


def never() -> bool:
    return False


@contextmanager
def gate() -> Iterator[threading.Event]:
    """An event that hanging work waits for; set at the end, so that no thread outlives its test."""
    opened = threading.Event()
    try:
        yield opened
    finally:
        opened.set()


@EITHER
def test_everything_is_done_once_and_told_with_its_path(threads: int) -> None:
    results = [item for item in run_all(str.upper, PATHS, threads, never) if item]
    assert sorted(results) == sorted((path, path.upper()) for path in PATHS)


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_nothing_to_do_is_done_at_once(threads: int) -> None:
    assert list(run_all(str.upper, [], threads, never)) == []


def test_as_many_things_are_done_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(4, timeout=10)
    assert len(list(filter(None, run_all(lambda path: together.wait(), PATHS[:8], 4, never)))) == 8


@EITHER
def test_after_a_stop_nothing_new_is_begun(threads: int) -> None:
    begun: list[str] = []
    stopped = threading.Event()

    def work(path: str) -> None:
        begun.append(path)
        if len(begun) >= 5:
            stopped.set()

    done = [item[0] for item in run_all(work, PATHS, threads, stopped.is_set) if item]
    assert sorted(done) == sorted(begun)
    assert 5 <= len(begun) < 5 + threads


def test_while_something_hangs_the_caller_hears_at_least_every_so_often() -> None:
    with gate() as opened:
        results = run_all(lambda path: opened.wait() if path == "f0" else None, PATHS, 4, never)
        started, heard, done = time.monotonic(), 0, 0
        for item in results:
            done += item is not None
            heard += item is None
            if heard == 2:
                break
        assert done == len(PATHS) - 1
        assert time.monotonic() - started < 5
        results.close()  # type: ignore[attr-defined]


def test_what_was_done_before_a_stop_is_told_though_something_hangs() -> None:
    """The caller gives up on what hangs, and has lost nothing of the rest."""
    with gate() as opened:
        stopped, told = threading.Event(), []
        for item in run_all(lambda path: opened.wait() if path == "f0" else None, PATHS, 2, stopped.is_set):
            if item:
                told.append(item[0])
            elif stopped.is_set():
                break
            else:
                stopped.set()
        assert sorted(told) == sorted(PATHS[1:])


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), unique=True))
def test_the_queue_has_the_same_paths_and_goes_round_the_folders(paths: list[str]) -> None:
    queue = interleave(paths)
    assert sorted(queue) == sorted(paths)
    turns: dict[str, int] = {}
    last = 0
    for path in queue:  # each folder's n-th file comes before any folder's next one
        folder = path.rpartition("/")[0]
        turn = turns[folder] = turns.get(folder, 0) + 1
        assert turn >= last
        last = turn
