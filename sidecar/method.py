"""How copies are made on this store: chosen by what the store is, from what was measured (docs/architecture.md)."""

import os
from dataclasses import dataclass

REMOTE_THREADS = 16
MOST_PROCESSES = 4
WORTH_A_PROCESS_FILES = 200
WORTH_A_PROCESS_BYTES = 32 * 1024 * 1024
MOST_FILES_SHARED = 30_000  # beyond, the children's memory would pass the sidecar's 100 MB: 114 with 100,000 files


@dataclass(frozen=True)
class Method:
    """`digest`: hash what is written. `in_kernel`: let the kernel copy, where there is nothing to hash.
    `remote`: an operation may cost a round trip. `linger`: the store writes back after close, so stay for it."""

    digest: bool
    in_kernel: bool
    remote: bool
    linger: bool

    @property
    def threads(self) -> int:
        """How many operations at once: on a local disk threads lose to Python's lock."""
        return REMOTE_THREADS if self.remote else 1

    def processes(self, files: int, size: int) -> int:
        """How many processes to copy `files` files with, of `size` bytes in all, when main no longer needs the CPU."""
        if (
            self.remote
            or not 2 <= files <= MOST_FILES_SHARED
            or (files < WORTH_A_PROCESS_FILES and size < WORTH_A_PROCESS_BYTES)
        ):
            return 1
        return min(MOST_PROCESSES, len(os.sched_getaffinity(0)))


def choose_method(file_system: str, digest: bool) -> Method:
    """The method for a store on `file_system` (its type, as in /proc/self/mountinfo)."""
    remote = is_remote(file_system)
    return Method(digest, in_kernel=not digest and not remote, remote=remote, linger=file_system.startswith("fuse"))


def is_remote(file_system: str) -> bool:
    """Whether each operation on such a file system may cost a network round trip."""
    return file_system.startswith(("fuse", "nfs", "cifs", "smb", "ceph", "gluster", "lustre", "9p", "afs"))
