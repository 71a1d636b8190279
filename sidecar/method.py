"""How copies are made on this store: chosen by what the store is, from what was measured (docs/architecture.md)."""

from dataclasses import dataclass

REMOTE_THREADS = 16


@dataclass(frozen=True)
class Method:
    """`digest`: hash what is written. `in_kernel`: let the kernel copy, where there is nothing to hash.
    `threads`: how many files at once. `linger`: the store writes back after close, so stay for it."""

    digest: bool
    in_kernel: bool
    threads: int
    linger: bool


def choose_method(file_system: str, digest: bool) -> Method:
    """The method for a store on `file_system` (its type, as in /proc/self/mountinfo)."""
    if is_remote(file_system):
        return Method(digest, in_kernel=False, threads=REMOTE_THREADS, linger=file_system.startswith("fuse"))
    return Method(digest, in_kernel=not digest, threads=1, linger=False)


def is_remote(file_system: str) -> bool:
    """Whether each operation on such a file system may cost a network round trip."""
    return file_system.startswith(("fuse", "nfs", "cifs", "smb", "ceph", "gluster", "lustre", "9p", "afs"))
