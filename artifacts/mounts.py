"""Parses /proc/self/mountinfo, in which the kernel lists the mounts that this process can see."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOUNTINFO = "/proc/self/mountinfo"

_OCTAL_ESCAPE = re.compile(rb"\\([0-7]{3})")  # the kernel escapes space, tab, newline and backslash


class Mount(NamedTuple):
    """One mount: its device, its mount point (with the escapes decoded), and the file system's type, such as b"ext4".

    `device` is the `st_dev` of the files on it; some file systems, such as btrfs, have several.
    """

    device: int
    mount_point: bytes
    file_system: bytes

    @property
    def is_fuse(self) -> bool:
        """Whether a FUSE process serves the mount."""
        return self.file_system.startswith(b"fuse")


def parse_mountinfo(lines: Iterable[bytes]) -> Iterator[Mount]:
    """Parse the lines of a mountinfo file; see proc_pid_mountinfo(5)."""
    for line in lines:
        mount, _, source = line.partition(b" - ")  # the number of optional fields before the separator varies
        fields = mount.split(b" ")
        major, _, minor = fields[2].partition(b":")
        yield Mount(os.makedev(int(major), int(minor)), _OCTAL_ESCAPE.sub(_unescape, fields[4]), source.split(b" ")[0])


def read_mounts() -> list[Mount]:
    """Return the mounts in the kernel's order: of two on one mount point, the later one hides the earlier one."""
    with open(MOUNTINFO, "rb") as lines:
        return list(parse_mountinfo(lines))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) & 0xFF])
