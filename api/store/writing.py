"""Writes files to a store that is a directory: completely or not at all, below a descriptor, through no link.

Files are written as the sidecar writes them on any mount: sequential create, close, rename; if the store cannot rename,
the old file is removed first. Regardless of the umask, files get mode 0644, and folders below `groups/` get 0777 like
the sidecar's by default, since other users' jobs write there. Other folders get 0755: only the API writes records.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator

from api.store.descriptors import DIRECTORY_FLAGS, PATH_DIRECTORY_FLAGS, open_name
from artifacts.layout import JOB_ARTIFACTS

TEMPORARY = "phjob-artifacts/tmp"  # outside groups/, where no job can write; files stay here only after a kill

_FILE_MODE, _OWN_FOLDER_MODE, _GROUP_FOLDER_MODE = 0o644, 0o755, 0o777
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NO_RENAME = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV})
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_JOB_DEPTH = 3  # groups/<group>/jobArtifacts/<job>: jobs can create links from this depth on
_MAX_ATTEMPTS = 3


def write_file(root: int, key: str, content: bytes) -> None:
    """Write `content` to `key` below an open root, replacing an existing file. Raises OSError."""
    folder, _, name = key.rpartition("/")
    with _make_folders(root, folder) as target:
        if not _replace(root, target, name, content):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=target)
            _create(target, name, content)


def _replace(root: int, target: int, name: str, content: bytes) -> bool:
    """Write a temporary file and rename it. Returns False if the store cannot rename."""
    temporary = secrets.token_hex(16)
    with _make_folders(root, TEMPORARY) as temporaries:
        _create(temporaries, temporary, content)
        try:
            os.rename(temporary, name, src_dir_fd=temporaries, dst_dir_fd=target)
        except OSError as error:
            _unlink(temporaries, temporary)
            if error.errno not in _NO_RENAME:
                raise
            return False
    return True


def _create(directory: int, name: str, content: bytes) -> None:
    """Create a new file, completely or not at all. Close may fail: some mounts report a full store only there."""
    fd = os.open(name, _CREATE_FLAGS, _FILE_MODE, dir_fd=directory)
    try:
        try:
            _write_all(fd, content)
        finally:
            os.close(fd)
    except BaseException:
        _unlink(directory, name)
        raise


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    with contextlib.suppress(OSError):  # some stores have no modes
        os.fchmod(fd, _FILE_MODE)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _unlink(directory: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=directory)


@contextlib.contextmanager
def _make_folders(root: int, path: str) -> Iterator[int]:
    """Open the folder at `path` while the block runs; create it if it does not exist."""
    fd = os.open(".", PATH_DIRECTORY_FLAGS, dir_fd=root)
    try:
        parts = path.split("/") if path else []
        mode = _GROUP_FOLDER_MODE if parts[:1] == ["groups"] else _OWN_FOLDER_MODE
        in_job = parts[:1] == ["groups"] and parts[2:3] == [JOB_ARTIFACTS]
        for depth, name in enumerate(parts):
            inner = _make_folder(fd, name, mode, may_unlink=in_job and depth >= _JOB_DEPTH)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _make_folder(parent: int, name: str, mode: int, may_unlink: bool) -> int:
    """Open or create one folder. A job's link in its place is unlinked: following it would write outside the folder."""
    for _ in range(_MAX_ATTEMPTS):
        try:
            return open_name(parent, name, PATH_DIRECTORY_FLAGS)
        except FileNotFoundError:
            _create_folder(parent, name, mode)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR) or not may_unlink:
                raise
            if not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise
            os.unlink(name, dir_fd=parent)
    raise OSError(errno.ELOOP, "another process keeps replacing it with a link", name)


def _create_folder(parent: int, name: str, mode: int) -> None:
    """Create a folder and set its mode with fchmod: the umask belongs to the whole process and is not changed."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent)
        with contextlib.suppress(OSError):
            fd = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
            try:
                if os.fstat(fd).st_uid == os.geteuid():
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)
