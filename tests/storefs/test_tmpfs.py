"""The tmpfs has the given size and is unmounted at the end."""

import os
from pathlib import Path

import pytest

from tests.machine import require
from tests.storefs.tmpfs import missing, tmpfs


@pytest.fixture(autouse=True)
def able_machine() -> None:
    require(missing() is None, str(missing()))


def test_a_tmpfs_has_the_given_size(tmp_path: Path) -> None:
    with tmpfs(tmp_path, 64 * 1024) as disk:
        (disk / "fits").write_bytes(b"x" * 32 * 1024)
        with pytest.raises(OSError, match="No space left"):
            (disk / "too much").write_bytes(b"x" * 64 * 1024)


def test_a_tmpfs_is_unmounted_even_if_it_is_in_use(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    with tmpfs(tmp_path, 64 * 1024) as disk:
        assert disk.stat().st_dev != device
        opened = (disk / "f").open("w")
    with opened:
        assert tmp_path.stat().st_dev == device
        assert os.listdir(tmp_path) == []
