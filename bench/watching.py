"""Rows on what a watched job pays: a writer in C, with a sidecar beside it and without, in turn."""

import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.sidecars import running
from bench.stores import Disk, local_store, settle
from bench.table import BenchError, Goal, Row, Unavailable, absent, absolute, duration, ratios

NAMES = (
    "writer slowdown: 100,000 appends to 1 file",
    "writer slowdown: 100,000 appends to 100 files",
    "writer slowdown: 20,000 x 4 kB created",
)
CPU = "the sidecar's CPU meanwhile (baseline: the writer's)"
_GOAL = Goal(1.25, at_least=False)


def rows(disk: Disk, quick: bool, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """All rows of this topic that are wanted. Baseline and ratio here: the writer alone, and watched / alone."""
    if not any(map(wanted, (*NAMES, CPU))):
        return
    try:
        alone, watched, cpu = _measure(disk, _writer(disk), 5 if quick else 15)
    except (BenchError, Unavailable) as error:
        yield from (absent(name, error) for name in (*NAMES, CPU) if wanted(name))
        return
    for number, name in enumerate(NAMES):
        if wanted(name):
            before, after = [row[number] for row in alone], [row[number] for row in watched]
            slower = [new / old for old, new in zip(before, after, strict=True)]
            result = _GOAL.judge(statistics.median(slower))
            yield Row(name, duration(before), duration(after), ratios(slower), "", str(_GOAL), result)
    if wanted(CPU):
        yield absolute(CPU, [1000 * each for each in cpu], " ms", baseline=duration([row[-1] for row in alone]))


def _measure(disk: Disk, writer: Path, rounds: int) -> tuple[list[list[float]], list[list[float]], list[float]]:
    """What `_write` gave without and with a sidecar, and the sidecar's CPU seconds, by round."""
    home = disk.new_folder()
    folder = home / "artifacts" / "w"
    folder.mkdir(parents=True)
    alone, watched, cpu = [], [], []
    with local_store(disk) as store:
        for _ in range(rounds):
            _empty(folder)
            alone.append(_write(writer, folder))
            _empty(folder)
            with running(home, store, {}) as sidecar:
                sidecar.wait_idle()
                before = sidecar.cpu_seconds()
                watched.append(_write(writer, folder))
                cpu.append(sidecar.cpu_seconds() - before)
            store.clear()
    return alone, watched, cpu


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    settle(folder)


def _write(writer: Path, folder: Path) -> list[float]:
    """Run the writer in the folder: the seconds that it printed, and its CPU seconds."""
    before = os.times()
    done = subprocess.run([writer, folder], capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode != 0:
        raise BenchError(done.stderr.strip())
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return [*map(float, done.stdout.split()), cpu]


def _writer(disk: Disk) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("needs cc")
    program = disk.path / "writer"
    source = Path(__file__).with_name("writer.c")
    subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program
