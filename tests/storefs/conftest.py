"""A mounted store, on machines that can mount one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import require
from tests.storefs import build
from tests.storefs.mount import FaultyMount, mounted


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The backing folder and the mount point."""
    require(build.missing() is None, str(build.missing()))
    backing, mountpoint = tmp_path / "backing", tmp_path / "mount"
    backing.mkdir()
    mountpoint.mkdir()
    return backing, mountpoint


@pytest.fixture
def store(folders: tuple[Path, Path]) -> Iterator[FaultyMount]:
    """A mount without faults."""
    with mounted(*folders) as store:
        yield store
