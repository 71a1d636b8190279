"""Opens paths below a folder without leaving it, with the openat2 system call, which Python does not provide.

`open_in_root` resolves links like a process whose root is that folder, which is main's view of its volumes.
`open_beneath` refuses every link; it is used for the sidecar's own writes. If the kernel or an old seccomp profile has
no openat2, the path is opened component by component with O_NOFOLLOW.
"""

import ctypes
import errno
import functools
import os
import stat
from typing import Any

_SYS_OPENAT2 = 437  # the same number on every architecture
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH, _IN_ROOT = 0x02, 0x04, 0x08, 0x10
_MAX_LINKS = 40
_MAX_RETRIES = 200  # on EAGAIN: a rename anywhere in the system while ".." was resolved

_syscall = ctypes.CDLL(None, use_errno=True).syscall


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


_HOW_BYTES = ctypes.sizeof(_OpenHow)


@functools.cache
def _how(flags: int, mode: int, resolve: int) -> Any:
    return ctypes.byref(_OpenHow(flags | os.O_CLOEXEC, mode, resolve))


def open_in_root(root_fd: int, path: str | bytes, flags: int) -> int:
    """Open `path` (absolute or relative), following links, as if `root_fd` were "/". Raises OSError."""
    fd = _openat2(root_fd, path, flags, 0, _IN_ROOT | _NO_MAGICLINKS)
    return fd if fd >= 0 else walk_in_root(root_fd, path, flags)


def open_beneath(folder_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open the relative `path` below `folder_fd`. A link anywhere in the path raises ELOOP (or ENOTDIR)."""
    fd = _openat2(folder_fd, path, flags, mode, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    return fd if fd >= 0 else _walk_beneath(folder_fd, path, flags, mode)


def _openat2(folder_fd: int, path: str | bytes, flags: int, mode: int, resolve: int) -> int:
    """Return the file descriptor, or -1 if openat2 is not available."""
    how = _how(flags, mode, resolve)
    raw = os.fsencode(path)
    if b"\0" in raw:
        raise OSError(errno.EINVAL, "the path contains a NUL byte", path)
    for _ in range(_MAX_RETRIES):
        fd: int = _syscall(_SYS_OPENAT2, folder_fd, raw, how, _HOW_BYTES)
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    # EPERM comes from the seccomp profile or from the file. In the second case the walk fails with it again.
    if code in (errno.ENOSYS, errno.EPERM):
        return -1
    raise OSError(code, os.strerror(code), path)


def walk_in_root(root_fd: int, path: str | bytes, flags: int) -> int:
    """Open like open_in_root, step by step. The OSError's `filename` is the path below the root that failed."""
    remaining = _components(path)
    folders = [os.open(".", os.O_PATH | os.O_DIRECTORY, dir_fd=root_fd)]
    names: list[str] = []
    links = 0
    try:
        while remaining:
            name = remaining.pop()
            if name in ("", ".", ".."):
                _check_folder(folders[-1], "/" + "/".join(names))
                if name == ".." and names:
                    names.pop()
                    os.close(folders.pop())
                continue
            real_path = "/" + "/".join([*names, name])
            fd = _step(name, folders[-1], real_path)
            target = _link_target(fd)
            if target is None:
                folders.append(fd)
                names.append(name)
                continue
            os.close(fd)
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), real_path)
            if target.startswith("/"):
                while names:
                    names.pop()
                    os.close(folders.pop())
            remaining += _components(target)
        return _reopen(folders[-1], flags, "/" + "/".join(names))
    finally:
        for fd in folders:
            os.close(fd)


def _step(name: str, folder: int, real_path: str) -> int:
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, real_path) from error


def _check_folder(fd: int, real_path: str) -> None:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), real_path)


def _link_target(fd: int) -> str | None:
    return os.readlink("", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None


def _components(path: str | bytes) -> list[str]:
    """Return the parts of `path` in reverse order. The parts "" (a trailing slash) and "." require a folder."""
    return os.fsdecode(path).split("/")[::-1]


def _walk_beneath(folder_fd: int, path: str | bytes, flags: int, mode: int) -> int:
    folder = os.dup(folder_fd)
    try:
        *parents, name = os.fsdecode(path).split("/")
        if ".." in (*parents, name):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        for parent in parents:
            inner = os.open(parent, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=folder)
    finally:
        os.close(folder)


def _reopen(fd: int, flags: int, real_path: str) -> int:
    if flags & os.O_DIRECTORY:
        _check_folder(fd, real_path)
    return os.dup(fd) if flags & os.O_PATH else os.open(f"/proc/self/fd/{fd}", flags)
