"""The job folder in PHFS, the only place to which the sidecar writes.

Users can write there too, so every folder is opened below the PHFS root without following links. The module works on
any mount: it uses mkdir, sequential create and close, and a rename only to replace an existing file; a mount without
rename works too. Errors are StoreError, which carries the operating system's error.
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
from sidecar.file_system import is_local
from sidecar.open_folders import OpenFolders
from sidecar.openat2 import open_beneath

_OPEN_PATH = os.O_PATH | os.O_DIRECTORY
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_NO_RENAME = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV}
_OBSTRUCTED = {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EXDEV}
_NO_FOLDER = {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}
_MAX_ATTEMPTS = 3  # to create a file whose folder others remove at the same time
TEMPORARY_FOLDERS = [f"{TEMPORARY}/{number}" for number in range(4)]  # a remote folder takes one create at a time

ContentWriter = Callable[[int], None]  # writes a file's content to a descriptor


class JobFolderStore:
    """The job folder below the mount `root`. Safe to use from several threads after `connect`.

    `has_change_times`: the ctime of a copy reveals that somebody else has changed the copy. The ctime of a remote store
    may change by itself, for example when the copy is uploaded.
    """

    def __init__(self, root: str, job: str, file_mode: int, folder_mode: int) -> None:
        self._root, self._folder = root, job_folder(job)
        self._file_mode, self._folder_mode = file_mode, folder_mode
        self._numbers = itertools.count()
        self._root_fd = -1
        self.has_change_times = False

    def connect(self) -> None:
        """Open the mount, or reopen it: after ENOTCONN or ESTALE, the old descriptor never works again."""
        try:
            fd = os.open(self._root, _OPEN_PATH)
        except OSError as error:
            raise StoreError("open", self._root, error) from error
        if self._root_fd < 0:
            self._root_fd = fd
        else:  # keep the number, because another thread may be using it
            os.dup2(fd, self._root_fd, inheritable=False)
            os.close(fd)
        self.has_change_times = is_local(self._root_fd)

    def close(self) -> None:
        """Close the mount's descriptor."""
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1

    def open_folders(self) -> OpenFolders[None]:
        """Return a cache of open folders for several calls of `write`. The caller must close it."""
        return OpenFolders(self._open_folder)

    def write(
        self,
        path: str,
        write_content: ContentWriter,
        executable: bool = False,
        exists: bool = False,
        folders: OpenFolders[None] | None = None,
    ) -> int:
        """Create or replace the file `path`. `exists`: there is already a file.

        An existing file is replaced by a rename, never truncated. A failed attempt leaves no new file or folder and
        does not change an older file. An OSError of `write_content` counts as an error of the store. Returns the new
        file's ctime in UNIX nanoseconds, or 0 without `has_change_times`.
        """
        mode = self._file_mode | (0o111 if executable else 0)
        if folders is not None:
            return self._write(path, write_content, mode, exists, folders)
        with contextlib.closing(self.open_folders()) as own_folders:
            return self._write(path, write_content, mode, exists, own_folders)

    def write_bytes(self, path: str, content: bytes, exists: bool = False) -> None:
        """Create or replace the small file `path`. `exists`: there is already a file."""

        def write_content(fd: int) -> None:
            write_all(fd, content)

        self.write(path, write_content, exists=exists)

    def read_lines(self, path: str) -> Generator[bytes, None, None]:
        """Yield the lines of a metadata file, in pieces of at most 64 KiB. Raises StoreError."""
        with _store_errors("read", path):
            fd = open_beneath(self._root_fd, self._full_path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError(errno.EINVAL, "not a regular file")
            with open(fd, "rb") as file:
                while line := file.readline(64 * 1024):
                    yield line

    def stat(self, path: str) -> os.stat_result | None:
        """Return the stat of the regular file `path`, or None if there is no such file."""
        try:
            with _store_errors("stat", path), self._open_parent(path) as (folder_fd, name):
                status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except StoreError as error:
            if error.cause.errno in (errno.ENOENT, *_OBSTRUCTED):
                return None
            raise
        return status if stat.S_ISREG(status.st_mode) else None

    def open_folder(self, folder: str) -> int | None:
        """Open a folder of the job folder ("" for the job folder itself), or return None if there is no such folder."""
        try:
            return self._open_folder(folder)[0]
        except OSError as error:
            if error.errno in _NO_FOLDER:
                return None
            raise _store_error("open", folder, error) from error

    def remove(self, path: str) -> None:
        """Remove a file that the collector wrote, and the folders that become empty. A missing file is not an error."""
        self._unlink(path)
        folder = path.rpartition("/")[0]
        while folder:
            try:
                self._remove_folder(folder)
            except FileNotFoundError:  # a sidecar that was killed here may have left the folders above
                folder = self._existing_part(folder)
            except OSError:
                return  # not empty, or not removable
            else:
                folder = folder.rpartition("/")[0]

    def make_temporary_folders(self) -> None:
        """Create the folders for temporary files in advance, since time is short in the last sync."""
        with contextlib.suppress(OSError):
            for folder in TEMPORARY_FOLDERS:
                self._make_folders(self._full_path(folder))

    def remove_temporaries(self) -> None:
        """Remove the half-written temporary files of a sync that was killed or failed."""
        for folder in TEMPORARY_FOLDERS:
            with contextlib.suppress(OSError):
                fd = open_beneath(self._root_fd, self._full_path(folder), os.O_RDONLY | os.O_DIRECTORY)
                try:
                    for name in os.listdir(fd):
                        with contextlib.suppress(OSError):
                            os.unlink(name, dir_fd=fd)
                finally:
                    os.close(fd)

    def remove_empty_folder(self, folder: str) -> None:
        """Remove a folder of the collector, unless it has files or cannot be removed."""
        with contextlib.suppress(OSError):
            self._remove_folder(folder)

    def _full_path(self, path: str) -> str:
        """Return the path relative to the PHFS root. `path` is relative to the job folder ("": the job folder)."""
        return f"{self._folder}/{path}" if path else self._folder

    @contextlib.contextmanager
    def _open_parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Open the folder of `path`; yield its descriptor and the last name of the path."""
        folder, _, name = self._full_path(path).rpartition("/")
        fd = open_beneath(self._root_fd, folder, _OPEN_PATH)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def _remove_folder(self, folder: str) -> None:
        with self._open_parent(folder) as (parent_fd, name):
            os.rmdir(name, dir_fd=parent_fd)

    def _existing_part(self, folder: str) -> str:
        """Return the leading part of a folder's path that exists. The cost does not depend on the rest of the path."""
        existing: list[str] = []
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            fd = self._open_folder("")[0]
            stack.callback(os.close, fd)
            for name in folder.split("/")[:-1]:
                fd = os.open(name, _OPEN_PATH | os.O_NOFOLLOW, dir_fd=fd)
                stack.callback(os.close, fd)
                existing.append(name)
        return "/".join(existing)

    def _open_folder(self, folder: str) -> tuple[int, None]:
        """Open a folder, relative to the job folder ("" for the job folder itself)."""
        return open_beneath(self._root_fd, self._full_path(folder), _OPEN_PATH), None

    def _write(
        self, path: str, write_content: ContentWriter, mode: int, exists: bool, folders: OpenFolders[None]
    ) -> int:
        if not exists:
            try:
                return self._create(path, write_content, mode, folders)
            except StoreError as error:
                if error.cause.errno != errno.EEXIST:
                    raise
        return self._replace(path, write_content, mode, folders)

    def _create(self, path: str, write_content: ContentWriter, mode: int, folders: OpenFolders[None]) -> int:
        """Create a file and return its ctime.

        An error of close counts: a FUSE mount reports a full or broken store only then.
        """
        folder, _, name = path.rpartition("/")
        try:
            try:
                fd = os.open(name, _CREATE, mode, dir_fd=folders.get(folder)[0])
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                fd = self._create_with_folder(folder, name, mode, folders)
        except OSError as error:
            raise _store_error("write", path, error) from error
        try:
            try:
                write_content(fd)
                return os.fstat(fd).st_ctime_ns if self.has_change_times else 0
            finally:
                os.close(fd)
        except BaseException as error:
            with contextlib.suppress(StoreError):
                self.remove(path)
            if isinstance(error, OSError):
                raise _store_error("write", path, error) from error
            raise

    def _create_with_folder(self, folder: str, name: str, mode: int, folders: OpenFolders[None]) -> int:
        """Create a file whose folder does not exist, or has been removed since it was opened."""
        attempts = 0
        while True:
            attempts += 1
            folders.forget(folder)
            self._make_folders(self._full_path(folder))
            try:
                return os.open(name, _CREATE, mode, dir_fd=folders.get(folder)[0])
            except OSError as error:
                if error.errno not in _NO_FOLDER or attempts == _MAX_ATTEMPTS:
                    raise

    def _replace(self, path: str, write_content: ContentWriter, mode: int, folders: OpenFolders[None]) -> int:
        number = next(self._numbers)
        temporary = f"{TEMPORARY_FOLDERS[number % len(TEMPORARY_FOLDERS)]}/{os.getpid()}-{number}"
        try:
            self._create(temporary, write_content, mode, folders)
        except StoreError as error:
            raise type(error)("write", path, error.cause) from error
        try:
            return self._rename(temporary, path, folders)
        except OSError as error:
            with contextlib.suppress(StoreError):
                self._unlink(temporary)
            if error.errno not in _NO_RENAME:
                raise _store_error("write", path, error) from error
            self._unlink(path)
            return self._create(path, write_content, mode, folders)

    def _rename(self, temporary: str, path: str, folders: OpenFolders[None]) -> int:
        """Rename a file, which changes its ctime, and return that."""
        source_folder, _, source_name = temporary.rpartition("/")
        folder, _, name = path.rpartition("/")
        source_fd = folders.get(source_folder)[0]
        try:
            os.rename(source_name, name, src_dir_fd=source_fd, dst_dir_fd=folders.get(folder)[0])
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            folders.forget(folder)
            self._make_folders(self._full_path(folder))
            os.rename(source_name, name, src_dir_fd=source_fd, dst_dir_fd=folders.get(folder)[0])
        if not self.has_change_times:
            return 0
        return os.stat(name, dir_fd=folders.get(folder)[0], follow_symlinks=False).st_ctime_ns

    def _unlink(self, path: str) -> None:
        with _store_errors("remove", path):
            try:
                with self._open_parent(path) as (folder_fd, name):
                    os.unlink(name, dir_fd=folder_fd)
            except OSError as error:  # if there is a folder or a link now, the collector's copy is gone too
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR):
                    raise

    def _make_folders(self, folder: str) -> None:
        """Create the folder, relative to the PHFS root, and its parents.

        A link in place of the job folder, or of a folder below, is removed. Removing a link loses no files, while
        following it would write to another place.
        """
        fd = os.open(".", _OPEN_PATH, dir_fd=self._root_fd)
        try:
            for depth, name in enumerate(folder.split("/")):
                child_fd = self._make_folder(fd, name, may_unlink=depth > JOB_ARTIFACTS.count("/"))
                os.close(fd)
                fd = child_fd
        finally:
            os.close(fd)

    def _make_folder(self, parent_fd: int, name: str, may_unlink: bool) -> int:
        for _ in range(3):
            try:
                return os.open(name, _OPEN_PATH | os.O_NOFOLLOW, dir_fd=parent_fd)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, self._folder_mode, dir_fd=parent_fd)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR) or not may_unlink:
                    raise
                if not stat.S_ISLNK(os.stat(name, dir_fd=parent_fd, follow_symlinks=False).st_mode):
                    raise
                os.unlink(name, dir_fd=parent_fd)
        raise OSError(errno.ELOOP, "the folder is repeatedly replaced by a link", name)


@contextlib.contextmanager
def _store_errors(action: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _store_error(action, path, error) from error


def _store_error(action: str, path: str, error: OSError) -> StoreError:
    return (StoreConflict if error.errno in _OBSTRUCTED else StoreError)(action, path, error)


def write_all(fd: int, content: bytes | memoryview) -> None:
    """Write all bytes, in several calls if the store accepts fewer at a time."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(fd, remaining) :]


def file_system_of(path: str) -> str:
    """Return the type of the file system that `path` is on, as in /proc/self/mountinfo ("ext4", "fuse.rclone", ...)."""
    parent, name = os.path.split(os.path.abspath(path))
    # Resolve only the parent: a stat of the mount itself may hang.
    real_path = os.fsencode(os.path.join(os.path.realpath(parent), name))
    longest, file_system = b"", b""
    for mount in read_mounts():
        mount_point = mount.mount_point
        is_above = real_path == mount_point or real_path.startswith(mount_point.rstrip(b"/") + b"/")
        if is_above and len(mount_point) >= len(longest):
            longest, file_system = mount_point, mount.file_system
    return os.fsdecode(file_system)
