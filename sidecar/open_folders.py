"""Holds folders open during a sync, so that opening a file in them does not resolve its path from the root.

Each thread has its own folders: a descriptor that another thread could close might be reused for another folder.
"""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

MAX_FOLDERS = 16  # for each thread; files are copied in the order of their folders

T = TypeVar("T")


class OpenFolders(Generic[T]):
    """The open folders of one sync, by path. `open_folder(path)` returns a descriptor and a value to hold with it.

    A folder that is renamed or replaced after it was opened stays open until `forget` or `close`.
    """

    def __init__(self, open_folder: Callable[[str], tuple[int, T]]) -> None:
        self._open_folder = open_folder
        self._thread = threading.local()
        self._all: list[dict[str, tuple[int, T]]] = []

    def get(self, path: str) -> tuple[int, T]:
        """Return the descriptor of the folder and its value. Raises the errors of `open_folder`."""
        try:
            return self._thread.folders[path]  # type: ignore[no-any-return]
        except (AttributeError, KeyError):
            return self._open(path)

    def forget(self, path: str) -> None:
        """Close the folder, because it is no longer the one at `path`. Only affects the calling thread."""
        folder = self._thread_folders().pop(path, None)
        if folder is not None:
            os.close(folder[0])

    def close(self) -> None:
        """Close all folders. No thread may be using them."""
        for folders in self._all:
            while folders:
                os.close(folders.popitem()[1][0])

    def _open(self, path: str) -> tuple[int, T]:
        folders = self._thread_folders()
        folder = self._open_folder(path)
        if len(folders) >= MAX_FOLDERS:
            self.forget(next(iter(folders)))
        folders[path] = folder
        return folder

    def _thread_folders(self) -> dict[str, tuple[int, T]]:
        if not hasattr(self._thread, "folders"):
            self._thread.folders = {}
            self._all.append(self._thread.folders)
        folders: dict[str, tuple[int, T]] = self._thread.folders
        return folders
