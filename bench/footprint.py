"""Measures what a sidecar costs while it has little to do: memory, CPU, start, exit, and a requested sync."""

import os
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from artifacts.layout import JOB_ARTIFACTS
from bench.data import DataSet
from bench.sidecar_process import OWN_PYTHON, SidecarProcess, running_sidecar, system_python
from bench.stores import BenchmarkStore, Disk, local_store
from bench.table import BenchError, NotMeasurable, Row, failed_row, format_duration, ratio_row, value_row

_SMALL = DataSet("small", 100, 1024, 5)
_EMPTY = DataSet("empty", 0, 1, 0)
_EAGER = {"QUIET_SECONDS": "0"}

Rows = Iterator[Row]


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic."""
    topics: list[tuple[str, Callable[[Disk, BenchmarkStore, bool], Rows]]] = [
        ("idle", _idle),
        ("peak memory", _peak),
        ("start to", _starts),
        ("request", _requests),
        ("SIGTERM to exit", _empty_end),
        ("CPU per file", _file_cpu),
    ]
    for topic, measure in topics:
        if not any(map(is_selected, _NAMES[topic])):
            continue
        with local_store(disk) as store:
            try:
                yield from (row for row in measure(disk, store, quick) if is_selected(row.name))
            except (BenchError, NotMeasurable) as error:
                yield from (failed_row(name, error) for name in _NAMES[topic] if is_selected(name))


_RSS, _PSS, _DIRTY = "idle memory: VmRSS", "idle memory: PSS", "idle memory: private dirty"
_CPU, _CPU_MANY = "idle CPU, 100 files, 20 s", "idle CPU, 1000 files, 20 s"
_PEAK = "peak memory (VmHWM): 100,000 files of 100 bytes"
_FIRST, _HEALTH = "start to end of first sync", "start to /healthz"
_COMMAND, _KILL = "request a sync: python -m sidecar sync-now", "request a sync: kill -USR1"
_END = "SIGTERM to exit, empty folder"
_FILE_CPU = "CPU per file, everything to copy, sha256: 20,000 of 4 kB"
_NAMES = {
    "idle": (_RSS, _PSS, _DIRTY, _CPU, _CPU_MANY),
    "peak memory": (_PEAK,),
    "start to": (_FIRST, _HEALTH),
    "request": (_COMMAND, _KILL),
    "SIGTERM to exit": (_END,),
    "CPU per file": (_FILE_CPU,),
}


def _idle(disk: Disk, store: BenchmarkStore, quick: bool) -> Rows:
    seconds = 5.0 if quick else 20.0
    many = DataSet("idle", 1000, 1024, 10)
    with (
        running_sidecar(disk.home(_SMALL), store, _EAGER) as small,
        running_sidecar(disk.home(many), store, _EAGER) as large,
    ):
        small.wait_idle(_SMALL.files)
        large.wait_idle(many.files)
        time.sleep(1.0)
        before, started = [small.cpu_seconds(), large.cpu_seconds()], time.perf_counter()
        time.sleep(seconds)
        passed = time.perf_counter() - started
        used = [small.cpu_seconds() - before[0], large.cpu_seconds() - before[1]]
        sizes = _memory(small)
    yield value_row(_RSS, [sizes["Rss"]], " MB", 28)
    yield value_row(_PSS, [sizes["Pss"]], " MB")
    yield value_row(_DIRTY, [sizes["Private_Dirty"]], " MB")
    for name, cpu in zip((_CPU, _CPU_MANY), used, strict=True):
        yield value_row(name, [100 * cpu / passed], " %", 0.1)


def _memory(sidecar: SidecarProcess) -> dict[str, float]:
    """Return MB by kind. First requests /metrics, so that all libraries of the sidecar are in use."""
    if sidecar.http_get("/metrics") is None:
        raise BenchError("no /metrics")
    lines = Path(f"/proc/{sidecar.pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}


def _peak(disk: Disk, store: BenchmarkStore, quick: bool) -> Rows:
    data = DataSet("D", 20_000 if quick else 100_000, 100, 100)
    try:
        with running_sidecar(disk.home(data), store, _EAGER | {"SYNC_SECONDS": "3600"}) as sidecar:
            sidecar.wait_idle(data.files)
            end = sidecar.end(sample_peak=True)
    finally:
        disk.drop(data)
        store.clear()
    if end.report is None or end.report.state != "sealed" or end.report.collected.files != data.files:
        raise BenchError("not all files were collected")
    yield value_row(_PEAK if not quick else _PEAK.replace("100,000", "20,000"), [end.peak_kb / 1024], " MB", 100)


def _starts(disk: Disk, store: BenchmarkStore, quick: bool) -> Rows:
    for python in (OWN_PYTHON, system_python()):
        if python is None:
            continue
        bare: list[float] = []
        synced: list[float] = []
        healthy: list[float] = []
        for _ in range(3 if quick else 9):
            bare.append(_run([python.command, "-P", "-c", "pass"]))
            with running_sidecar(disk.home(_SMALL), store, _EAGER, python) as sidecar:
                _wait_ready(sidecar, synced, healthy)
            store.clear()
        suffix = f" ({python.name})" if python.name else ""
        for name, seconds in ((_FIRST, synced), (_HEALTH, healthy)):
            yield value_row(name + suffix, [1000 * value for value in seconds], " ms", 150, format_duration(bare))


def _wait_ready(sidecar: SidecarProcess, synced: list[float], healthy: list[float]) -> None:
    def first_sync() -> bool:
        if len(healthy) <= len(synced) and sidecar.is_healthy():
            healthy.append(time.perf_counter() - sidecar.started)
        return sidecar.is_reported()

    before = len(healthy)
    synced.append(sidecar.wait_for(first_sync, "first sync"))
    if len(healthy) == before:
        healthy.append(sidecar.wait_for(sidecar.is_healthy, "/healthz"))


def _requests(disk: Disk, store: BenchmarkStore, quick: bool) -> Rows:
    kill = shutil.which("kill")
    if kill is None:
        raise NotMeasurable("requires the program kill")
    by_kill, by_command = [], []
    environ = {"PYTHONPATH": OWN_PYTHON.path, "PATH": os.environ["PATH"]}
    with running_sidecar(disk.home(_SMALL), store, _EAGER) as sidecar:
        sidecar.wait_idle(_SMALL.files)
        for _ in range(3 if quick else 15):
            by_kill.append(_run([kill, "-USR1", str(sidecar.pid)]))
            time.sleep(0.1)
            by_command.append(_run([OWN_PYTHON.command, "-P", "-m", "sidecar", "sync-now", str(sidecar.pid)], environ))
            time.sleep(0.1)
    yield ratio_row(_COMMAND, by_kill, by_command)
    yield value_row(_KILL, [1000 * value for value in by_kill], " ms")


def _empty_end(disk: Disk, store: BenchmarkStore, quick: bool) -> Rows:
    seconds = []
    for _ in range(3 if quick else 9):
        with running_sidecar(disk.home(_EMPTY), store, {}) as sidecar:
            sidecar.wait_idle()
            seconds.append(sidecar.end().exit_seconds)
        store.clear()
    yield value_row(_END, [1000 * value for value in seconds], " ms")


def _file_cpu(disk: Disk, store: BenchmarkStore, quick: bool) -> Rows:
    """Measure user and system time from SIGTERM to the exit, with child processes; the baseline is that of `cp -R`."""
    data = DataSet("C", 4000 if quick else 20_000, 4096, 20)
    shell_cpu, ours = [], []
    for _ in range(3 if quick else 5):
        before = _children_cpu()
        _run(["cp", "-R", str(disk.home(data) / "artifacts"), str(store.path / JOB_ARTIFACTS / "cp")])
        shell_cpu.append(1e6 * (_children_cpu() - before) / data.files)
        store.clear()
        before = _children_cpu()
        with running_sidecar(disk.home(data), store, {"QUIET_SECONDS": "3600", "SYNC_SECONDS": "3600"}) as sidecar:
            sidecar.wait_idle()
            before += sidecar.cpu_seconds()
            report = sidecar.end().report
        if report is None or report.collected.files != data.files:
            raise BenchError("not all files were collected")
        ours.append(1e6 * (_children_cpu() - before) / data.files)
        store.clear()
    yield value_row(_FILE_CPU, ours, " us", 45, f"{statistics.median(shell_cpu):.1f} us")


def _children_cpu() -> float:
    """Return the CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(command: list[str], environ: dict[str, str] | None = None) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environ, check=True)
    return time.perf_counter() - started
