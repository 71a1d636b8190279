"""Finds the data in sparse files, so that limits count only the data, and copies keep the holes."""

import errno
import os
from collections.abc import Iterator

MIN_HOLE_BYTES = 64 * 1024  # a file with fewer bytes in holes is treated as one without holes
MAX_RANGES = 1000  # of a file; what follows the last of them counts as data


def has_holes(status: os.stat_result) -> bool:
    """Whether a file occupies less space than its size. So does a compressed file, which need not have holes."""
    return status.st_size - status.st_blocks * 512 >= MIN_HOLE_BYTES


def data_ranges(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each range of data in the first `size` bytes, in order, at most MAX_RANGES.

    A file system that does not know holes reports all bytes as data.
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
