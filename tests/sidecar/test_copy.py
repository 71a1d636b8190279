"""Copying one file: every byte and the digest, within the budget, until it is aborted."""

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

from sidecar.copy import (
    BLOCK_BYTES,
    MIN_KERNEL_COPY_BYTES,
    CopiedContent,
    Copier,
    CopyAborted,
    GrowthBudget,
    GrowthExceeded,
    SourceError,
)

SIZES = [
    0,
    1,
    MIN_KERNEL_COPY_BYTES - 1,
    MIN_KERNEL_COPY_BYTES,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 1,
    3 * BLOCK_BYTES + 5,
]
STRATEGIES = pytest.mark.parametrize(
    ("digest", "in_kernel"), [(True, False), (False, False), (False, True)], ids=["digest", "blocks", "kernel"]
)
UNLIMITED = 2**40


@contextmanager
def opened(folder: Path, content: bytes) -> Iterator[tuple[int, int]]:
    """Yield descriptors of a source with this content and of an empty target."""
    (folder / "source").write_bytes(content)
    source = os.open(folder / "source", os.O_RDONLY)
    target = os.open(folder / "target", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        yield source, target
    finally:
        os.close(source)
        os.close(target)


def copier(digest: bool = True, in_kernel: bool = False, spare_bytes: int = UNLIMITED) -> Copier:
    return Copier(digest, in_kernel, GrowthBudget(spare_bytes), threading.Event())


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@STRATEGIES
@pytest.mark.parametrize("size", SIZES)
def test_content_is_copied_with_size_and_digest(tmp_path: Path, size: int, digest: bool, in_kernel: bool) -> None:
    content = os.urandom(size)
    with opened(tmp_path, content) as (source, target):
        copied = copier(digest, in_kernel, spare_bytes=0).copy(source, target, size)
    assert copied == CopiedContent(size, sha256(content) if digest else b"")
    assert (tmp_path / "target").read_bytes() == content


@STRATEGIES
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("planned", [0, 10, MIN_KERNEL_COPY_BYTES, 2 * BLOCK_BYTES])
def test_a_file_of_another_size_than_planned_is_copied_completely(
    tmp_path: Path, size: int, planned: int, digest: bool, in_kernel: bool
) -> None:
    content = os.urandom(size)
    with opened(tmp_path, content) as (source, target):
        copied = copier(digest, in_kernel).copy(source, target, planned)
    assert copied == CopiedContent(size, sha256(content) if digest else b"")
    assert (tmp_path / "target").read_bytes() == content


@STRATEGIES
@pytest.mark.parametrize("planned", [0, 100, BLOCK_BYTES])
def test_a_file_may_grow_by_the_budget_and_no_more(tmp_path: Path, planned: int, digest: bool, in_kernel: bool) -> None:
    content = os.urandom(planned + 1000)
    for spare_bytes in (1000, 999):
        limited_copier = copier(digest, in_kernel and planned < MIN_KERNEL_COPY_BYTES, spare_bytes)
        with opened(tmp_path, content) as (source, target):
            if spare_bytes == 1000:
                assert limited_copier.copy(source, target, planned).size == planned + 1000
            else:
                with pytest.raises(GrowthExceeded):
                    limited_copier.copy(source, target, planned)


def test_all_files_of_a_sync_share_the_budget(tmp_path: Path) -> None:
    limited_copier = copier(spare_bytes=15)
    with opened(tmp_path, b"x" * 20) as (source, target):
        assert limited_copier.copy(source, target, 10).size == 20
        os.lseek(source, 0, os.SEEK_SET)
        with pytest.raises(GrowthExceeded):
            limited_copier.copy(source, target, 10)
        os.lseek(source, 0, os.SEEK_SET)
        assert limited_copier.copy(source, target, 16).size == 20


def test_a_file_that_shrank_consumes_no_budget(tmp_path: Path) -> None:
    with opened(tmp_path, b"x" * 5) as (source, target):
        assert copier(spare_bytes=0).copy(source, target, 10).size == 5


@given(st.integers(0, 100), st.lists(st.integers(0, 50), max_size=8))
def test_a_budget_is_never_overdrawn(spare_bytes: int, takes: list[int]) -> None:
    budget, taken = GrowthBudget(spare_bytes), 0
    for size in takes:
        if taken + size > spare_bytes:
            with pytest.raises(GrowthExceeded):
                budget.consume(size)
        else:
            budget.consume(size)
            taken += size


def test_a_budget_is_thread_safe() -> None:
    budget, refused = GrowthBudget(1000), []

    def take() -> None:
        for _ in range(500):
            try:
                budget.consume(1)
            except GrowthExceeded:
                refused.append(1)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1000


@STRATEGIES
def test_a_large_copy_stops_on_abort(tmp_path: Path, digest: bool, in_kernel: bool) -> None:
    abort = threading.Event()
    abort.set()
    with opened(tmp_path, b"x" * (2 * BLOCK_BYTES)) as (source, target), pytest.raises(CopyAborted):
        Copier(digest, in_kernel, GrowthBudget(UNLIMITED), abort).copy(source, target, 2 * BLOCK_BYTES)


@pytest.mark.parametrize("planned", [10, 2 * BLOCK_BYTES])
def test_read_errors_are_distinguished_from_write_errors(tmp_path: Path, planned: int) -> None:
    content = b"x" * planned
    with opened(tmp_path, content) as (source, target):
        with pytest.raises(SourceError) as caught:
            copier().copy(target, target, planned)  # open for writing only
        assert caught.value.cause.errno == errno.EBADF
        with pytest.raises(OSError, match="descriptor"):
            copier().copy(source, source, planned)


@pytest.mark.parametrize(
    "refusal", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.EIO]
)
def test_blocks_are_copied_if_the_kernel_cannot_copy(tmp_path: Path, refusal: int) -> None:
    content = os.urandom(MIN_KERNEL_COPY_BYTES)
    with (
        opened(tmp_path, content) as (source, target),
        mock.patch("os.copy_file_range", side_effect=OSError(refusal, "no")),
    ):
        assert copier(digest=False, in_kernel=True).copy(source, target, len(content)) == CopiedContent(
            len(content), b""
        )
    assert (tmp_path / "target").read_bytes() == content


def test_an_error_of_copy_file_range_counts_as_a_write_error(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "full")
    with (
        opened(tmp_path, b"x" * MIN_KERNEL_COPY_BYTES) as (source, target),
        mock.patch("os.copy_file_range", side_effect=full),
        pytest.raises(OSError, match="full"),
    ):
        copier(digest=False, in_kernel=True).copy(source, target, MIN_KERNEL_COPY_BYTES)


def test_blocks_are_copied_if_copy_file_range_returns_0(tmp_path: Path) -> None:
    """Which it does for files whose content is generated when they are read."""
    content = os.urandom(MIN_KERNEL_COPY_BYTES)
    with opened(tmp_path, content) as (source, target), mock.patch("os.copy_file_range", return_value=0):
        assert copier(digest=False, in_kernel=True).copy(source, target, len(content)).size == len(content)
    assert (tmp_path / "target").read_bytes() == content


def test_all_bytes_are_written_despite_short_writes(tmp_path: Path) -> None:
    real = os.write
    content = os.urandom(5000)
    with (
        opened(tmp_path, content) as (source, target),
        mock.patch("os.write", lambda fd, view: real(fd, bytes(view[:700]))),
    ):
        assert copier().copy(source, target, len(content)) == CopiedContent(len(content), sha256(content))
    assert (tmp_path / "target").read_bytes() == content
