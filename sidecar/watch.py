"""Watches the artifacts folder with inotify, so that a sync can start sooner after a change. Syncs do not depend on it.

The watch covers only closed, moved and deleted files, and folders: a watch on every write would slow down the job. If
inotify has no watches or instances left, or events are lost, the timer finds the changes a little later.
"""

import contextlib
import errno
import os
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from artifacts.log import get_logger
from sidecar.openat2 import open_beneath

logger = get_logger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,  # a file may be written in a new folder before watchdog watches that folder
    DirMovedEvent,
    DirDeletedEvent,
]
# With more, only changes in the folder itself raise events.
MAX_ENTRIES = 200_000
MAX_FOLDERS = 20_000
MAX_PATH_BYTES = 4_000_000
_TOO_LARGE = (
    f"it has more than {MAX_FOLDERS} folders or {MAX_ENTRIES} entries, or their paths are too long; "
    "only the folder itself is watched"
)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
# The limits count for all processes of one user on the node, so other pods' programs use them up too.
_SYSCTLS: dict[int | None, str] = {
    errno.EMFILE: "fs.inotify.max_user_instances",
    errno.ENOSPC: "fs.inotify.max_user_watches",
}


class FolderWatch(FileSystemEventHandler):
    """Calls `on_change` at the first event after each `follow`, and then ignores events until the next `follow`.

    One event is enough to trigger a scan, and handling 20,000 events costs as much as writing 20,000 files. The folder
    is watched through a descriptor, which the source opens safely.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._folder_id: tuple[int, int] | None = None
        self._observer: BaseObserver | None = None
        self._fd = -1
        self._is_listening = self._is_broken = False
        self._problem = ""  # the last logged reason why the folder is not watched

    def follow(self, folder_id: tuple[int, int] | None, open_folder: Callable[[], int]) -> None:
        """Start to listen to the folder with this (device, inode); None if there is no folder.

        Call this before each scan, so that changes after the scan raise an event. `open_folder` opens the folder. If
        the folder is new, `on_change` is called at once, since it may have changed since the last scan.
        """
        is_new = folder_id != self._folder_id
        if is_new:
            self.close()
            self._folder_id = folder_id
        if folder_id is None or self._is_broken or self._is_listening:
            return
        try:
            if self._observer is None:
                self._fd = open_folder()
                self._observer = Observer()
                self._observer.start()
            is_small = _is_small(self._fd)
            self._is_listening = True
            # The "/." is needed: watchdog adds its watches with IN_DONT_FOLLOW, and the descriptor's path is a link.
            self._observer.schedule(self, f"/proc/self/fd/{self._fd}/.", recursive=is_small, event_filter=_EVENTS)
            if is_new:
                self._on_change()
        except Exception as error:  # noqa: BLE001
            self._log_problem(_describe(error))
            self._stop()
        else:
            self._log_problem("" if is_small else _TOO_LARGE)

    def _log_problem(self, problem: str) -> None:
        """Log why changes raise no event, unless that is already logged: each sync tries again.

        ENOSPC (watches), EMFILE (instances), a folder that vanished: in each case the timer still works.
        """
        if problem == self._problem:
            return
        self._problem = problem
        if problem:
            logger.info("folder not watched, the timer finds changes", error=problem)
        else:
            logger.info("folder watched again")

    def pause(self) -> None:
        """Stop listening until the next `follow`."""
        observer = self._observer
        if self._is_listening and observer is not None:
            self._is_listening = False
            with contextlib.suppress(Exception):  # watchdog loses track of folders that are swapped quickly
                observer.unschedule_all()

    def close(self) -> None:
        """Stop listening and close the folder."""
        self._stop()
        self._folder_id = None

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Handle an event of watchdog."""
        if self._is_listening:
            self.pause()
            self._on_change()

    def _stop(self) -> None:
        self._is_listening = False
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            try:
                observer.stop()
            except Exception as error:  # noqa: BLE001
                # watchdog loses track of folders that are swapped quickly. Its threads live on and use the descriptor,
                # so the descriptor stays open and no watch is started again.
                logger.warning("watch stopped, the timer finds changes", error=repr(error))
                self._is_broken, self._fd = True, -1
                return
            observer.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _describe(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return f"{error}; raise {_SYSCTLS[number]} on the node" if number in _SYSCTLS else str(error)


def _is_small(root_fd: int) -> bool:
    """Whether to watch the folders in an open folder: watchdog stores the path of each of them.

    Its walk also stores all names of a folder, so files count too.
    """
    pending, entry_count, folder_count, path_bytes = [""], 0, 0, 0
    while pending:
        path = pending.pop()
        try:
            fd = open_beneath(root_fd, path, _FOLDER) if path else os.dup(root_fd)
        except OSError:
            continue  # the folder vanished or cannot be read
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    entry_count += 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/{entry.name}" if path else entry.name)
                        folder_count, path_bytes = folder_count + 1, path_bytes + len(pending[-1])
                    if entry_count > MAX_ENTRIES or folder_count > MAX_FOLDERS or path_bytes > MAX_PATH_BYTES:
                        return False
        finally:
            os.close(fd)
    return True
