"""Finds the data in sparse files, so that limits count only the data, and copies keep the holes."""

import errno
import os
from collections.abc import Callable, Iterator

from sidecar.file_system import is_local

MIN_HOLE_BYTES = 64 * 1024  # a file with fewer bytes in holes is treated as one without holes
MAX_RANGES = 1000  # of a file; what follows the last of them counts as data
MAX_RANGES_PER_SCAN = 100_000  # each costs a system call


def has_holes(status: os.stat_result) -> bool:
    """Whether a file occupies less space than its size. That can also be a compressed file without holes."""
    return status.st_size - status.st_blocks * 512 >= MIN_HOLE_BYTES


def data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each range of data in the first `size` bytes, in order, at most MAX_RANGES.

    A file system that does not support holes reports all bytes as data.
    """
    position = 0
    for number in range(MAX_RANGES):
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
            position = os.lseek(fd, start, os.SEEK_HOLE) if number < MAX_RANGES - 1 else size
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: no more data
                yield position, size
            return
        if start >= size:
            return
        yield start, min(position, size)


class DataCounter:
    """Counts the data of sparse files during one scan. `open_file(path)` returns a descriptor and its stat."""

    def __init__(self, open_file: Callable[[str], tuple[int, os.stat_result]]) -> None:
        self._open_file = open_file
        self._remaining_ranges = MAX_RANGES_PER_SCAN
        self._is_local: dict[int, bool] = {}  # by device

    def count(self, path: str, status: os.stat_result) -> int | None:
        """Return the bytes of the file that are not in holes, or None to count the whole file.

        Returns None on a remote file system, where opening a file is expensive and the number of blocks proves nothing,
        and once the scan has read too many ranges. Raises the errors of `open_file`, and OSError.
        """
        if self._remaining_ranges <= 0 or not self._is_local.get(status.st_dev, True):
            return None
        fd, status = self._open_file(path)
        try:
            self._is_local[status.st_dev] = is_local(fd)
            if not self._is_local[status.st_dev]:
                return None
            ranges = list(data_ranges(fd, status.st_size))
        finally:
            os.close(fd)
        self._remaining_ranges -= len(ranges)
        return sum(end - start for start, end in ranges)
