"""Manifests made by other jobs of the group, which can write to the job folder: they must cost little time."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.layout import MANIFEST
from artifacts.manifest import ManifestHeader, format_header
from sidecar.process import create_syncer
from tests.sidecar.sidecars import Job, end_syncer

LINES = 12_000  # the most that is read by default
MAX_SECONDS = 2.0  # of CPU; a machine without load needs less than half a second


def entry(path: str, **fields: object) -> str:
    return json.dumps({"path": path, "size": 1, "mtimeNs": 0, "ctimeNs": 0, "inode": 0} | fields, separators=(",", ":"))


def long_lines() -> Iterator[str]:
    """Valid entries of 15 kB with fields that readers ignore."""
    line = entry("PATH", x=[{"a": 1}] * 1800)
    return (line.replace("PATH", f"f{number}") for number in range(LINES))


def lines_of_maximum_length() -> Iterator[str]:
    line = entry("PATH", x=[{"a": 1}] * 460)
    return (line.replace("PATH", f"f{number}") for number in range(LINES))


def deepest_paths() -> Iterator[str]:
    """Paths of files that do not exist, in as many folders as a collected file can have."""
    return (entry(f"{number}/" + "a/" * 98 + "b") for number in range(LINES // 3))


def too_deep_paths() -> Iterator[str]:
    return (entry(f"{number}/" + "a/" * 440 + "b") for number in range(LINES))


@pytest.mark.parametrize("lines", [long_lines, lines_of_maximum_length, deepest_paths, too_deep_paths])
def test_a_hostile_manifest_costs_little(tmp_path: Path, lines: object) -> None:
    job = Job(tmp_path)
    job.write("a", "x")
    path = job.folder / MANIFEST
    path.parent.mkdir(parents=True)
    with path.open("w") as file:
        file.write(format_header(ManifestHeader("job-1", "another pod")))
        file.writelines(f"{line}\n" for line in lines())  # type: ignore[operator]
    started = time.process_time()
    syncer = create_syncer(job.settings())
    syncer.sync(eager=True)
    end_syncer(syncer)
    assert time.process_time() - started < MAX_SECONDS
    assert (job.report().state, job.copies()) == ("sealed", {"a": b"x"})
    assert set(job.manifest()) == {"a"}
