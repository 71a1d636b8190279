"""Watching the artifacts folder: hints that something changed, so that a sync comes sooner. Never the truth.

Only closed, moved and deleted files, and folders, are asked for: a watch on every write would slow the job. Where
inotify has no watches or instances left, or events are lost, the timer finds the same a little later.
"""

import contextlib
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

log = get_logger(__name__)

_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,  # a file may be written in a new folder before that is watched
    DirMovedEvent,
    DirDeletedEvent,
]


class Watch(FileSystemEventHandler):
    """Calls `hint` at the first event after each `follow`, and then listens no more: there is nothing to be learned
    before the next look, and 20,000 events cost as much as writing the 20,000 files.

    The folder is given by a descriptor, opened as safely as all else.
    """

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint
        self._folder: tuple[int, int] | None = None
        self._observer: BaseObserver | None = None
        self._fd = -1
        self._listens = self._is_broken = False

    def follow(self, folder: tuple[int, int] | None, open_folder: Callable[[], int]) -> None:
        """Listen, from now on, to the folder with this (device, inode). To be called before each look, so that what
        changes after it raises an event. `None`: there is none. `open_folder` opens it.

        A folder that was not listened to before is worth a hint: it may have changed since the last look.
        """
        is_new = folder != self._folder
        if is_new:
            self.close()
            self._folder = folder
        if folder is None or self._is_broken or self._listens:
            return
        try:
            if self._observer is None:
                self._fd = open_folder()
                self._observer = Observer()
                self._observer.start()
            self._listens = True
            # The "/." matters: watchdog adds its watches with IN_DONT_FOLLOW, and the descriptor's path is a link.
            self._observer.schedule(self, f"/proc/self/fd/{self._fd}/.", recursive=True, event_filter=_EVENTS)
            if is_new:
                self._hint()
        except Exception as error:  # noqa: BLE001
            # ENOSPC (watches), EMFILE (instances), a folder that vanished: whatever it is, the timer goes on.
            log.info("folder not watched, the timer finds changes", error=error)
            self._stop()

    def rest(self) -> None:
        """Listen no more until the next `follow`."""
        observer = self._observer
        if self._listens and observer is not None:
            self._listens = False
            with contextlib.suppress(Exception):  # folders that are swapped quickly confuse its books
                observer.unschedule_all()

    def close(self) -> None:
        self._stop()
        self._folder = None

    def on_any_event(self, event: FileSystemEvent) -> None:
        if self._listens:
            self.rest()
            self._hint()

    def _stop(self) -> None:
        self._listens = False
        observer, self._observer = self._observer, None
        if observer is not None and observer.is_alive():
            try:
                observer.stop()
            except Exception as error:  # noqa: BLE001
                # Folders that are swapped quickly confuse its books. Its threads stay, and use the descriptor: once.
                log.warning("watch given up, the timer finds changes", error=repr(error))
                self._is_broken, self._fd = True, -1
                return
            observer.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
