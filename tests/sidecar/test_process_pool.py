"""Work shared with forked processes: all results arrive, and no child outlives the call."""

import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.copy_strategy import choose_strategy
from sidecar.process import create_syncer
from sidecar.process_pool import map_forked, partition
from tests.sidecar.sidecars import Job


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 10**9), min_size=1, max_size=60), st.integers(2, 6)
)
def test_a_partition_contains_every_path_once_in_order(sizes: dict[str, int], parts: int) -> None:
    runs = partition(sizes, parts)
    assert [path for run in runs for path in run] == list(sizes)
    assert 1 <= len(runs) <= parts
    assert all(runs)


def test_equal_files_are_partitioned_equally() -> None:
    assert [len(run) for run in partition({str(n): 4096 for n in range(100)}, 4)] == [25, 25, 25, 25]


def test_results_of_all_processes_are_received() -> None:
    sizes = {f"{n}": n for n in range(1000)}
    results = dict(map_forked(lambda path: (path * 2, os.getpid()), sizes, 3, lambda: False))
    assert {path: value[0] for path, value in results.items()} == {path: path * 2 for path in sizes}
    assert len({value[1] for value in results.values()}) == 3


def test_results_that_exceed_the_pipes_capacity_do_not_block() -> None:
    sizes = {f"{n:05}": 1 for n in range(3000)}
    results = list(map_forked(lambda path: ("x" * 500,), sizes, 2, lambda: False))
    assert len(results) == 3000


def test_children_are_killed_on_stop() -> None:
    started, others = time.monotonic(), _children()
    pids: list[object] = []

    def work(path: str) -> tuple[int]:
        if path != "0":
            time.sleep(60)
        return (os.getpid(),)

    for item in map_forked(work, {"0": 1, "1": 1}, 2, lambda: bool(pids)):
        pids.append(item)
    assert time.monotonic() - started < 10
    assert _children() <= others


def test_a_killed_child_does_not_cause_a_hang() -> None:
    def work(path: str) -> tuple[int]:
        if path == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return (1,)

    assert list(map_forked(work, {"0": 1, "1": 1}, 2, lambda: False)) == [("0", (1,))]


@pytest.mark.parametrize(
    ("files", "size", "processes"),
    [
        (1, 10**9, 1),
        (2, 10**9, 3),
        (199, 10**6, 1),
        (200, 10**6, 3),
        (30_000, 10**6, 3),
        (30_001, 10**6, 1),
    ],
)
def test_processes_are_forked_if_they_pay_off_and_memory_allows(
    monkeypatch: pytest.MonkeyPatch, files: int, size: int, processes: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    assert choose_strategy("ext4", digest=True).process_count(files, size) == processes
    assert choose_strategy("fuse.rclone", digest=True).process_count(files, size) == 1


def test_a_last_sync_with_several_processes_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    job = Job(tmp_path)
    for number in range(700):
        job.write(f"d{number % 7}/f{number}", f"content {number}")
    job.write("d0/executable", "x").chmod(0o700)
    syncer = create_syncer(job.settings())
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 30)
    syncer.close()
    assert job.report().state == "sealed"
    job.assert_complete()
    assert (job.folder / "d0/executable").stat().st_mode & 0o111


def _children() -> set[str]:
    """Return the pids of this process's children, including ended ones that were not reaped."""
    threads = Path("/proc/self/task").iterdir()
    return {pid for thread in threads for pid in (thread / "children").read_text().split()}
