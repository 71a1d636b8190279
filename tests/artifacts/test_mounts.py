"""The parser of mountinfo: fields, escapes, and a varying number of optional fields."""

import pytest

from artifacts.mounts import Mount, parse_mountinfo, read_mounts


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        (b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", Mount(b"22", b"/", b"ext4")),
        (b"36 35 98:0 /a /phfs rw master:1 shared:2 - fuse.rclone r:x rw\n", Mount(b"36", b"/phfs", b"fuse.rclone")),
        (rb"40 22 0:5 / /a\040b\134c\011\012 rw - tmpfs none rw", Mount(b"40", b"/a b\\c\t\n", b"tmpfs")),
        ("41 22 0:6 / /日 rw - nfs4 server:/x rw".encode(), Mount(b"41", "/日".encode(), b"nfs4")),
        (b"42 22 0:7 / /\xff rw - proc proc rw", Mount(b"42", b"/\xff", b"proc")),
    ],
)
def test_a_line_is_parsed(line: bytes, mount: Mount) -> None:
    assert list(parse_mountinfo([line])) == [mount]


@pytest.mark.parametrize(
    ("file_system", "is_fuse"), [(b"fuse", True), (b"fuse.rclone", True), (b"fuseblk", True), (b"ext4", False)]
)
def test_every_kind_of_fuse_mount_is_recognized(file_system: bytes, is_fuse: bool) -> None:
    assert Mount(b"1", b"/", file_system).is_fuse is is_fuse


def test_the_mounts_of_this_process_are_read() -> None:
    assert b"proc" in {mount.file_system for mount in read_mounts() if mount.mount_point == b"/proc"}
