"""How copies are made on this store: chosen by what the store is, from what was measured (docs/architecture.md)."""

import os
from dataclasses import dataclass

REMOTE_THREADS = 16
LOCAL_THREADS = 4
WORTH_A_THREAD_BYTES = 65536


@dataclass(frozen=True)
class Method:
    """`digest`: hash what is written. `in_kernel`: let the kernel copy, where there is nothing to hash.
    `remote`: an operation may cost a round trip. `linger`: the store writes back after close, so stay for it."""

    digest: bool
    in_kernel: bool
    remote: bool
    linger: bool

    def threads(self, files: int, size: int) -> int:
        """How many of `files` files, of `size` bytes in all, to copy at once."""
        if self.remote:
            return REMOTE_THREADS
        if size < files * WORTH_A_THREAD_BYTES:
            return 1
        return min(LOCAL_THREADS, len(os.sched_getaffinity(0)))


def choose_method(file_system: str, digest: bool) -> Method:
    """The method for a store on `file_system` (its type, as in /proc/self/mountinfo)."""
    remote = is_remote(file_system)
    return Method(digest, in_kernel=not digest and not remote, remote=remote, linger=file_system.startswith("fuse"))


def is_remote(file_system: str) -> bool:
    """Whether each operation on such a file system may cost a network round trip."""
    return file_system.startswith(("fuse", "nfs", "cifs", "smb", "ceph", "gluster", "lustre", "9p", "afs"))
