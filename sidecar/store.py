"""The job folder in PHFS: the only place the sidecar writes to.

Users can write there too, so every path is opened below the PHFS root with no link followed, each time anew. It
works on any mount: mkdir, sequential create, close; a rename only over something that exists already, and not even
that where the store knows none. Errors are StoreError, which carries the operating system's.
"""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable, Generator, Iterator

from artifacts.errors import StoreConflict, StoreError
from artifacts.layout import JOB_ARTIFACTS, TEMPORARY, job_folder
from artifacts.mounts import read_mounts
from sidecar.openat2 import open_beneath

_PLACE = os.O_PATH | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NO_RENAME = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV}
_IN_THE_WAY = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EXDEV}
_NO_FOLDER = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}
_TEMPORARY_FOLDERS = 4  # a remote folder takes one create at a time, so they are spread
MAX_MANIFEST_BYTES = 512 * 1024 * 1024

Fill = Callable[[int], None]  # writes a file's content to a descriptor


class Store:
    """One job's folder below the mount `root`. Safe to use from several threads."""

    def __init__(self, root: str, job: str, file_mode: int, folder_mode: int) -> None:
        self._root, self._folder = root, job_folder(job)
        self._file_mode, self._folder_mode = file_mode, folder_mode
        self._numbers = itertools.count()
        self._root_fd = -1

    def connect(self) -> None:
        """(Re)open the mount: after ENOTCONN or ESTALE the old descriptor stays dead for ever."""
        try:
            fd = os.open(self._root, _PLACE)
        except OSError as error:
            raise StoreError("open", self._root, error) from error
        if self._root_fd < 0:
            self._root_fd = fd
        else:  # another thread may be using the number: it must never mean anything else
            os.dup2(fd, self._root_fd, inheritable=False)
            os.close(fd)

    def close(self) -> None:
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1

    def write(self, path: str, fill: Fill, executable: bool = False, exists: bool = False) -> None:
        """Make `path` hold what `fill` writes. What is known to exist is replaced by a rename, never truncated;
        a failed attempt leaves nothing behind, and an older copy as it was. An OSError of `fill` is the store's."""
        mode = self._file_mode | (0o111 if executable else 0)
        if not exists:
            try:
                self._create(path, fill, mode)
                return
            except StoreError as error:
                if error.cause.errno != errno.EEXIST:
                    raise
        self._replace(path, fill, mode)

    def write_bytes(self, path: str, content: bytes, exists: bool = False) -> None:
        """Make the small file `path` hold `content`, replacing what was there (`exists`: something is)."""

        def fill(fd: int) -> None:
            write_all(fd, content)

        self.write(path, fill, exists=exists)

    def read_lines(self, path: str) -> Generator[bytes, None, None]:
        """The lines of a metadata file, each bounded, the whole bounded; StoreError where it cannot be read."""
        with _Errors("read", path):
            fd = open_beneath(self._root_fd, self._at(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EINVAL, "it is no regular file")
            with open(fd, "rb") as file:
                left = MAX_MANIFEST_BYTES
                while left > 0 and (line := file.readline(64 * 1024)):
                    left -= len(line)
                    yield line

    def size(self, path: str) -> int | None:
        """Bytes in the regular file `path`; None where there is none."""
        try:
            with _Errors("look at", path), self._parent(path) as (folder, name):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except StoreError as error:
            if error.cause.errno in (errno.ENOENT, *_IN_THE_WAY):
                return None
            raise
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def remove(self, path: str) -> None:
        """Remove a file of ours, and the folders that it leaves empty. What is gone already is fine."""
        self._unlink(path)
        while "/" in path:
            path = path.rpartition("/")[0]
            try:
                with self._parent(path) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
            except OSError:
                return  # not empty, or somebody else's business

    def make_temporary_folders(self) -> None:
        """Make the folders for copies on their way ahead of time: at the end there is none to spare."""
        with contextlib.suppress(OSError):
            for number in range(_TEMPORARY_FOLDERS):
                self._make_folders(self._at(f"{TEMPORARY}/{number}"))

    def remove_temporaries(self) -> None:
        """Remove what a killed sync left half-written on its way."""
        for number in range(_TEMPORARY_FOLDERS):
            with contextlib.suppress(OSError):
                fd = open_beneath(self._root_fd, self._at(f"{TEMPORARY}/{number}"), os.O_RDONLY | os.O_DIRECTORY)
                try:
                    for name in os.listdir(fd):
                        with contextlib.suppress(OSError):
                            os.unlink(name, dir_fd=fd)
                finally:
                    os.close(fd)

    def _at(self, path: str) -> str:
        return f"{self._folder}/{path}"

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The folder that `path` lies in, open, and its last name."""
        folder, _, name = self._at(path).rpartition("/")
        fd = open_beneath(self._root_fd, folder, _PLACE)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def _create(self, path: str, fill: Fill, mode: int) -> None:
        with _Errors("write", path):
            try:
                fd = open_beneath(self._root_fd, self._at(path), _CREATE, mode)
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                self._make_folders(self._at(path).rpartition("/")[0])
                fd = open_beneath(self._root_fd, self._at(path), _CREATE, mode)
        try:
            self._fill(path, fd, fill)
        except BaseException:
            self._forget(path)
            raise

    def _fill(self, path: str, fd: int, fill: Fill) -> None:
        """Close's error counts: a FUSE mount tells of a full or broken store only there."""
        try:
            with _Errors("write", path):
                fill(fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        with _Errors("write", path):
            os.close(fd)

    def _replace(self, path: str, fill: Fill, mode: int) -> None:
        number = next(self._numbers)
        temporary = f"{TEMPORARY}/{number % _TEMPORARY_FOLDERS}/{os.getpid()}-{number}"
        try:
            self._create(temporary, fill, mode)
        except StoreError as error:
            raise type(error)("write", path, error.cause) from error
        try:
            with _Errors("write", path):
                try:
                    self._rename(temporary, path)
                except OSError as error:
                    if error.errno not in _NO_FOLDER:
                        raise
                    self._make_folders(self._at(path).rpartition("/")[0])
                    self._rename(temporary, path)
        except StoreError as error:
            self._forget(temporary)
            if error.cause.errno not in _NO_RENAME:
                raise
            self._unlink(path)
            self._create(path, fill, mode)

    def _rename(self, temporary: str, path: str) -> None:
        with self._parent(temporary) as (from_folder, from_name), self._parent(path) as (folder, name):
            os.rename(from_name, name, src_dir_fd=from_folder, dst_dir_fd=folder)

    def _unlink(self, path: str) -> None:
        with _Errors("remove", path):
            try:
                with self._parent(path) as (folder, name):
                    os.unlink(name, dir_fd=folder)
            except OSError as error:  # where a folder or a link stands now, our copy is gone too
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
                    raise

    def _forget(self, path: str) -> None:
        with contextlib.suppress(StoreError):
            self._unlink(path)

    def _make_folders(self, folder: str) -> None:
        """Make the folder, given from the PHFS root, and those above it. A link that stands at or below the job
        folder is removed: whoever made it, nothing is lost with it, and through it we would write elsewhere."""
        fd = os.open(".", _PLACE, dir_fd=self._root_fd)
        try:
            for depth, name in enumerate(folder.split("/")):
                inner = self._make_folder(fd, name, may_unlink=depth > JOB_ARTIFACTS.count("/"))
                os.close(fd)
                fd = inner
        finally:
            os.close(fd)

    def _make_folder(self, parent: int, name: str, may_unlink: bool) -> int:
        for _ in range(3):
            try:
                return os.open(name, _PLACE | os.O_NOFOLLOW, dir_fd=parent)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, self._folder_mode, dir_fd=parent)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR) or not may_unlink:
                    raise
                if not stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    raise
                os.unlink(name, dir_fd=parent)
        raise OSError(errno.ELOOP, "it is replaced by a link again and again", name)


class _Errors:
    """Turns the operating system's errors into the store's. A class, since a generator would cost each file 3 us."""

    __slots__ = ("_action", "_path")

    def __init__(self, action: str, path: str) -> None:
        self._action, self._path = action, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            kind_of = StoreConflict if error.errno in _IN_THE_WAY else StoreError
            raise kind_of(self._action, self._path, error) from error


def write_all(fd: int, content: bytes | memoryview) -> None:
    """Write every byte; stores may take fewer at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def file_system_of(path: str) -> str:
    """Return the type of the file system that `path` is on, as in /proc/self/mountinfo ("ext4", "fuse.rclone", ...)."""
    parent, name = os.path.split(os.path.abspath(path))
    # Only the parent is resolved: a stat of the mount itself may hang.
    real = os.fsencode(os.path.join(os.path.realpath(parent), name))
    best, file_system = b"", b""
    for mount in read_mounts():
        point = mount.mount_point
        if len(point) >= len(best) and (real == point or real.startswith(point.rstrip(b"/") + b"/")):
            best, file_system = point, mount.file_system
    return os.fsdecode(file_system)
