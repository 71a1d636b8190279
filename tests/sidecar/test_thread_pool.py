"""Concurrent calls: all paths are processed, a stop takes effect, and a hanging call does not block the caller."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.thread_pool import interleave_folders, map_unordered

PATHS = [f"f{number}" for number in range(20)]
THREADS = pytest.mark.parametrize("threads", [1, 4])


def never() -> bool:
    return False


@contextmanager
def gate() -> Iterator[threading.Event]:
    """Yield an event for hanging calls to wait for. It is set at the end, so that no thread outlives its test."""
    opened = threading.Event()
    try:
        yield opened
    finally:
        opened.set()


@THREADS
def test_every_path_is_processed_once(threads: int) -> None:
    results = [item for item in map_unordered(str.upper, PATHS, threads, never) if item]
    assert sorted(results) == sorted((path, path.upper()) for path in PATHS)


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_an_empty_list_returns_at_once(threads: int) -> None:
    assert list(map_unordered(str.upper, [], threads, never)) == []


def test_all_threads_run_concurrently() -> None:
    together = threading.Barrier(4, timeout=10)
    assert len(list(filter(None, map_unordered(lambda path: together.wait(), PATHS[:8], 4, never)))) == 8


@THREADS
def test_no_call_starts_after_a_stop(threads: int) -> None:
    started_paths: list[str] = []
    stopped = threading.Event()

    def work(path: str) -> None:
        started_paths.append(path)
        if len(started_paths) >= 5:
            stopped.set()

    done = [item[0] for item in map_unordered(work, PATHS, threads, stopped.is_set) if item]
    assert sorted(done) == sorted(started_paths)
    assert 5 <= len(started_paths) < 5 + threads


def test_none_is_yielded_while_a_call_hangs() -> None:
    with gate() as opened:
        results = map_unordered(lambda path: opened.wait() if path == "f0" else None, PATHS, 4, never)
        started, nones, done = time.monotonic(), 0, 0
        for item in results:
            done += item is not None
            nones += item is None
            if nones == 2:
                break
        assert done == len(PATHS) - 1
        assert time.monotonic() - started < 5
        results.close()  # type: ignore[attr-defined]


def test_results_are_yielded_although_another_call_hangs() -> None:
    """A caller that abandons the hanging call loses no other result."""
    with gate() as opened:
        stopped, done = threading.Event(), []
        for item in map_unordered(lambda path: opened.wait() if path == "f0" else None, PATHS, 2, stopped.is_set):
            if item:
                done.append(item[0])
            elif stopped.is_set():
                break
            else:
                stopped.set()
        assert sorted(done) == sorted(PATHS[1:])


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), unique=True))
def test_paths_are_interleaved_by_folder(paths: list[str]) -> None:
    queue = interleave_folders(paths)
    assert sorted(queue) == sorted(paths)
    turns: dict[str, int] = {}
    last = 0
    for path in queue:  # the n-th file of every folder comes before the next one of any
        folder = path.rpartition("/")[0]
        turn = turns[folder] = turns.get(folder, 0) + 1
        assert turn >= last
        last = turn
