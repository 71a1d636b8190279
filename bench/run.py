"""The command line: selects rows, prepares the disk, and prints the table row by row."""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import (
    admission,
    cleanup,
    cluster,
    copying,
    footprint,
    graphql,
    jobs_list,
    listing,
    plan,
    trees,
    watching,
    zips,
)
from bench.copying import benchmarks
from bench.stores import Disk, local_disk
from bench.table import Row, format_heading, format_row


def main() -> int:
    """Measure and print. Returns the exit code: 1 if a measurement failed or a goal was missed."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwind, so that no mount or process remains
    rows = []
    with local_disk(options.dir) as disk:
        print(_preface(disk, options.quick))
        print(format_heading())
        for row in _rows(disk, options.quick, options.only):
            print(format_row(row), flush=True)
            rows.append(row)
    for note in {row.note: None for row in rows if row.note}:
        print(f"\n{', '.join(row.name for row in rows if row.note == note)}: {note}")
    return 1 if any(row.result == "missed" for row in rows) else 0


def _rows(disk: Disk, quick: bool, only: list[str]) -> Iterator[Row]:
    def is_selected(name: str) -> bool:
        return not only or any(text.lower() in name.lower() for text in only)

    for topic in (
        copying,
        watching,
        footprint,
        graphql,
        jobs_list,
        listing,
        trees,
        zips,
        plan,
        cleanup,
        admission,
        cluster,
    ):
        yield from topic.rows(disk, quick, is_selected)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare our parts with what they replace.")
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and a fifth of the data; takes about three minutes"
    )
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only rows with TEXT in their name")
    parser.add_argument("--dir", type=Path, help="measure in this folder instead of on a disk image in memory")
    return parser.parse_args()


def _preface(disk: Disk, quick: bool) -> str:
    sets = {str(benchmark.data): None for benchmark in benchmarks(quick)}
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    return "\n".join(
        [
            "QUICK: fewer rounds and a fifth of the data, so smaller ratios." if quick else "",
            f"Data: {'; '.join(sets)} (slow store only).",
            f"local disk: {disk.kind}. slow store: a FUSE mount with 5 ms more per create, write, flush and mkdir.",
            "baseline: the steps of run-job.sh in a shell that has already started.",
            "ours: from SIGTERM to the sidecar's exit, with PHJOB_ARTIFACT_LINGER_SECONDS=0.",
            "until sealed: the ratio for the time until the sealed report is in the store.",
            "Numbers: medians of alternating rounds, with the range in brackets; ratio: baseline / ours of each pair.",
            f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load}.",
            "",
        ]
    )
