"""The command: which rows, on which disk, and the table as they come."""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import admission, cleaning, copying, footprint, graphql, listing, watching
from bench.copying import groups
from bench.stores import Disk, local_disk
from bench.table import Row, heading, line


def main() -> int:
    """Measure and print. Exit code 1: a row failed, by itself or by its goal being missed."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that neither mount nor process is left
    shown = []
    with local_disk(options.dir) as disk:
        print(_preface(disk, options.quick))
        print(heading())
        for row in _rows(disk, options.quick, options.only):
            print(line(row), flush=True)
            shown.append(row)
    for note in {row.note: None for row in shown if row.note}:
        print(f"\n{', '.join(row.what for row in shown if row.note == note)}: {note}")
    return 1 if any(row.result == "missed" for row in shown) else 0


def _rows(disk: Disk, quick: bool, only: list[str]) -> Iterator[Row]:
    def wanted(name: str) -> bool:
        return not only or any(text.lower() in name.lower() for text in only)

    for topic in (copying, watching, footprint, graphql, listing, cleaning, admission):
        yield from topic.rows(disk, quick, wanted)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="The sidecar against the wrapper it replaces.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a fifth of the data: under two minutes")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only rows with TEXT in their name")
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure on, not an image in memory")
    return parser.parse_args()


def _preface(disk: Disk, quick: bool) -> str:
    sets = {str(group.data): None for group in groups(quick)}
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    return "\n".join(
        [
            "QUICK: fewer rounds and a fifth of the data, so smaller ratios." if quick else "",
            f"Data: {'; '.join(sets)} (slow only).",
            f"local: {disk.kind}. slow: a FUSE mount with 5 ms more per create, write, flush and mkdir.",
            "baseline: run-job.sh's own steps in a shell that is up already, from go to its end.",
            "ours: from SIGTERM to the sidecar's exit, with PHJOB_ARTIFACT_LINGER_SECONDS=0;",
            "until sealed: until the sealed report is in the store.",
            "Medians of rounds in turn; ratio = baseline / ours of each pair, above 1 is faster; range in brackets.",
            f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load}.",
            "",
        ]
    )
