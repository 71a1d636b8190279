"""Chooses how to copy to a store from the type of its file system. docs/architecture.md has the measurements."""

import os
from dataclasses import dataclass

REMOTE_THREADS = 16
MAX_PROCESSES = 4
MIN_FILES_TO_FORK = 200
MIN_BYTES_TO_FORK = 32 * 1024 * 1024
MAX_FILES_TO_FORK = 30_000  # with more, the children's memory would exceed 100 MB in all: 114 MB with 100,000 files

_WITH_HOLES = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay", "tmpfs", "ramfs"}


@dataclass(frozen=True)
class CopyStrategy:
    """How to copy files to one store.

    `digest`: hash the content while it is written. `in_kernel`: let the kernel copy. `is_remote`: an operation may
    cost a network round trip. `writes_back`: the store uploads after close, so the sidecar lingers after the seal.
    `keep_holes`: holes of sparse files occupy no space in the store.
    """

    digest: bool
    in_kernel: bool
    is_remote: bool
    writes_back: bool
    keep_holes: bool

    @property
    def keep_times(self) -> bool:
        """Whether to set the modification times of copies. On a remote store, this would cost another round trip."""
        return not self.is_remote

    @property
    def thread_count(self) -> int:
        """Return how many operations to run at once. On a local disk, threads lose more to the GIL than they gain."""
        return REMOTE_THREADS if self.is_remote else 1

    def process_count(self, file_count: int, size_bytes: int) -> int:
        """Return how many processes to copy with once main no longer needs the CPU."""
        if (
            self.is_remote
            or not 2 <= file_count <= MAX_FILES_TO_FORK
            or (file_count < MIN_FILES_TO_FORK and size_bytes < MIN_BYTES_TO_FORK)
        ):
            return 1
        return min(MAX_PROCESSES, len(os.sched_getaffinity(0)))


def choose_strategy(file_system: str, digest: bool) -> CopyStrategy:
    """Choose the strategy for a store on `file_system`, a type as in /proc/self/mountinfo."""
    is_remote = is_remote_file_system(file_system)
    return CopyStrategy(
        digest,
        in_kernel=not digest and not is_remote,
        is_remote=is_remote,
        writes_back=file_system.startswith("fuse"),
        keep_holes=file_system in _WITH_HOLES,
    )


def is_remote_file_system(file_system: str) -> bool:
    """Whether each operation on this type of file system may cost a network round trip."""
    return file_system.startswith(("fuse", "nfs", "cifs", "smb", "ceph", "gluster", "lustre", "9p", "afs"))
