"""The memory of a scan is bounded, whatever folders and names a job makes."""

import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from sidecar.scanner import PATH_BYTES_PER_ENTRY
from tests.machine import require
from tests.sidecar.volumes import Volumes

MEMORY = Path("/dev/shm")
ENTRIES = 3000
# A scan stores for each entry the bytes of its path, and for a file its signature and its place in a dictionary.
MAX_BYTES_PER_ENTRY = PATH_BYTES_PER_ENTRY + 350
WIDE = "\N{GRINNING FACE}"  # makes Python store four bytes for each character


@pytest.fixture
def volumes() -> Iterator[Volumes]:
    require(MEMORY.is_dir(), f"{MEMORY}, to create many folders quickly")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Volumes(Path(folder))


@pytest.mark.parametrize("kind", ["folder", "file", "link to a folder", "unreadable folder"])
@pytest.mark.parametrize("depth", [3, 14])
@pytest.mark.parametrize("fill", ["d", WIDE])
def test_many_long_names_are_scanned_in_bounded_memory(volumes: Volumes, kind: str, depth: int, fill: str) -> None:
    volumes.write("model.bin", "the result")
    name_bytes = 240 if depth > 3 else 200
    fd = os.open(volumes.artifact(""), os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("e" * name_bytes, dir_fd=fd)
        inner = os.open("e" * name_bytes, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = inner
    for number in range(ENTRIES):
        name = f"{number:05}{fill}" + "d" * (name_bytes - 20)
        if kind == "file":
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        elif kind == "link to a folder":
            os.symlink(".", name, dir_fd=fd)
        else:
            os.mkdir(name, dir_fd=fd)
    os.close(fd)
    list_folder = os.scandir

    def list_readable(fd: int) -> object:
        if kind == "unreadable folder" and "d" * 150 in os.readlink(f"/proc/self/fd/{fd}").rpartition("/")[2]:
            raise PermissionError(13, "Permission denied")
        return list_folder(fd)

    tracemalloc.start()
    with mock.patch("os.scandir", list_readable):
        scan = volumes.scan(max_entries=ENTRIES + 100)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "model.bin" in scan.files
    assert peak_bytes < ENTRIES * MAX_BYTES_PER_ENTRY
    if depth == 14:  # no key could name a file so deep
        assert "invalid_name" in scan.skipped
