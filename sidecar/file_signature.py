"""File signatures: size, mtime, ctime and inode in 32 bytes, compared as a whole to find out whether a file changed.

They are packed because the sidecar holds two for each of up to 100,000 files. A `mv` of a file of equal size preserves
size and mtime; ctime and inode reveal it.

Kernels stamp changes with a clock that advances in ticks, so a write in the tick of the recorded ctime may change none
of the four values. The signature of such a racy copy is recorded without its ctime. The recorded signature then never
equals the file's, and a later sync copies the file again (git does the same in its index).
"""

import os
import struct

_LAYOUT = struct.Struct("<qqqQ")  # size, mtime_ns, ctime_ns, inode
SIGNATURE_BYTES = _LAYOUT.size

FileSignature = bytes
pack = _LAYOUT.pack
unpack = _LAYOUT.unpack

_MIN_TIME_NS, _MAX_TIME_NS = -(2**63), 2**63 - 1
_NO_CTIME = (-1).to_bytes(8, "little", signed=True)
_TICK_NS = 20_000_000  # two ticks at 100 Hz, the lowest frequency of a kernel's timer
_COARSE_TICK_NS = 2_000_000_000  # of file systems that store whole or even seconds


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


def tick_ns(signature: FileSignature) -> int:
    """Return the nanoseconds in which the file system may give two writes the same timestamp."""
    return _TICK_NS if changed_at_ns(signature) % 1_000_000_000 else _COARSE_TICK_NS


def is_racy(signature: FileSignature, read_started_ns: int, max_skew_ns: int) -> bool:
    """Whether a write after the start of the read (UNIX nanoseconds) could leave the signature as it is.

    `max_skew_ns`: how far the file system's clock may be behind. A time in the future proves nothing, so it is racy.
    """
    newest_ns: int = max(_LAYOUT.unpack(signature)[1:3])
    return read_started_ns - newest_ns < tick_ns(signature) + max_skew_ns


def without_ctime(signature: FileSignature) -> FileSignature:
    """Return a signature that no file has, to record a racy copy."""
    return signature[:16] + _NO_CTIME + signature[24:]
