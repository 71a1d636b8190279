"""Measures how much a sidecar's file watch slows a job down: a writer in C, with and without a sidecar, in turn."""

import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.sidecar_process import running_sidecar
from bench.stores import Disk, local_store, wait_for_writeback
from bench.table import BenchError, Goal, NotMeasurable, Row, failed_row, format_duration, format_ratios, value_row

NAMES = (
    "writer slowdown: 100,000 appends to 1 file",
    "writer slowdown: 100,000 appends to 100 files",
    "writer slowdown: 20,000 x 4 kB created",
)
CPU = "CPU of the sidecar (baseline: CPU of the writer)"
_GOAL = Goal(1.25, at_least=False)


def rows(disk: Disk, quick: bool, is_selected: Callable[[str], bool]) -> Iterator[Row]:
    """Yield the selected rows of this topic. The baseline is the writer alone; the ratio is watched / alone."""
    if not any(map(is_selected, (*NAMES, CPU))):
        return
    try:
        alone, watched, cpu = _measure(disk, _writer(disk), 5 if quick else 15)
    except (BenchError, NotMeasurable) as error:
        yield from (failed_row(name, error) for name in (*NAMES, CPU) if is_selected(name))
        return
    for number, name in enumerate(NAMES):
        if is_selected(name):
            before, after = [row[number] for row in alone], [row[number] for row in watched]
            slower = [new / old for old, new in zip(before, after, strict=True)]
            result = _GOAL.judge(statistics.median(slower))
            yield Row(
                name, format_duration(before), format_duration(after), format_ratios(slower), "", str(_GOAL), result
            )
    if is_selected(CPU):
        yield value_row(
            CPU, [1000 * seconds for seconds in cpu], " ms", baseline=format_duration([row[-1] for row in alone])
        )


def _measure(disk: Disk, writer: Path, rounds: int) -> tuple[list[list[float]], list[list[float]], list[float]]:
    """Return the results of `_write` without and with a sidecar, and the sidecar's CPU seconds, by round."""
    home = disk.new_folder()
    folder = home / "artifacts" / "w"
    folder.mkdir(parents=True)
    alone, watched, cpu = [], [], []
    with local_store(disk) as store:
        for _ in range(rounds):
            _empty(folder)
            alone.append(_write(writer, folder))
            _empty(folder)
            with running_sidecar(home, store, {}) as sidecar:
                sidecar.wait_idle()
                before = sidecar.cpu_seconds()
                watched.append(_write(writer, folder))
                cpu.append(sidecar.cpu_seconds() - before)
            store.clear()
    return alone, watched, cpu


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    wait_for_writeback(folder)


def _write(writer: Path, folder: Path) -> list[float]:
    """Run the writer in the folder. Returns the seconds that it printed, and its CPU seconds."""
    before = os.times()
    process = subprocess.run([writer, folder], capture_output=True, text=True, check=False)
    after = os.times()
    if process.returncode != 0:
        raise BenchError(process.stderr.strip())
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return [*map(float, process.stdout.split()), cpu]


def _writer(disk: Disk) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotMeasurable("requires cc")
    program = disk.path / "writer"
    source = Path(__file__).with_name("writer.c")
    subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program
