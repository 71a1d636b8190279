"""Writing into a store that is a directory: whole or not at all, below a descriptor, through no link.

As the sidecar does on any mount: sequential create, close, rename; where the store knows no rename, the old file is
removed first. Whatever the umask, files get mode 0644, and folders below `groups/` 0777, as the sidecar's do by
default: other users' jobs go on there. Other folders get 0755: what people decided is the API's to write.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator

from api.store.descriptors import FOLDER, PLACE, open_name
from artifacts.layout import JOB_ARTIFACTS

TEMPORARY = "phjob-artifacts/tmp"  # below the root, out of every job's reach; only a kill leaves anything there

_FILE_MODE, _OWN_FOLDER_MODE, _GROUP_FOLDER_MODE = 0o644, 0o755, 0o777
_PLACE_FOLDER = PLACE | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NO_RENAME = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV})
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_JOB_DEPTH = 3  # groups/<group>/jobArtifacts/<job>: from here on, links are the job's own


def write_file(root: int, key: str, content: bytes) -> None:
    """Put `content` at `key` below an open root, over what was there. Raises OSError."""
    folder, _, name = key.rpartition("/")
    with _made(root, folder) as target:
        if not _put(root, target, name, content):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=target)
            _create(target, name, content)


def _put(root: int, target: int, name: str, content: bytes) -> bool:
    """Whether the store could rename."""
    temporary = secrets.token_hex(16)
    with _made(root, TEMPORARY) as temporaries:
        _create(temporaries, temporary, content)
        try:
            os.rename(temporary, name, src_dir_fd=temporaries, dst_dir_fd=target)
        except OSError as error:
            _forget(temporaries, temporary)
            if error.errno not in _NO_RENAME:
                raise
            return False
    return True


def _create(folder: int, name: str, content: bytes) -> None:
    """A new file, whole or not at all. Close's error counts: a mount tells of a full store only there."""
    fd = os.open(name, _CREATE, _FILE_MODE, dir_fd=folder)
    try:
        try:
            _fill(fd, content)
        finally:
            os.close(fd)
    except BaseException:
        _forget(folder, name)
        raise


def _fill(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    with contextlib.suppress(OSError):  # a store without modes
        os.fchmod(fd, _FILE_MODE)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _forget(folder: int, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


@contextlib.contextmanager
def _made(root: int, path: str) -> Iterator[int]:
    """The folder at `path`, made where it is not there, open for as long as the block."""
    fd = os.open(".", _PLACE_FOLDER, dir_fd=root)
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
    """A link that a job has put there is removed: nothing is lost with it, and through it we would write elsewhere."""
    for _ in range(3):
        try:
            return open_name(parent, name, _PLACE_FOLDER)
        except FileNotFoundError:
            _make_new(parent, name, mode)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR) or not may_unlink:
                raise
            if not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise
            os.unlink(name, dir_fd=parent)
    raise OSError(errno.ELOOP, "it is replaced by a link again and again", name)


def _make_new(parent: int, name: str, mode: int) -> None:
    """A folder of our own, with its mode: the umask is the whole process's, so it is not touched."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent)
        with contextlib.suppress(OSError):
            fd = os.open(name, FOLDER, dir_fd=parent)
            try:
                if os.fstat(fd).st_uid == os.geteuid():
                    os.fchmod(fd, mode)
            finally:
                os.close(fd)
