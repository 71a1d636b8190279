"""Finds out whether this kernel's clock stamps a file system's files, with fstatfs, which Python does not provide."""

import ctypes

_LOCAL_TYPES = {  # f_type, from linux/magic.h
    0xEF53,  # ext2, ext3, ext4
    0x58465342,  # xfs
    0x9123683E,  # btrfs
    0x2FC12FC1,  # zfs
    0xF2F52010,  # f2fs
    0x794C7630,  # overlayfs
    0x01021994,  # tmpfs
    0x858458F6,  # ramfs
}
_MAX_STATFS_BYTES = 512  # the structure has 120 bytes on 64-bit machines

_fstatfs = ctypes.CDLL(None).fstatfs


def is_local(fd: int) -> bool:
    """Whether `fd` is on a local file system. Returns False for unknown types."""
    status = (ctypes.c_long * (_MAX_STATFS_BYTES // ctypes.sizeof(ctypes.c_long)))()
    return _fstatfs(fd, status) == 0 and status[0] & 0xFFFFFFFF in _LOCAL_TYPES  # f_type is the first field
