"""Opens files and folders below a root by directory descriptors, one component at a time, without following links.

Owns the encoding of names in keys: a name that is valid in a key is used as it is; any other is encoded, and the
encoded name leads back to it. If a file has the encoded name literally, that file wins and the other is not visible.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from artifacts.names import decode_path, encode_path, is_key

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
PATH_FLAGS = os.O_PATH | os.O_NOFOLLOW  # locates a file without opening it for reading
PATH_DIRECTORY_FLAGS = PATH_FLAGS | os.O_DIRECTORY

# The errors for a missing file, and for a link that is not followed.
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_NO_NAME = (errno.ENOENT, errno.ENAMETOOLONG)  # an encoded name may be too long although the raw one is not


def key_name(raw: str) -> str:
    """Return the name in a key for a name returned by the operating system."""
    is_plain = raw.isascii() and raw.isprintable()
    return raw if is_plain or is_key(raw) else encode_path(raw)


def raw_name(name: str) -> str | None:
    """Return the invalid name that a key's `name` encodes, or None if it encodes none."""
    if "%" not in name:
        return None
    raw = decode_path(name).decode("utf-8", "surrogateescape")
    return raw if raw != name and "\0" not in raw and key_name(raw) == name else None


def open_name(directory: int, name: str, flags: int) -> int:
    """Open a key's `name` in an open directory. Raises OSError, also for a link unless `flags` has O_PATH."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory)
    except OSError as error:
        raw = raw_name(name) if error.errno in _NO_NAME else None
        if raw is None:
            raise
    return os.open(raw, flags | os.O_NOFOLLOW, dir_fd=directory)


def resolve_name(directory: int, name: str) -> str:
    """Return the operating system's name for a key's `name` in an open directory. Raises OSError."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        raw = raw_name(name) if error.errno in _NO_NAME else None
        if raw is None:
            raise
        return raw
    return name


@contextlib.contextmanager
def open_below(directory: int, path: str, flags: int = DIRECTORY_FLAGS) -> Iterator[int]:
    """Open `path` ("" for the directory itself) below an open directory while the block runs. Raises OSError."""
    fd = os.open(".", PATH_DIRECTORY_FLAGS, dir_fd=directory)
    try:
        parts = path.split("/") if path else ["."]
        for depth, part in enumerate(parts, 1):
            inner = open_name(fd, part, flags if depth == len(parts) else PATH_DIRECTORY_FLAGS)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


class DirectoryStack:
    """The open directories from `top` down to the current one, by their raw names.

    A tree may be deeper than the number of descriptors that a process may have. So only the last few stay open. To
    return to another, the stack opens "..", and accepts only the directory that it came from. If a directory was moved
    meanwhile, its parents are reopened from the top. No link is followed. So the cost of a walk does not depend on the
    depth.
    """

    _MAX_OPEN = 16

    def __init__(self, top: int) -> None:
        self.names: list[str] = []
        self._fds = {0: os.open(".", DIRECTORY_FLAGS, dir_fd=top)}
        self._identities = [_identity(self._fds[0])]

    @property
    def fd(self) -> int:
        """The descriptor of the current directory, open for reading."""
        return self._fds[len(self.names)]

    def close(self) -> None:
        """Close all descriptors."""
        while self._fds:
            os.close(self._fds.popitem()[1])

    def enter(self, name: str) -> None:
        """Enter the subdirectory `name`. Raises OSError, and then stays in the current one."""
        fd = os.open(name, DIRECTORY_FLAGS, dir_fd=self.fd)
        self.names.append(name)
        self._add(len(self.names), fd)
        self._identities.append(_identity(fd))

    def leave(self) -> bool:
        """Return to the parent. Returns False if the parent no longer exists: leave it too. Raises OSError."""
        fd = self._fds.pop(len(self.names), None)
        self.names.pop()
        self._identities.pop()
        try:
            return len(self.names) in self._fds or (fd is not None and self._open_parent(fd)) or self._reopen()
        finally:
            if fd is not None:
                os.close(fd)

    def _open_parent(self, fd: int) -> bool:
        try:
            parent = os.open("..", DIRECTORY_FLAGS, dir_fd=fd)
        except OSError:
            return False
        if _identity(parent) != self._identities[-1]:
            os.close(parent)
            return False
        self._add(len(self.names), parent)
        return True

    def _reopen(self) -> bool:
        for depth in range(max(self._fds), len(self.names)):
            try:
                fd = os.open(self.names[depth], DIRECTORY_FLAGS, dir_fd=self._fds[depth])
            except OSError as error:
                if error.errno in ABSENT:
                    return False
                raise
            self._add(depth + 1, fd)
            self._identities[depth + 1] = _identity(fd)
        return True

    def _add(self, depth: int, fd: int) -> None:
        self._fds[depth] = fd
        oldest = self._fds.pop(depth - self._MAX_OPEN, None) if depth > self._MAX_OPEN else None
        if oldest is not None:
            os.close(oldest)


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def mount_id(fd: int) -> bytes:
    """Return the ID of the mount that an open file is on. The device number does not distinguish bind mounts."""
    with open(f"/proc/self/fdinfo/{fd}", "rb") as lines:
        return next((line.split()[1] for line in lines if line.startswith(b"mnt_id:")), b"")
