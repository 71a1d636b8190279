"""Translates the operating system's errors to the store's errors, so that no OSError leaves a store in a directory."""

import contextlib
import errno
import re
from collections.abc import Iterator

from api.store.store import StoreBlocked
from artifacts.errors import StoreConflict, StoreError

DENIED = frozenset({errno.EACCES, errno.EPERM})
_CONFLICTS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})
_IN_GROUP = re.compile("groups/[^/]")  # users can change permissions only in their groups' folders


def store_error(action: str, path: str, error: OSError) -> StoreError:
    """Return the error for an operation of the operating system that failed."""
    is_blocked = error.errno in DENIED and _IN_GROUP.match(path)
    return (StoreBlocked if is_blocked else StoreError)(action, path, error)


@contextlib.contextmanager
def translate_errors(action: str, path: str) -> Iterator[None]:
    """Raise StoreError if the operating system raises an error in the block."""
    try:
        yield
    except OSError as error:
        raise store_error(action, path, error) from error


@contextlib.contextmanager
def translate_write_errors(path: str) -> Iterator[None]:
    """Raise StoreConflict if another kind of file is at `path` or above, and StoreError for other errors."""
    try:
        yield
    except OSError as error:
        if error.errno in _CONFLICTS:
            raise StoreConflict("write", path, error) from error
        raise store_error("write", path, error) from error
