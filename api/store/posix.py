"""The store as a directory: PHFS, mounted. Keys are paths below its root.

Nothing stays open between two calls, so a mount that has come back is used at once. No link below the root is
followed. What is opened is a place first (O_PATH): opening a FIFO would wake, and closing it kill, its writer.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence

from api.store.descriptors import ABSENT, PLACE, is_fuse, opened, real_name
from api.store.guard import check_key, check_prefix, check_removable
from api.store.listing import ignored, list_folder
from api.store.removal import remove_folder
from api.store.store import FileChanged, FileMissing, FileStat, Item, OnRead, RemovedFiles, StoreCapacity
from api.store.writing import write_file
from artifacts.errors import InvalidDocument, StoreConflict, StoreError
from artifacts.names import is_key

_BLOCK = 1024 * 1024
_READS = 5  # of a small file that is written to meanwhile
_PLACE_FOLDER = PLACE | os.O_DIRECTORY
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})


class PosixStore:
    """`api.store.store.Store` over the directory `root`. Safe to use from several threads."""

    def __init__(self, root: str) -> None:
        self._root = root

    def list(
        self, prefix: str, *, after: str = "", recursive: bool = True, on_read: OnRead | None = None
    ) -> Iterator[Item]:
        if not is_key(check_prefix(prefix)):
            return
        with contextlib.ExitStack() as folders:
            try:
                with self._opened_root() as root:
                    top = folders.enter_context(opened(root, prefix[:-1], _PLACE_FOLDER))
            except OSError as error:
                if error.errno in ABSENT:
                    return
                raise StoreError("list", prefix, error) from error
            yield from list_folder(top, prefix, after, recursive, on_read or ignored)

    def stat(self, key: str) -> FileStat:
        with self._place("look at", key) as (place, found):
            return _stat_of(place, found)

    def open(self, key: str) -> "PosixFile":
        with self._place("open", key) as (place, _):
            fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            try:
                if is_fuse(fd):
                    os.pread(fd, 1, 0)  # a file that rclone has not uploaded yet gets a new time when it is first read
                return PosixFile(key, fd, _stat_of(fd, os.fstat(fd)))
            except BaseException:
                _close(fd)
                raise

    def read(self, key: str, most: int) -> bytes:
        for _ in range(_READS):
            with contextlib.suppress(FileChanged), contextlib.closing(self.open(key)) as file:
                if file.stat.size > most:
                    raise InvalidDocument(key, f"it is longer than {most} bytes")
                return b"".join(file.chunks(0, file.stat.size))
        raise InvalidDocument(key, "it is written to again and again")

    def write(self, key: str, content: bytes) -> None:
        check_key(key)
        with _errors("write", key), self._opened_root() as root:
            write_file(root, key, content)

    def delete(self, key: str) -> None:
        if not is_key(key):
            return
        folder, _, name = key.rpartition("/")
        try:
            with self._opened_root() as root, opened(root, folder, _PLACE_FOLDER) as parent:
                os.unlink(real_name(parent, name), dir_fd=parent)
        except OSError as error:
            if error.errno not in (*ABSENT, errno.EISDIR):
                raise StoreError("remove", key, error) from error

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        check_removable(prefix, last)
        folder, _, name = prefix[:-1].rpartition("/")
        try:
            with self._opened_root() as root, opened(root, folder, _PLACE_FOLDER) as parent:
                return remove_folder(parent, name, prefix, last)
        except OSError as error:
            if error.errno in ABSENT:
                return RemovedFiles(0, 0)
            raise StoreError("remove", prefix, error) from error

    def check(self) -> None:
        with (
            _errors("reach", self._root),
            self._opened_root() as root,
            opened(root, "") as folder,
            os.scandir(folder) as entries,
        ):
            next(entries, None)

    def space(self) -> StoreCapacity:
        with _errors("reach", self._root), self._opened_root() as root:
            told = os.statvfs(root)
            return StoreCapacity(told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize)

    @contextlib.contextmanager
    def _opened_root(self) -> Iterator[int]:
        """The root, for as long as the block. It is there, or the store fails: nothing is known to be absent then."""
        try:
            fd = os.open(self._root, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise StoreError("open", self._root, error) from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _place(self, action: str, key: str) -> Iterator[tuple[int, os.stat_result]]:
        """Where the regular file lies, and its stat. Raises FileMissing."""
        if not is_key(key):
            raise _missing(key)
        try:
            with self._opened_root() as root, opened(root, key, PLACE) as place:
                found = os.fstat(place)
                if not stat.S_ISREG(found.st_mode):
                    raise _missing(key)
                yield place, found
        except OSError as error:
            if error.errno in ABSENT:
                raise _missing(key) from error
            raise StoreError(action, key, error) from error


class PosixFile:
    """A file open for reading. One that is replaced or removed stays as it is; one that is written to has changed."""

    def __init__(self, key: str, fd: int, found: FileStat) -> None:
        self.stat = found
        self._key, self._fd = key, fd

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        while start < end:
            with _errors("read", self._key):
                block = os.pread(self._fd, min(_BLOCK, end - start), start)
                found = os.fstat(self._fd)
            if not block or (found.st_size, found.st_mtime) != (self.stat.size, self.stat.modified):
                raise FileChanged(f"{self._key!r} was written to while it was read")
            start += len(block)
            yield block

    def close(self) -> None:
        if self._fd >= 0:
            _close(self._fd)
            self._fd = -1


def _close(fd: int) -> None:
    with contextlib.suppress(OSError):  # a dead mount says so even here
        os.close(fd)


def _stat_of(place: int, found: os.stat_result) -> FileStat:
    """Times alone would not tell two files of one clock tick apart. A FUSE mount has no numbers that stay, though: it
    numbers anew what stays the same, and the API's other replicas see other ones."""
    number = 0 if is_fuse(place) else found.st_ino
    tag = f"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}-{number:x}"
    return FileStat(found.st_size, found.st_mtime, tag)


def _missing(key: str) -> FileMissing:
    return FileMissing(f"there is no file {key!r} in the store")


@contextlib.contextmanager
def _errors(action: str, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = StoreConflict if error.errno in _IN_THE_WAY else StoreError
        raise kind(action, key, error) from error
