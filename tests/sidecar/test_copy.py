"""Copying one file: every byte and its digest, within the budget, until told to stop."""

import errno
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.copy import BLOCK_BYTES, SMALL_BYTES, Aborted, Budget, Copied, Copier, OverBudget, SourceError

SIZES = [0, 1, SMALL_BYTES - 1, SMALL_BYTES, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5]
WAYS = pytest.mark.parametrize(
    ("digest", "in_kernel"), [(True, False), (False, False), (False, True)], ids=["digest", "blocks", "kernel"]
)
PLENTY = 2**40


@contextmanager
def opened(folder: Path, content: bytes) -> Iterator[tuple[int, int]]:
    """Descriptors of a source with this content, and of an empty target."""
    (folder / "source").write_bytes(content)
    source = os.open(folder / "source", os.O_RDONLY)
    target = os.open(folder / "target", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        yield source, target
    finally:
        os.close(source)
        os.close(target)


def copier(digest: bool = True, in_kernel: bool = False, spare_bytes: int = PLENTY) -> Copier:
    return Copier(digest, in_kernel, Budget(spare_bytes), threading.Event())


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@WAYS
@pytest.mark.parametrize("size", SIZES)
def test_every_byte_arrives_and_is_told(tmp_path: Path, size: int, digest: bool, in_kernel: bool) -> None:
    content = os.urandom(size)
    with opened(tmp_path, content) as (source, target):
        copied = copier(digest, in_kernel, spare_bytes=0).copy(source, target, size)
    assert copied == Copied(size, sha256(content) if digest else b"")
    assert (tmp_path / "target").read_bytes() == content


@WAYS
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("planned", [0, 10, SMALL_BYTES, 2 * BLOCK_BYTES])
def test_a_file_that_is_not_as_long_as_planned_is_copied_as_it_is(
    tmp_path: Path, size: int, planned: int, digest: bool, in_kernel: bool
) -> None:
    content = os.urandom(size)
    with opened(tmp_path, content) as (source, target):
        copied = copier(digest, in_kernel).copy(source, target, planned)
    assert copied == Copied(size, sha256(content) if digest else b"")
    assert (tmp_path / "target").read_bytes() == content


@WAYS
@pytest.mark.parametrize("planned", [0, 100, BLOCK_BYTES])
def test_a_file_may_grow_by_what_the_budget_has_and_no_more(
    tmp_path: Path, planned: int, digest: bool, in_kernel: bool
) -> None:
    content = os.urandom(planned + 1000)
    for spare_bytes in (1000, 999):
        made = copier(digest, in_kernel and planned < SMALL_BYTES, spare_bytes)
        with opened(tmp_path, content) as (source, target):
            if spare_bytes == 1000:
                assert made.copy(source, target, planned).size == planned + 1000
            else:
                with pytest.raises(OverBudget):
                    made.copy(source, target, planned)


def test_all_files_of_a_sync_share_the_budget(tmp_path: Path) -> None:
    made = copier(spare_bytes=15)
    with opened(tmp_path, b"x" * 20) as (source, target):
        assert made.copy(source, target, 10).size == 20
        os.lseek(source, 0, os.SEEK_SET)
        with pytest.raises(OverBudget):
            made.copy(source, target, 10)
        os.lseek(source, 0, os.SEEK_SET)
        assert made.copy(source, target, 16).size == 20


def test_a_file_that_shrank_costs_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, b"x" * 5) as (source, target):
        assert copier(spare_bytes=0).copy(source, target, 10).size == 5


@given(st.integers(0, 100), st.lists(st.integers(0, 50), max_size=8))
def test_a_budget_is_never_overdrawn(spare_bytes: int, takes: list[int]) -> None:
    budget, taken = Budget(spare_bytes), 0
    for size in takes:
        if taken + size > spare_bytes:
            with pytest.raises(OverBudget):
                budget.take(size)
        else:
            budget.take(size)
            taken += size


def test_a_budget_is_shared_by_threads() -> None:
    budget, refused = Budget(1000), []

    def take() -> None:
        for _ in range(500):
            try:
                budget.take(1)
            except OverBudget:
                refused.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1000


@WAYS
def test_a_large_copy_stops_when_told(tmp_path: Path, digest: bool, in_kernel: bool) -> None:
    abort = threading.Event()
    abort.set()
    with opened(tmp_path, b"x" * (2 * BLOCK_BYTES)) as (source, target), pytest.raises(Aborted):
        Copier(digest, in_kernel, Budget(PLENTY), abort).copy(source, target, 2 * BLOCK_BYTES)


@pytest.mark.parametrize("planned", [10, 2 * BLOCK_BYTES])
def test_a_source_that_cannot_be_read_is_told_from_a_target_that_cannot_be_written(
    tmp_path: Path, planned: int
) -> None:
    content = b"x" * planned
    with opened(tmp_path, content) as (source, target):
        with pytest.raises(SourceError) as caught:
            copier().copy(target, target, planned)  # open to write only
        assert caught.value.cause.errno == errno.EBADF
        with pytest.raises(OSError, match="descriptor"):
            copier().copy(source, source, planned)


@pytest.mark.parametrize(
    "refusal", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.EIO]
)
def test_where_the_kernel_cannot_copy_blocks_are(tmp_path: Path, refusal: int) -> None:
    content = os.urandom(SMALL_BYTES)
    with (
        opened(tmp_path, content) as (source, target),
        mock.patch("os.copy_file_range", side_effect=OSError(refusal, "no")),
    ):
        assert copier(digest=False, in_kernel=True).copy(source, target, len(content)) == Copied(len(content), b"")
    assert (tmp_path / "target").read_bytes() == content


def test_an_error_of_the_kernels_copy_is_the_targets(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "full")
    with (
        opened(tmp_path, b"x" * SMALL_BYTES) as (source, target),
        mock.patch("os.copy_file_range", side_effect=full),
        pytest.raises(OSError, match="full"),
    ):
        copier(digest=False, in_kernel=True).copy(source, target, SMALL_BYTES)


def test_a_kernel_that_copies_nothing_of_a_file_that_has_content_is_not_believed(tmp_path: Path) -> None:
    """As it does for files that some file systems make up when they are read."""
    content = os.urandom(SMALL_BYTES)
    with opened(tmp_path, content) as (source, target), mock.patch("os.copy_file_range", return_value=0):
        assert copier(digest=False, in_kernel=True).copy(source, target, len(content)).size == len(content)
    assert (tmp_path / "target").read_bytes() == content


def test_a_store_that_takes_fewer_bytes_at_a_time_gets_them_all(tmp_path: Path) -> None:
    real = os.write
    content = os.urandom(5000)
    with (
        opened(tmp_path, content) as (source, target),
        mock.patch("os.write", lambda fd, view: real(fd, bytes(view[:700]))),
    ):
        assert copier().copy(source, target, len(content)) == Copied(len(content), sha256(content))
    assert (tmp_path / "target").read_bytes() == content
