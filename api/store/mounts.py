"""Which mount something lies on, and of what kind that is."""


def mount_of(fd: int) -> bytes:
    """The number of the mount that an open file or folder lies on. Its device would not tell a bind mount."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
        return next((line.split()[1] for line in lines if line.startswith(b"mnt_id:")), b"")


def is_fuse(fd: int) -> bool:
    """Whether an open file lies on a FUSE mount, which numbers its files as it likes."""
    mount = mount_of(fd)
    with open("/proc/self/mountinfo", "rb") as lines:
        kinds = [line.partition(b" - ")[2] for line in lines if line.partition(b" ")[0] == mount]
    return any(kind.startswith(b"fuse") for kind in kinds)
