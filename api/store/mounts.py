"""Caches which devices are FUSE mounts, and reads the mount table again only if it has changed.

Each file that is opened needs this check, and the table of a node has a line for each mount of each pod. The kernel
reports a change by POLLPRI on an open mountinfo file.
"""

import os
import select
import threading

from artifacts.mounts import MOUNTINFO, read_mounts


class FuseDevices:
    """The devices (`st_dev`) of this process' FUSE mounts. Thread-safe."""

    def __init__(self) -> None:
        self._fd = -1
        self.reset()

    def reset(self) -> None:
        """Clear the cache.

        Called in a forked process, because the kernel reports a change to only one reader of an open file.
        """
        if self._fd >= 0:
            os.close(self._fd)
        self._lock = threading.Lock()
        self._fd, self._poll = -1, select.poll()
        self._devices: frozenset[int] | None = None

    def __contains__(self, device: int) -> bool:
        """Return whether the device is a FUSE mount. Raises OSError if the mount table cannot be read."""
        with self._lock:  # a change is reported once, so no other thread may use the old devices meanwhile
            if self._fd < 0:
                self._fd = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
                self._poll.register(self._fd, select.POLLPRI)
            if self._poll.poll(0):
                self._devices = None
            if self._devices is None:  # a change after the poll is reported by the next one
                self._devices = frozenset(mount.device for mount in read_mounts() if mount.is_fuse)
            return device in self._devices


FUSE_DEVICES = FuseDevices()
os.register_at_fork(after_in_child=FUSE_DEVICES.reset)
