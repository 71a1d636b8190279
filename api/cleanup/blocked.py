"""Collects the folders that a run of the cleanup cannot read or remove because of what their owners did.

Users can close their folders or keep writing to them. That must not make each run a failure, since only the owners or
an administrator can change it; docs/retention.md describes how.
"""

import threading

from api.store.store import StoreBlocked
from artifacts.errors import StoreConflict, StoreError
from artifacts.log import get_logger

MAX_LISTED = 100
_MAX_LOGGED = 1000

logger = get_logger(__name__)


def is_blocked(error: Exception) -> bool:
    """Return whether the folder's owners, and not the store, cause the error."""
    return isinstance(error, StoreBlocked) or (isinstance(error, StoreConflict) and error.path.startswith("groups/"))


class BlockedFolders:
    """The blocked folders of one run: their number, and the keys of the first ones. Thread-safe.

    `logged` are the keys that earlier runs have logged.
    """

    def __init__(self, logged: set[str]) -> None:
        self.count = 0
        self.first: list[str] = []
        self._logged, self._lock = logged, threading.Lock()

    def add(self, folder: str, error: StoreError) -> None:
        """Count the folder with the key `folder`, and log it once."""
        with self._lock:
            self.count += 1
            if len(self.first) < MAX_LISTED:
                self.first.append(folder)
            if folder in self._logged or len(self._logged) >= _MAX_LOGGED:
                return
            self._logged.add(folder)
        logger.warning("folder blocked by its owner", folder=folder, error=error)
