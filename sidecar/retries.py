"""Decides how often the last sync is retried: until its deadline, or for seconds after errors that rarely go away.

A full disk or a missing permission must not hold a pod, and its GPU, for the whole grace period. Without a deadline,
the pauses are limited, so that a store that stays broken does not hold the job for ever.
"""

import errno
import math
import threading
import time
from collections.abc import Set as AbstractSet

PERSISTENT_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EFBIG,
        errno.EINVAL,  # a name that the store does not allow, as EILSEQ and ENAMETOOLONG
        errno.EILSEQ,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,  # something occupies the path of a folder, as with the next three
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
    }
)
MAX_PERSISTENT_SECONDS = 5.0
MAX_WAIT_SECONDS = 30.0  # the total of all pauses, without a deadline
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 0.1, 5.0


class Retries:
    """The pauses between the attempts of one last sync. `deadline`: monotonic seconds. `abort` ends a pause."""

    def __init__(self, deadline: float, abort: threading.Event) -> None:
        self._deadline, self._abort = deadline, abort
        self._pause = _MIN_PAUSE_SECONDS
        self._waited_seconds = 0.0
        self._persistent_until: float | None = None

    def next_pause(self, codes: AbstractSet[int]) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there must be none.

        `codes`: the values of `errno` with which the attempt failed; empty if it failed for another reason.
        """
        now = time.monotonic()
        until = self._deadline if self._deadline < math.inf else now + MAX_WAIT_SECONDS - self._waited_seconds
        if not codes or codes - PERSISTENT_ERRORS:
            self._persistent_until = None
        else:
            self._persistent_until = self._persistent_until or now + MAX_PERSISTENT_SECONDS
            until = min(until, self._persistent_until)
        if now >= until or self._abort.is_set():
            return None
        pause, self._pause = self._pause, min(self._pause * 2, _MAX_PAUSE_SECONDS)
        return min(pause, until - now)

    def wait(self, seconds: float) -> bool:
        """Wait. Returns whether there is time left for an attempt."""
        self._waited_seconds += seconds
        return not self._abort.wait(seconds) and time.monotonic() < self._deadline

    def reset_pauses(self) -> None:
        """Start again with a short pause, because the next attempts do something else."""
        self._pause = _MIN_PAUSE_SECONDS
