"""Waits for the first change in some folders, with inotify, which Python does not provide.

Only the fact that something changed counts, so nothing is stored for a folder: its watch is in the kernel alone.
"""

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200  # from linux/inotify.h
_ISDIR = 0x40000000
_MASK = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the name that follows
_BUFFER_BYTES = 64 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Calls `on_change` in its thread at the first event in one of the folders, and closes itself.

    Created files do not count until they are closed. Lost events count as a change.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._fd = _check(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._stop_fd = os.eventfd(0)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_listening = False

    def add(self, folder_fd: int) -> None:
        """Watch an open folder. Raises OSError."""
        _check(_libc.inotify_add_watch(self._fd, f"/proc/self/fd/{folder_fd}".encode(), _MASK))

    def start(self) -> None:
        """Start to listen. Events since `add` count."""
        self.is_listening = True
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and remove all watches. `on_change` may be running. Calling it again has no effect."""
        with self._lock:
            if self._thread is None:
                self._close_descriptors()
            elif self.is_listening:
                self.is_listening = False
                os.eventfd_write(self._stop_fd, 1)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._stop_fd, select.POLLIN)
        while self.is_listening and not self._has_changed(poll):
            pass
        with self._lock:
            has_changed, self.is_listening = self.is_listening, False
            self._close_descriptors()
        if has_changed:
            self._on_change()

    def _has_changed(self, poll: select.poll) -> bool:
        """Wait for events. Returns whether one of them is a change."""
        if all(fd != self._fd for fd, _ in poll.poll()):
            return False
        events, position = os.read(self._fd, _BUFFER_BYTES), 0
        while position < len(events):
            _, mask, _, name_bytes = _EVENT.unpack_from(events, position)
            if mask & ~_CREATE:  # includes _ISDIR
                return True
            position += _EVENT.size + name_bytes
        return False

    def _close_descriptors(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            os.close(self._stop_fd)
            self._fd = self._stop_fd = -1


def _check(result: int) -> int:
    """Return the result of a C function, or raise OSError if it is -1."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
