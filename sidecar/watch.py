"""Watching the artifacts folder: hints that something changed, so that a sync comes sooner. Never the truth.

Only closed, moved and deleted files, and folders, are asked for: a watch on every write would slow the job. Where
inotify has no watches or instances left, or events are lost, the timer finds the same a little later.
"""

import logging
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

log = logging.getLogger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,  # a file may be written in a new folder before that is watched
    DirMovedEvent,
    DirDeletedEvent,
]


class Watch(FileSystemEventHandler):
    """Calls `hint` on each event in a folder. The folder is given by a descriptor, opened as safely as all else."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._folder: tuple[int, int] | None = None
        self._observer: BaseObserver | None = None
        self._fd = -1

    def follow(self, folder: tuple[int, int] | None, open_folder: Callable[[], int]) -> None:
        """Watch the folder with this (device, inode) from now on; nothing to do where it is watched already.

        `None`: there is none. `open_folder` opens it.
        """
        if folder == self._folder:
            return
        self.close()
        self._folder = folder
        if folder is None:
            return
        try:
            self._fd = open_folder()
            self._observer = Observer()
            # The "/." matters: watchdog adds its watches with IN_DONT_FOLLOW, and the descriptor's path is a link.
            self._observer.schedule(self, f"/proc/self/fd/{self._fd}/.", recursive=True, event_filter=_EVENTS)
            self._observer.start()
        except Exception as error:  # noqa: BLE001
            # ENOSPC (watches), EMFILE (instances), a folder that vanished: whatever it is, the timer goes on.
            log.info("folder not watched, the timer finds changes: %s", error)
            self._stop()

    def close(self) -> None:
        self._stop()
        self._folder = None

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._hint()

    def _stop(self) -> None:
        if self._observer is not None:
            if self._observer.is_alive():
                self._observer.stop()
                self._observer.join()
            self._observer = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
