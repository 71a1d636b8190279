"""The job's volumes, read as hostile input: every path is opened below one root, as `main` would see it.

Owns the rule what may be collected at all: only what lies on the job's volumes, only regular files, not the job
folder itself, and, where the sidecar runs as root, of other volumes than the working directory's only what main's
user could have read.
"""

import errno
import os
import stat
import threading
from dataclasses import dataclass

from artifacts.names import encode_path
from sidecar.openat2 import open_in_root, walk_in_root

Opened = tuple[int, os.stat_result]
_READ_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK


class Refused(Exception):
    """A path that is not collected, for `reason` (a key of artifacts.report.REASONS)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, encode_path(detail)


@dataclass(frozen=True)
class View:
    """How main sees its volumes: all paths absolute, as in main. No volumes given: all below the root."""

    path: str
    volumes: tuple[str, ...]
    hidden_paths: tuple[str, ...]
    job_folder: str

    def sees(self, real_path: str) -> bool:
        """Whether a path that links have led to lies on a volume that the sidecar can see."""
        if any(_within(real_path, hidden) for hidden in self.hidden_paths):
            return False
        return not self.volumes or any(_within(real_path, volume) for volume in self.volumes)

    def beside(self, real_path: str) -> bool:
        """Whether it lies on the volume that the artifacts folder, or the link that stands for it, was made on."""
        home = os.path.dirname(self.path)
        return self._volume(real_path, home) == self._volume(home, home)

    def _volume(self, path: str, home: str) -> str:
        return max((volume for volume in self.volumes or (home,) if _within(path, volume)), key=len, default="")


class Source:
    """The artifacts folder below `root`, where main's volumes are mounted."""

    def __init__(self, root: str, view: View) -> None:
        self.view = view
        self._root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
        self._root = os.readlink(f"/proc/self/fd/{self._root_fd}").rstrip("/")
        self._is_root = os.geteuid() == 0
        self._owner = 0

    def close(self) -> None:
        os.close(self._root_fd)

    def full_path(self, path: str) -> str:
        """The path in main of `path`, which is relative to the artifacts folder (and raw, not encoded)."""
        return f"{self.view.path}/{path}" if path else self.view.path

    def open_folder(self, path: str) -> tuple[int, str]:
        """A descriptor to list the folder `path` with, and its real path in main. Raises Refused or OSError."""
        if not path:
            self._owner = self.lstat().st_uid
        fd = self._open(path, _READ_FOLDER)
        try:
            return fd, self._checked(fd)
        except BaseException:
            os.close(fd)
            raise

    def locate(self, path: str) -> tuple[os.stat_result, str]:
        """What a link leads to: its stat, and its real path in main. Raises Refused or OSError."""
        fd = self._open(path, os.O_PATH)
        try:
            return os.fstat(fd), self._checked(fd)
        finally:
            os.close(fd)

    def open_file(self, path: str) -> Opened:
        """A descriptor to read the file `path` from, and its stat. Raises Refused or OSError.

        It is opened as a place first: opening a FIFO to read would wake a writer in main, and closing it kill it.
        """
        place = self._open(path, os.O_PATH)
        try:
            if self.path_in_place(self._checked(place)) is not None:
                raise Refused("in_place")
            return _open_to_read(place, os.fstat(place))
        finally:
            os.close(place)

    def open_file_in(self, folder: int, real_folder: str, name: str) -> Opened | None:
        """The same for the file `name` in a folder that is open already; None where it is a link."""
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
        try:
            found = os.fstat(place)
            if stat.S_ISLNK(found.st_mode):
                return None
            self._guard_owner(found, real_folder)
            return _open_to_read(place, found)
        finally:
            os.close(place)

    def path_in_place(self, real_path: str) -> str | None:
        """The path in the job folder ("" for itself) of what lies there already, None for all else."""
        folder = self.view.job_folder
        return real_path[len(folder) + 1 :] if _within(real_path, folder) else None

    def has_parent(self) -> bool:
        """Whether the folder that the artifacts folder belongs in can be seen."""
        try:
            os.close(open_in_root(self._root_fd, os.path.dirname(self.view.path), os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def lstat(self) -> os.stat_result:
        """The stat of the artifacts folder, or of the link that stands for it: made by main, so main's uid."""
        parent, name = os.path.split(self.view.path)
        fd = open_in_root(self._root_fd, parent, os.O_PATH)
        try:
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(fd)

    def _open(self, path: str, flags: int) -> int:
        full_path = self.full_path(path)
        try:
            return open_in_root(self._root_fd, full_path, flags)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            self._explain(full_path)
            raise

    def _explain(self, full_path: str) -> None:
        """Raise Refused where a path that leads nowhere leaves the job's volumes on its way, or runs in a loop."""
        try:
            os.close(walk_in_root(self._root_fd, full_path, os.O_PATH))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Refused("link_loop") from error
            stopped = error.filename if isinstance(error.filename, str) else full_path
            # With no volumes named, what lies below a folder that is not even there is on none of them.
            unknown = not self.view.volumes and stopped.count("/") == 1 and stopped != full_path
            if unknown or not self.view.sees(stopped):
                raise Refused("outside_volumes", stopped) from error

    def _checked(self, fd: int) -> str:
        """The real path in main of an opened file or folder, by what was opened, not by what was asked for."""
        real = os.readlink(f"/proc/self/fd/{fd}")
        real_path = real[len(self._root) :] or "/"
        if not self.view.sees(real_path):
            raise Refused("outside_volumes", real_path)
        if self._is_root:
            self._guard_owner(os.fstat(fd), real_path)
            self._guard_folders(real_path)
        return real_path

    def _guard_owner(self, found: os.stat_result, real_path: str) -> None:
        """As root we read anything; a link to a shared volume must not publish what main's user could not read."""
        if self._is_free(real_path):
            return
        if not found.st_mode & (0o400 if found.st_uid == self._owner else 0o004):
            raise Refused("unreadable", "its owner is another user than the artifacts folder's")

    def _guard_folders(self, real_path: str) -> None:
        """Nor what lies in a folder that main's user could not enter; the volume itself was mounted for it."""
        if self._is_free(real_path):
            return
        folder = os.path.dirname(real_path)
        while folder != "/" and folder not in self.view.volumes:
            fd = open_in_root(self._root_fd, folder, os.O_PATH | os.O_DIRECTORY)
            found = os.fstat(fd)
            os.close(fd)
            if not found.st_mode & (0o100 if found.st_uid == self._owner else 0o001):
                raise Refused("unreadable", "it lies in a folder of another user than the artifacts folder's")
            folder = os.path.dirname(folder)

    def _is_free(self, real_path: str) -> bool:
        return not self._is_root or self._owner == 0 or self.view.beside(real_path)


class OpenFolders:
    """A source's folders, kept open for one sync, so that each file does not cost a walk from the root."""

    _MOST = 128

    def __init__(self, source: Source) -> None:
        self._source = source
        self._folders: dict[str, tuple[int, str]] = {}
        self._lock = threading.Lock()

    def open_file(self, path: str) -> Opened:
        """As Source.open_file."""
        folder, _, name = path.rpartition("/")
        with self._lock:
            known = self._folders.get(folder) or self._open_folder(folder)
        opened = known and self._source.open_file_in(*known, name)
        return opened or self._source.open_file(path)

    def close(self) -> None:
        for fd, _ in self._folders.values():
            os.close(fd)
        self._folders.clear()

    def _open_folder(self, folder: str) -> tuple[int, str] | None:
        if len(self._folders) >= self._MOST:
            return None
        fd, real_path = self._source.open_folder(folder)
        if self._source.path_in_place(real_path) is not None:
            os.close(fd)
            return None
        self._folders[folder] = fd, real_path
        return fd, real_path


def _open_to_read(place: int, found: os.stat_result) -> Opened:
    if not stat.S_ISREG(found.st_mode):
        raise Refused("special_file")
    return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), found


def _within(path: str, folder: str) -> bool:
    return folder in (path, "/") or path.startswith(folder + "/")
