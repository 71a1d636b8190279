"""Attributes of the copies: the modification time and the executable bit of the files."""

import os
from pathlib import Path

import pytest

from artifacts.settings import MIB
from sidecar.copy import CopiedContent, Copier
from sidecar.process import create_syncer
from tests.sidecar.sidecars import Job, end_syncer

SECOND = 10**9
TIMES = {"old": 1_000_000_000 * SECOND + 123_456_789, "before 1970": -5 * SECOND, "in 2200": 7_258_118_400 * SECOND}


@pytest.mark.parametrize("digest", ["sha256", "none"])
def test_copies_have_the_times_of_their_files(tmp_path: Path, digest: str) -> None:
    job = Job(tmp_path)
    syncer = create_syncer(job.settings(digest=digest))
    for name, ns in TIMES.items():
        os.utime(job.write(name, "x" * 200_000), ns=(ns, ns))
    syncer.sync(eager=True)
    for name, ns in TIMES.items():  # replaced by a rename
        os.utime(job.write(name, "y" * 100), ns=(ns + SECOND, ns + SECOND))
    os.utime(job.write("run.sh", "#!/bin/sh"), ns=(0, 0))
    (job.artifacts / "run.sh").chmod(0o755)
    end_syncer(syncer)
    assert {name: (job.folder / name).stat().st_mtime_ns - SECOND for name in TIMES} == TIMES
    copy = (job.folder / "run.sh").stat()
    assert (copy.st_mtime_ns, copy.st_mode & 0o777) == (0, 0o755)
    assert {path: entry["mtimeNs"] - SECOND for path, entry in job.manifest().items() if path != "run.sh"} == TIMES


def test_a_time_that_the_store_does_not_support_does_not_fail_a_copy(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.write("a", "1")
    os.utime(job.artifacts / "a", ns=(2**62, 2**62))
    end_syncer(create_syncer(job.settings()))
    assert (job.copies(), job.report().state) == ({"a": b"1"}, "sealed")


@pytest.mark.parametrize("over_limit", ["reject", "keep"])
def test_the_copy_of_a_file_that_grows_over_the_limit_is_removed_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over_limit: str
) -> None:
    job = Job(tmp_path)
    path = job.write("a", b"x" * (MIB - 1000))
    copy = Copier.copy

    def copy_and_grow(copier: Copier, source: int, target: int, planned_bytes: int) -> CopiedContent:
        copied = copy(copier, source, target, planned_bytes)
        with open(path, "ab") as file:
            file.write(b"y" * 2000)
        return copied

    monkeypatch.setattr(Copier, "copy", copy_and_grow)
    syncer = create_syncer(job.settings(limit_size_mb=1, over_limit=over_limit))
    syncer.sync(eager=True)
    assert job.manifest().keys() == job.copies().keys() == {"a"}
    end_syncer(syncer)
    assert (job.copies(), job.manifest()) == ({}, {})
    assert job.report().state == "rejected"
