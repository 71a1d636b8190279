"""The store as a directory: PHFS, mounted. Keys are paths below its root.

No descriptor stays open between two calls, so a remounted file system is used at once. Links below the root are not
followed. Files are opened with O_PATH first: opening a FIFO would wake its writer, and closing it would kill that
process.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from api.store.descriptors import ABSENT, PATH_DIRECTORY_FLAGS, PATH_FLAGS, open_below, resolve_name
from api.store.guard import check_key, check_prefix, check_removable
from api.store.listing import ListOptions, ignore_read, list_folder
from api.store.mounts import FUSE_DEVICES
from api.store.posix_errors import DENIED, store_error, translate_errors, translate_write_errors
from api.store.removal import remove_folder
from api.store.store import (
    FileChanged,
    FileMissing,
    FileStat,
    Item,
    OnRead,
    OnUnreadable,
    RemovedFiles,
    StoreCapacity,
)
from api.store.writing import write_file
from artifacts.errors import InvalidDocument
from artifacts.names import is_key

_BLOCK_BYTES = 1024 * 1024
_MAX_READS = 5  # of a small file that is written to at the same time


class PosixStore:
    """Implements `api.store.store.Store` over the directory `root`. Thread-safe."""

    def __init__(self, root: str) -> None:
        self._root = root

    def list(
        self,
        prefix: str,
        *,
        after: str = "",
        recursive: bool = True,
        on_read: OnRead | None = None,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[Item]:
        """List the store; see Store.list."""
        if not is_key(check_prefix(prefix)):
            return
        with contextlib.ExitStack() as stack:
            try:
                with self._open_root() as root:
                    top = stack.enter_context(open_below(root, prefix[:-1], PATH_DIRECTORY_FLAGS))
            except OSError as error:
                if error.errno in ABSENT:
                    return
                if error.errno in DENIED and on_unreadable:
                    on_unreadable(store_error("list", prefix, error))
                    return
                raise store_error("list", prefix, error) from error
            options = ListOptions(prefix, recursive, on_read or ignore_read, on_unreadable)
            yield from list_folder(top, after, options)

    def stat(self, key: str) -> FileStat:
        """Return metadata of a file; see Store.stat."""
        with self._locate("stat", key) as (_, status):
            return _file_stat(status)

    def open(self, key: str) -> "PosixFile":
        """Open a file; see Store.open."""
        with self._locate("open", key) as (path_fd, status):
            fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                if status.st_dev in FUSE_DEVICES:
                    os.pread(fd, 1, 0)  # rclone changes the mtime of a file not yet uploaded when it is first read
                return PosixFile(key, fd, _file_stat(os.fstat(fd)))
            except BaseException:
                _close(fd)
                raise

    def read(self, key: str, max_bytes: int) -> bytes:
        """Read a small file; see Store.read."""
        for _ in range(_MAX_READS):
            with contextlib.suppress(FileChanged), contextlib.closing(self.open(key)) as file:
                if file.stat.size > max_bytes:
                    raise InvalidDocument(key, f"it is longer than {max_bytes} bytes")
                return b"".join(file.chunks(0, file.stat.size))
        raise InvalidDocument(key, f"it changed during each of {_MAX_READS} reads")

    def write(self, key: str, content: bytes) -> None:
        """Write a file; see Store.write."""
        check_key(key)
        with translate_write_errors(key), self._open_root() as root:
            write_file(root, key, content)

    def delete(self, key: str) -> None:
        """Delete a file; see Store.delete."""
        if not is_key(key):
            return
        folder, _, name = key.rpartition("/")
        try:
            with self._open_root() as root, open_below(root, folder, PATH_DIRECTORY_FLAGS) as parent:
                os.unlink(resolve_name(parent, name), dir_fd=parent)
        except OSError as error:
            if error.errno not in (*ABSENT, errno.EISDIR):
                raise store_error("remove", key, error) from error

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        """Remove a folder; see Store.remove."""
        check_removable(prefix, last)
        folder, _, name = prefix[:-1].rpartition("/")
        try:
            with self._open_root() as root, open_below(root, folder, PATH_DIRECTORY_FLAGS) as parent:
                return remove_folder(parent, name, prefix, last)
        except OSError as error:
            if error.errno in ABSENT:
                return RemovedFiles(0, 0)
            raise store_error("remove", prefix, error) from error

    def check(self) -> None:
        """Check that the store responds; see Store.check."""
        with (
            translate_errors("reach", self._root),
            self._open_root() as root,
            open_below(root, "") as directory,
            os.scandir(directory) as entries,
        ):
            next(entries, None)

    def has_latency(self) -> bool:
        """Return whether the directory is on a FUSE mount, such as one of a bucket; see Store.has_latency."""
        with translate_errors("reach", self._root), self._open_root() as root:
            return os.fstat(root).st_dev in FUSE_DEVICES

    def capacity(self) -> StoreCapacity:
        """Return the size of the store; see Store.capacity."""
        with translate_errors("reach", self._root), self._open_root() as root:
            status = os.statvfs(root)
            return StoreCapacity(status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)

    @contextlib.contextmanager
    def _open_root(self) -> Iterator[int]:
        """Open the root while the block runs. A missing root is a failure of the store, not an empty store."""
        try:
            fd = os.open(self._root, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise store_error("open", self._root, error) from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _locate(self, action: str, key: str) -> Iterator[tuple[int, os.stat_result]]:
        """Yield an O_PATH descriptor of the regular file at `key`, and its status. Raises FileMissing."""
        if not is_key(key):
            raise _missing(key)
        try:
            with self._open_root() as root, open_below(root, key, PATH_FLAGS) as path_fd:
                status = os.fstat(path_fd)
                if not stat.S_ISREG(status.st_mode):
                    raise _missing(key)
                yield path_fd, status
        except OSError as error:
            if error.errno in ABSENT:
                raise _missing(key) from error
            raise store_error(action, key, error) from error


class PosixFile:
    """A file open for reading. Replacing or removing the file does not affect it; writing to the file fails reads."""

    def __init__(self, key: str, fd: int, file_stat: FileStat) -> None:
        self.stat = file_stat
        self._key, self._fd = key, fd

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        """Yield a range of the file; see OpenFile.chunks."""
        end = start + length
        while start < end:
            with translate_errors("read", self._key):
                block = os.pread(self._fd, min(_BLOCK_BYTES, end - start), start)
                status = os.fstat(self._fd)
            if not block or (status.st_size, status.st_mtime) != (self.stat.size, self.stat.modified_at):
                raise FileChanged(f"{self._key!r} was written to while it was read")
            start += len(block)
            yield block

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd >= 0:
            _close(self._fd)
            self._fd = -1


def _close(fd: int) -> None:
    with contextlib.suppress(OSError):  # close also fails on a dead mount
        os.close(fd)


def _file_stat(status: os.stat_result) -> FileStat:
    """Build the stat with its entity tag.

    The tag contains the inode number, since times alone do not distinguish two files of one clock tick. FUSE mounts
    are an exception: their inode numbers change for the same file, and differ between replicas of the API.
    """
    inode = 0 if status.st_dev in FUSE_DEVICES else status.st_ino
    tag = f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}-{inode:x}"
    return FileStat(status.st_size, status.st_mtime, tag, bool(status.st_mode & stat.S_IXUSR))


def _missing(key: str) -> FileMissing:
    return FileMissing(f"{key!r} does not exist in the store")
