"""Folders and files below a root, opened by descriptors, one component at a time, with no link followed.

Owns how names stand in keys: a name that may stand there as it is does, another one is shown encoded, and found again
by that. Where both are there, the one whose name is so literally counts, and the other is not to be seen.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from artifacts.names import decode_path, encode_path, is_key

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
PLACE = os.O_PATH | os.O_NOFOLLOW

# What the operating system says where there is no such thing, or a link where none is followed.
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_NO_NAME = (errno.ENOENT, errno.ENAMETOOLONG)  # an encoded name may be too long where what it stands for is not


def shown_name(name: str) -> str:
    """How a name, as the operating system gives it, stands in a key."""
    plain = name.isascii() and name.isprintable()
    return name if plain or is_key(name) else encode_path(name)


def raw_name(shown: str) -> str | None:
    """The name that is shown so because it may not stand in a key itself; None where there can be none."""
    if "%" not in shown:
        return None
    raw = decode_path(shown).decode("utf-8", "surrogateescape")
    return raw if raw != shown and "\0" not in raw and shown_name(raw) == shown else None


def open_name(folder: int, shown: str, flags: int) -> int:
    """A descriptor of what a key calls `shown` in an open folder. Raises OSError; a link is one, unless PLACE."""
    try:
        return os.open(shown, flags | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        raw = raw_name(shown) if error.errno in _NO_NAME else None
        if raw is None:
            raise
    return os.open(raw, flags | os.O_NOFOLLOW, dir_fd=folder)


def real_name(folder: int, shown: str) -> str:
    """What a key calls `shown`, as the operating system calls it."""
    try:
        os.stat(shown, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        raw = raw_name(shown) if error.errno in _NO_NAME else None
        if raw is None:
            raise
        return raw
    return shown


@contextlib.contextmanager
def opened(folder: int, path: str, flags: int = FOLDER) -> Iterator[int]:
    """What lies at `path` ("" for the folder itself) below an open folder, for as long as the block. Raises OSError."""
    fd = os.open(".", PLACE | os.O_DIRECTORY, dir_fd=folder)
    try:
        parts = path.split("/") if path else ["."]
        for depth, part in enumerate(parts, 1):
            inner = open_name(fd, part, flags if depth == len(parts) else PLACE | os.O_DIRECTORY)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


class Descent:
    """Folders one within another, from an open one (`top`) down, by their real names.

    A tree may be deeper than there are descriptors, so only the last few stay open; the others are opened anew, from
    the top and with no link followed, when they are come back to.
    """

    _MOST = 16

    def __init__(self, top: int) -> None:
        self.names: list[str] = []
        self._fds = {0: os.open(".", FOLDER, dir_fd=top)}

    @property
    def fd(self) -> int:
        """The folder come to, open to be read."""
        return self._fds[len(self.names)]

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popitem()[1])

    def enter(self, name: str) -> None:
        """Go down into `name`. Raises OSError, and stays."""
        self._keep(len(self.names) + 1, os.open(name, FOLDER, dir_fd=self.fd))
        self.names.append(name)

    def leave(self) -> bool:
        """Go back up. False: the folder above is not there any more, so leave that too. Raises OSError."""
        fd = self._fds.pop(len(self.names), None)
        if fd is not None:
            os.close(fd)
        self.names.pop()
        return len(self.names) in self._fds or self._open_again()

    def _open_again(self) -> bool:
        for depth in range(max(self._fds), len(self.names)):
            try:
                fd = os.open(self.names[depth], FOLDER, dir_fd=self._fds[depth])
            except OSError as error:
                if error.errno in ABSENT:
                    return False
                raise
            self._keep(depth + 1, fd)
        return True

    def _keep(self, depth: int, fd: int) -> None:
        self._fds[depth] = fd
        if depth > self._MOST:
            os.close(self._fds.pop(depth - self._MOST))


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
