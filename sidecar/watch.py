"""Watches the artifacts folder with inotify, so that a sync can start sooner after a change. Syncs do not depend on it.

The watch covers only closed, moved and deleted files, and folders: a watch on every write would slow down the job. If
inotify has no watches or instances left, or events are lost, the timer finds the changes a little later.
"""

import errno
import os
from collections import deque
from collections.abc import Callable

from artifacts.log import get_logger
from sidecar.inotify import Inotify
from sidecar.openat2 import open_beneath

logger = get_logger(__name__)

MAX_FOLDERS = 20_000  # to watch; each needs about 1 kB in the kernel
MAX_PATH_BYTES = 4_000_000  # of the folders that wait to be watched
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
# The limits count for all processes of one user on the node, so other pods' programs use them up too.
_SYSCTLS: dict[int | None, str] = {
    errno.EMFILE: "fs.inotify.max_user_instances",
    errno.ENOSPC: "fs.inotify.max_user_watches",
}


class FolderWatch:
    """Calls `on_change` at the first event after each `follow`, and then ignores events until the next `follow`.

    One event is enough to trigger a scan, and handling 20,000 events costs as much as writing 20,000 files.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._folder_id: tuple[int, int] | None = None
        self._inotify: Inotify | None = None
        self._problem = ""  # the last logged reason why the folder is not watched

    def follow(self, folder_id: tuple[int, int] | None, open_folder: Callable[[], int]) -> None:
        """Start to listen to the folder with this (device, inode); None if there is no folder.

        Call this before each scan, so that changes after the scan raise an event. `open_folder` opens the folder. If
        the folder is new, `on_change` is called at once, since it may have changed since the last scan.
        """
        is_new = folder_id != self._folder_id
        if is_new:
            self.pause()
            self._folder_id = folder_id
        if folder_id is None or (self._inotify is not None and self._inotify.is_listening):
            return
        try:
            self._inotify = _watch_tree(open_folder, self._on_change)
        except OSError as error:
            self._log_problem(error)
            return
        if self._problem:
            self._problem = ""
            logger.info("folder watched again")
        if is_new:
            self._on_change()

    def pause(self) -> None:
        """Stop listening until the next `follow`."""
        if self._inotify is not None:
            self._inotify.close()

    def _log_problem(self, error: OSError) -> None:
        """Log why the folder is not watched, unless that is already logged: each sync tries again.

        ENOSPC (watches), EMFILE (instances), a folder that vanished: in each case the timer still works.
        """
        problem = f"{error}; raise {_SYSCTLS[error.errno]} on the node" if error.errno in _SYSCTLS else str(error)
        if problem != self._problem:
            self._problem = problem
            logger.info("folder not watched, the timer finds changes", error=problem)


def _watch_tree(open_folder: Callable[[], int], on_change: Callable[[], None]) -> Inotify:
    """Listen to a folder and the folders in it, level by level, as far as MAX_FOLDERS and MAX_PATH_BYTES allow.

    Raises OSError if the folder cannot be opened, or if inotify is used up.
    """
    root_fd = open_folder()
    try:
        inotify = Inotify(on_change)
        try:
            _add_folders(inotify, root_fd)
            inotify.start()
        except BaseException:
            inotify.close()
            raise
    finally:
        os.close(root_fd)
    return inotify


def _add_folders(inotify: Inotify, root_fd: int) -> None:
    pending, pending_bytes, count = deque([""]), 0, 0
    while pending and count < MAX_FOLDERS:
        path = pending.popleft()
        pending_bytes -= len(path)
        try:
            fd = open_beneath(root_fd, path, _FOLDER) if path else os.dup(root_fd)
        except OSError:
            continue  # the folder vanished or cannot be read
        try:
            inotify.add(fd)  # before the folder is listed, so that a folder created meanwhile raises an event
            count += 1
            with os.scandir(fd) as entries:
                for entry in entries:
                    if pending_bytes < MAX_PATH_BYTES and entry.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/{entry.name}" if path else entry.name)
                        pending_bytes += len(pending[-1])
        finally:
            os.close(fd)
