"""The parser of mountinfo: fields, escapes, and a varying number of optional fields."""

import os

import pytest

from artifacts.mounts import Mount, parse_mountinfo, read_mounts


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        (b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", Mount(os.makedev(254, 0), b"/", b"ext4")),
        (
            b"36 35 98:0 /a /phfs rw master:1 shared:2 - fuse.rclone r:x rw\n",
            Mount(os.makedev(98, 0), b"/phfs", b"fuse.rclone"),
        ),
        (rb"40 22 0:5 / /a\040b\134c\011\012 rw - tmpfs none rw", Mount(os.makedev(0, 5), b"/a b\\c\t\n", b"tmpfs")),
        ("41 22 0:6 / /日 rw - nfs4 server:/x rw".encode(), Mount(os.makedev(0, 6), "/日".encode(), b"nfs4")),
        (b"42 22 0:7 / /\xff rw - proc proc rw", Mount(os.makedev(0, 7), b"/\xff", b"proc")),
    ],
)
def test_a_line_is_parsed(line: bytes, mount: Mount) -> None:
    assert list(parse_mountinfo([line])) == [mount]


@pytest.mark.parametrize(
    ("file_system", "is_fuse"), [(b"fuse", True), (b"fuse.rclone", True), (b"fuseblk", True), (b"ext4", False)]
)
def test_every_kind_of_fuse_mount_is_recognized(file_system: bytes, is_fuse: bool) -> None:
    assert Mount(1, b"/", file_system).is_fuse is is_fuse


def test_the_mounts_of_this_process_are_read() -> None:
    mounts = {mount.mount_point: mount for mount in read_mounts()}
    assert mounts[b"/proc"].file_system == b"proc"
    assert mounts[b"/proc"].device == os.stat("/proc").st_dev
