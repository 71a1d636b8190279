"""Reads the job's volumes as hostile input: every path is opened below one root, as main would see it.

Owns the rules on what may be collected at all: only regular files on the job's volumes, and not the job folder itself.
Files on volumes that other pods can use too are collected only if main's user could have read them.
"""

import errno
import functools
import os
import stat
from dataclasses import dataclass

from artifacts.layout import JOB_ARTIFACTS
from artifacts.names import encode_path
from sidecar.access import AccessRules, MainUser
from sidecar.open_folders import OpenFolders
from sidecar.openat2 import open_in_root, walk_in_root

OpenFile = tuple[int, os.stat_result]
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_LIST_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
_MAY_NOT_READ = "its mode does not let main's user read it, or the pod does not set that user (runAsUser)"
_MAY_NOT_ENTER = "main's user cannot enter a folder above it, or the pod does not set that user (runAsUser)"


class PathRefused(Exception):
    """The path must not be collected, for `reason` (a key of artifacts.report.REASONS, or "in_place")."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, encode_path(detail)


@dataclass(frozen=True)
class VolumeView:
    """The volumes as main sees them. All paths are absolute paths in main.

    `path`: the artifacts folder. `volumes`: the mount points of the volumes; if empty, every path is on a volume.
    `hidden_paths`: paths that the sidecar cannot see, such as nested mounts. `private_volumes`: those of `volumes`
    that no other pod uses.
    """

    path: str
    volumes: tuple[str, ...]
    hidden_paths: tuple[str, ...]
    job_folder: str
    private_volumes: tuple[str, ...] = ()

    @functools.cached_property
    def job_artifacts(self) -> str:
        """The folder of all job folders of the group."""
        return os.path.dirname(self.job_folder)

    @functools.cached_property
    def _groups(self) -> str:
        """The folder of all groups' folders if PHFS shows one of them in place, as in local mode, or ""."""
        groups = os.path.dirname(os.path.dirname(self.job_artifacts))
        return groups if os.path.basename(groups) == "groups" else ""

    def is_of_other_job(self, real_path: str) -> bool:
        """Whether a path without links is below `jobArtifacts/` of the store, but not in this job's folder."""
        if _is_within(real_path, self.job_folder) or real_path == self.job_artifacts:
            return False
        if _is_within(real_path, self.job_artifacts):
            return True
        if not self._groups or not _is_within(real_path, self._groups):
            return False
        return real_path[len(self._groups) + 1 :].split("/", 2)[1:2] == [JOB_ARTIFACTS]

    def is_visible(self, real_path: str) -> bool:
        """Whether a path without links is on a volume that the sidecar can see."""
        if any(_is_within(real_path, hidden) for hidden in self.hidden_paths):
            return False
        return not self.volumes or any(_is_within(real_path, volume) for volume in self.volumes)

    def volume_of(self, real_path: str) -> str:
        """Return the mount point of the volume that a visible path is on."""
        return max((volume for volume in self.volumes or ("/",) if _is_within(real_path, volume)), key=len)


class Source:
    """The artifacts folder below `root`, the directory where main's volumes are mounted in the sidecar."""

    def __init__(self, root: str, view: VolumeView, main_user: MainUser) -> None:
        self.view = view
        self._access = AccessRules(main_user)
        self._root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
        self._root = os.readlink(f"/proc/self/fd/{self._root_fd}").rstrip("/")

    def close(self) -> None:
        """Close the root's descriptor."""
        os.close(self._root_fd)

    def full_path(self, path: str) -> str:
        """Return the path in main of `path`, which is relative to the artifacts folder and not encoded."""
        return f"{self.view.path}/{path}" if path else self.view.path

    def open_folder(self, path: str) -> tuple[int, str]:
        """Open the folder `path` for listing. Returns the descriptor and the real path in main.

        Raises PathRefused or OSError.
        """
        fd = self._open(path, _LIST_FLAGS)
        try:
            return fd, self._check_access(fd)
        except BaseException:
            os.close(fd)
            raise

    def stat_target(self, path: str) -> tuple[os.stat_result, str]:
        """Return the stat and the real path in main of the file that the link `path` points to.

        Raises PathRefused or OSError.
        """
        fd = self._open(path, os.O_PATH)
        try:
            return os.fstat(fd), self._check_access(fd)
        finally:
            os.close(fd)

    def open_file(self, path: str) -> OpenFile:
        """Open the file `path` for reading. Returns the descriptor and its stat. Raises PathRefused or OSError.

        The file is first opened with O_PATH: opening a FIFO for reading would unblock a writer in main, and closing it
        would kill that writer.
        """
        path_fd = self._open(path, os.O_PATH)
        try:
            if self.path_in_job_folder(self._check_access(path_fd)) is not None:
                raise PathRefused("in_place")
            return _open_to_read(path_fd, os.fstat(path_fd))
        finally:
            os.close(path_fd)

    def open_parent(self, path: str) -> tuple[int, bool]:
        """Open the folder `path` for `open_file_in`, like `open_folder`. Refuses a folder of the job folder.

        Returns the descriptor, and whether main's user may lack a right that the sidecar has to the files in it.
        """
        fd, real_path = self.open_folder(path)
        if self.path_in_job_folder(real_path) is not None:
            os.close(fd)
            raise PathRefused("in_place")
        return fd, self._is_restricted(real_path)

    def open_file_in(self, folder_fd: int, is_restricted: bool, name: str, main_is_running: bool) -> OpenFile | None:
        """Open the file `name` in an open folder, like `open_file`. Returns None for a link: `open_file` must open it.

        Once main has ended, opening a FIFO harms nobody, so the file is opened directly, which costs half as much.
        """
        try:
            fd = os.open(name, (os.O_PATH if main_is_running else _READ_FLAGS) | os.O_NOFOLLOW, dir_fd=folder_fd)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            if error.errno == errno.ENXIO:
                raise PathRefused("special_file") from error
            raise
        opened: OpenFile | None = None
        try:
            status = os.fstat(fd)
            if is_restricted and not self._access.can_read(status):
                raise PathRefused("unreadable", _MAY_NOT_READ)
            if not stat.S_ISLNK(status.st_mode):
                opened = _open_to_read(fd, status, is_open=not main_is_running)
        finally:
            if opened is None or opened[0] != fd:
                os.close(fd)
        return opened

    def path_in_job_folder(self, real_path: str) -> str | None:
        """Return the path relative to the job folder ("" for the folder itself), or None if it is outside."""
        folder = self.view.job_folder
        return real_path[len(folder) + 1 :] if _is_within(real_path, folder) else None

    def has_parent_folder(self) -> bool:
        """Whether the parent of the artifacts folder can be opened."""
        try:
            os.close(open_in_root(self._root_fd, os.path.dirname(self.view.path), os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    def lstat_artifacts(self) -> os.stat_result:
        """Return the stat of the artifacts folder, or of the link at its path."""
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
            self._refuse_if_outside(full_path)
            raise

    def _refuse_if_outside(self, full_path: str) -> None:
        """Raise PathRefused if a path that cannot be opened leads out of the job's volumes or is a link loop."""
        try:
            os.close(walk_in_root(self._root_fd, full_path, os.O_PATH))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise PathRefused("link_loop") from error
            stopped_at = error.filename if isinstance(error.filename, str) else full_path
            # If no volumes are configured, a path whose top-level folder does not exist is outside all of them.
            has_no_top_folder = not self.view.volumes and stopped_at.count("/") == 1 and stopped_at != full_path
            if has_no_top_folder or not self.view.is_visible(stopped_at):
                raise PathRefused("outside_volumes", stopped_at) from error

    def _check_access(self, fd: int) -> str:
        """Check an opened file or folder by its real path in main, and return that path. Raises PathRefused.

        The requested path proves nothing, because the job can swap links at any time.
        """
        link = os.readlink(f"/proc/self/fd/{fd}")
        real_path = link[len(self._root) :] or "/"
        if not self.view.is_visible(real_path):
            raise PathRefused("outside_volumes", real_path)
        if self.view.is_of_other_job(real_path):
            raise PathRefused("other_jobs")
        if self._is_restricted(real_path):
            self._check_mains_access(fd, real_path)
        return real_path

    def _is_restricted(self, real_path: str) -> bool:
        """Whether main's user may lack a right that the sidecar has, to a path that is not private to the pod."""
        return self._access.is_needed and self.view.volume_of(real_path) not in self.view.private_volumes

    def _check_mains_access(self, fd: int, real_path: str) -> None:
        """Raise PathRefused if main's user could not read the file or folder: a link to it would publish it."""
        status = os.fstat(fd)
        if not self._access.can_read(status):
            raise PathRefused("unreadable", _MAY_NOT_READ)
        volume = self.view.volume_of(real_path)
        if real_path == volume:
            return
        folder_fd = os.dup(fd) if stat.S_ISDIR(status.st_mode) else self._open_folder_of(status, real_path)
        try:
            if not self._access.can_reach(folder_fd, self._id_of(volume)):
                raise PathRefused("unreadable", _MAY_NOT_ENTER)
        finally:
            os.close(folder_fd)

    def _open_folder_of(self, status: os.stat_result, real_path: str) -> int:
        """Open the folder that contains the file with this stat. Raises OSError if the file was moved meanwhile."""
        folder, _, name = real_path.rpartition("/")
        fd = open_in_root(self._root_fd, folder or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != (status.st_dev, status.st_ino):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), real_path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _id_of(self, folder: str) -> tuple[int, int]:
        fd = open_in_root(self._root_fd, folder, os.O_PATH)
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
        return status.st_dev, status.st_ino


class SourceFolders:
    """The source's folders, held open for one sync. Safe to use from several threads, except for `close`."""

    def __init__(self, source: Source, main_is_running: bool = True) -> None:
        self._source, self._folders = source, OpenFolders(source.open_parent)
        self._main_is_running = main_is_running

    def open_file(self, path: str) -> OpenFile:
        """Open a file like Source.open_file."""
        folder, _, name = path.rpartition("/")
        folder_fd, is_restricted = self._folders.get(folder)
        opened = self._source.open_file_in(folder_fd, is_restricted, name, self._main_is_running)
        return opened or self._source.open_file(path)

    def close(self) -> None:
        """Close all folders."""
        self._folders.close()


def _open_to_read(fd: int, status: os.stat_result, is_open: bool = False) -> OpenFile:
    """Open the regular file of an O_PATH descriptor (`is_open`: of one for reading) for reading. Raises PathRefused."""
    if not stat.S_ISREG(status.st_mode):
        raise PathRefused("special_file")
    return fd if is_open else os.open(f"/proc/self/fd/{fd}", _READ_FLAGS), status


def _is_within(path: str, folder: str) -> bool:
    return folder in (path, "/") or path.startswith(folder + "/")
