"""File signatures: size, mtime, ctime and inode in 32 bytes, compared as a whole to find out whether a file changed.

They are packed because the sidecar holds two for each of up to 100,000 files. A `mv` of a file of equal size preserves
size and mtime; ctime and inode reveal it.
"""

import os
import struct

_LAYOUT = struct.Struct("<qqqQ")  # size, mtime_ns, ctime_ns, inode
SIGNATURE_BYTES = _LAYOUT.size

FileSignature = bytes
pack = _LAYOUT.pack
unpack = _LAYOUT.unpack

_MIN_TIME_NS, _MAX_TIME_NS = -(2**63), 2**63 - 1


def signature_of(status: os.stat_result) -> FileSignature:
    """Return the signature of a stat result. Times beyond the year 2262, which any job can set, are clamped."""
    try:
        return _LAYOUT.pack(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    except struct.error:
        times = (max(_MIN_TIME_NS, min(ns, _MAX_TIME_NS)) for ns in (status.st_mtime_ns, status.st_ctime_ns))
        return _LAYOUT.pack(status.st_size, *times, status.st_ino)


def size_of(signature: bytes) -> int:
    """Return the file's size in bytes. Accepts anything that starts with a signature; b"" has size 0."""
    return int.from_bytes(signature[:8], "little")


def changed_at_ns(signature: bytes) -> int:
    """Return the ctime: nanoseconds since 1970 by the file system's clock. Unlike mtime, a job cannot set it."""
    return int.from_bytes(signature[16:24], "little", signed=True)
