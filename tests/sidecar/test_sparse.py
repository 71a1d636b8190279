"""Sparse files: only their data counts and is copied, if the store keeps holes."""

import hashlib
import itertools
import os
import threading
import time
from pathlib import Path
from unittest import mock

import pytest

from artifacts.settings import MIB
from sidecar.copy import Copier, CopyAborted, GrowthBudget, GrowthExceeded
from sidecar.copy_strategy import choose_strategy
from sidecar.process import create_syncer
from sidecar.source import Source
from sidecar.sparse import MAX_RANGES, data_ranges, has_holes
from sidecar.sync import Syncer
from tests.machine import require
from tests.sidecar.sidecars import Job
from tests.sidecar.volumes import Volumes

PAGE = 64 * 1024


@pytest.fixture(autouse=True)
def _needs_holes(tmp_path: Path) -> None:
    make(tmp_path / "probe", MIB)
    require((tmp_path / "probe").stat().st_blocks == 0, f"{tmp_path} on a file system with holes")


def make(path: Path, size: int, data: dict[int, bytes] | None = None) -> Path:
    """Make a sparse file of `size` bytes with this data at these offsets."""
    with open(path, "wb") as file:
        for offset, content in (data or {}).items():
            file.seek(offset)
            file.write(content)
        file.truncate(size)
    return path


def occupied(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.mark.parametrize(
    ("size", "data"),
    [
        (5 * MIB, {}),
        (5 * MIB + 1, {0: b"start"}),
        (3 * MIB, {2 * MIB: b"x" * MIB}),
        (4 * MIB, {PAGE: b"a" * PAGE, 2 * MIB + 5: b"b" * MIB, 4 * MIB - 1: b"z"}),
    ],
)
@pytest.mark.parametrize("digest", [True, False])
def test_a_copy_has_the_content_the_digest_and_the_holes(
    tmp_path: Path, size: int, data: dict[int, bytes], digest: bool
) -> None:
    source = make(tmp_path / "source", size, data)
    planned = sum(end - start for start, end in ranges_of(source))
    copied = copy(tmp_path, Copier(digest, False, GrowthBudget(0), threading.Event()), planned)
    content = source.read_bytes()
    assert (tmp_path / "target").read_bytes() == content
    assert copied == (size, hashlib.sha256(content).digest() if digest else b"", size - planned)
    assert occupied(tmp_path / "target") <= occupied(source)


def test_data_beyond_the_planned_bytes_is_growth(tmp_path: Path) -> None:
    make(tmp_path / "source", 4 * MIB, {0: b"x" * 2 * MIB})
    copy(tmp_path, Copier(True, False, GrowthBudget(MIB), threading.Event()), MIB)
    with pytest.raises(GrowthExceeded):
        copy(tmp_path, Copier(True, False, GrowthBudget(MIB - 1), threading.Event()), MIB)


def test_hashing_holes_is_aborted_and_takes_bounded_time(tmp_path: Path) -> None:
    make(tmp_path / "source", 2**40, {MIB: b"data"})
    abort = threading.Event()
    with mock.patch("sidecar.copy.MAX_HOLE_HASH_SECONDS", 0.01):
        copier = Copier(True, False, GrowthBudget(MIB), abort)
        assert copy(tmp_path, copier, 0)[:2] == (2**40, b"")
        assert occupied(tmp_path / "target") <= MIB
        assert copy(tmp_path, copier, 0)[:2] == (2**40, b"")
    abort.set()
    with pytest.raises(CopyAborted):
        copy(tmp_path, Copier(True, False, GrowthBudget(MIB), abort), 0)


@pytest.mark.parametrize("new_size", [2 * MIB + 10, MIB, PAGE])
def test_a_copy_of_a_file_that_is_truncated_meanwhile_has_its_own_digest(tmp_path: Path, new_size: int) -> None:
    source = make(tmp_path / "source", 3 * MIB, {0: b"x" * PAGE, 2 * MIB: b"y" * MIB})

    def truncate_meanwhile(fd: int, size: int) -> list[tuple[int, int]]:
        ranges = list(data_ranges(fd, size))
        os.truncate(source, new_size)
        return ranges

    with mock.patch("sidecar.copy.data_ranges", truncate_meanwhile):
        copied = copy(tmp_path, Copier(True, False, GrowthBudget(MIB), threading.Event()), 2 * MIB)
    content = (tmp_path / "target").read_bytes()
    assert copied[:2] == (len(content), hashlib.sha256(content).digest())
    assert content.rstrip(b"\0") == source.read_bytes().rstrip(b"\0")


def test_the_number_of_ranges_is_bounded(tmp_path: Path) -> None:
    count = MAX_RANGES + 50
    source = make(tmp_path / "source", count * 2 * PAGE, {number * 2 * PAGE: b"x" for number in range(count)})
    ranges = ranges_of(source)
    assert len(ranges) == MAX_RANGES
    assert ranges[-1][1] == source.stat().st_size
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ranges))


def test_the_scan_counts_only_data_if_the_store_keeps_holes(volumes: Volumes) -> None:
    volumes.write("small")
    make(volumes.artifact("sparse"), 5 * 2**30, {2**30: b"x" * MIB})
    volumes.link("link", "sparse")
    assert volumes.scan(keep_holes=True).sparse == {"sparse": MIB, "link": MIB}
    assert volumes.scan().sparse == {}


def test_files_on_a_remote_file_system_are_opened_once_and_count_with_their_size(volumes: Volumes) -> None:
    for name in "abc":
        make(volumes.artifact(name), MIB)
    with (
        mock.patch("sidecar.sparse.is_local", return_value=False),
        mock.patch.object(Source, "open_file", autospec=True, side_effect=Source.open_file) as open_file,
    ):
        assert volumes.scan(keep_holes=True).sparse == {}
    assert open_file.call_count == 1


def test_a_scan_reads_a_bounded_number_of_ranges(volumes: Volumes) -> None:
    for name in "abc":
        make(volumes.artifact(name), 4 * MIB, {MIB: b"x", 3 * MIB: b"x"})
    with mock.patch("sidecar.sparse.MAX_RANGES_PER_SCAN", 3):
        assert len(volumes.scan(keep_holes=True).sparse) == 2


@pytest.mark.parametrize("over_limit", ["reject", "keep"])
def test_a_sparse_file_takes_no_room_on_a_store_that_keeps_holes(job: Job, over_limit: str) -> None:
    job.write("accuracy.txt", "0.99\n")
    make(job.artifacts / "disk.img", 5 * 2**30, {2**30: b"x" * PAGE})
    make(job.artifacts / "zeros", 50 * MIB)
    with mock.patch("sidecar.copy.MAX_HOLE_HASH_SECONDS", 0.1):
        syncer = create_syncer(job.settings(over_limit=over_limit, limit_size_mb=1))
        syncer.sync(eager=True)
        finish(syncer)
    report = job.report()
    assert (report.state, report.collected.files, report.skipped) == ("sealed", 3, {})
    assert report.found.bytes == report.collected.bytes == 5 + PAGE
    assert (job.folder / "disk.img").stat().st_size == 5 * 2**30
    assert occupied(job.folder / "disk.img") + occupied(job.folder / "zeros") <= 2 * PAGE
    assert "sha256" not in job.manifest()["disk.img"]


def test_a_sparse_file_counts_with_its_size_on_other_stores(job: Job) -> None:
    make(job.artifacts / "disk.img", 50 * MIB)
    job.write("accuracy.txt", "0.99\n")
    with mock.patch("sidecar.process.choose_strategy", lambda _, digest: choose_strategy("fuse.rclone", digest)):
        finish(create_syncer(job.settings(over_limit="keep", limit_size_mb=1)))
    assert job.copies() == {"accuracy.txt": b"0.99\n"}
    assert job.report().found.bytes == 50 * MIB + 5


def test_a_small_file_that_is_not_sparse_has_no_holes(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("x")
    assert not has_holes((tmp_path / "small").stat())


def finish(syncer: Syncer) -> None:
    syncer.end_main(time.time())
    syncer.finish(time.monotonic() + 10)
    syncer.close()


def copy(folder: Path, copier: Copier, planned_bytes: int) -> tuple[int, bytes, int]:
    source = os.open(folder / "source", os.O_RDONLY)
    target = os.open(folder / "target", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        return tuple(copier.copy_sparse(source, target, planned_bytes))  # type: ignore[return-value]
    finally:
        os.close(source)
        os.close(target)


def ranges_of(path: Path) -> list[tuple[int, int]]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(data_ranges(fd, path.stat().st_size))
    finally:
        os.close(fd)
