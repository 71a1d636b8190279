"""Stamps: 32 bytes that say what a file looked like (size, mtime_ns, ctime_ns, inode), compared as a whole.

Packed, since a job may leave 100,000 files and the sidecar keeps one for each, twice, in little memory. A `mv` of
an equal-sized file keeps size and mtime; ctime and inode tell it.
"""

import os
import struct

_FORM = struct.Struct("<qqqQ")
SIZE = _FORM.size

Stamp = bytes
pack = _FORM.pack
unpack = _FORM.unpack

_LEAST_TIME, _MOST_TIME = -(2**63), 2**63 - 1


def stamp_of(found: os.stat_result) -> Stamp:
    """The stamp of a stat result."""
    try:
        return _FORM.pack(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    except struct.error:  # a time after 2262, which any job can set, ends there
        times = (max(_LEAST_TIME, min(ns, _MOST_TIME)) for ns in (found.st_mtime_ns, found.st_ctime_ns))
        return _FORM.pack(found.st_size, *times, found.st_ino)


def size_of(stamp: bytes) -> int:
    """Bytes in the file; takes a stamp or anything that starts with one."""
    return int.from_bytes(stamp[:8], "little")


def changed_ns(stamp: bytes) -> int:
    """When it last changed, as nanoseconds since 1970 by the file system's clock. ctime: no job can set it."""
    return int.from_bytes(stamp[16:24], "little", signed=True)
