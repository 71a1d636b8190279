"""The interface of the store. Keys are those of an object store: `groups/<group path>/jobArtifacts/<job>/<path>`.

Keys are encoded paths (artifacts.names): UTF-8, no control characters, no empty, "." or ".." component. If a name in a
directory is not valid in a key, the key has the encoded name.
Links below `groups/` are not followed: they are not listed, read or written through; removing a link unlinks it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from artifacts.errors import ArtifactError, StoreError

OnRead = Callable[[int], None]  # called with the number of entries read since the last call; may raise to stop
OnUnreadable = Callable[[StoreError], None]  # called with the error of each folder that may not be read


class Item(NamedTuple):
    """A listed file, or a folder. A folder's name ends with a slash, and it has no size and no times.

    `name` is relative to the listed prefix. Times are UNIX seconds. `changed_at` is the ctime, which users cannot set,
    if the store has one; otherwise it equals `modified_at`.
    """

    name: str
    size: int | None
    modified_at: float | None
    changed_at: float | None


class FileStat(NamedTuple):
    """A file's size in bytes, its modification time (UNIX seconds) and its strong entity tag, without quotes.

    `executable`: its owner may execute it. A bucket does not know that.
    """

    size: int
    modified_at: float
    etag: str
    executable: bool = False


class RemovedFiles(NamedTuple):
    """The number of removed files and of their bytes."""

    files: int
    bytes: int


class StoreCapacity(NamedTuple):
    """Size and available bytes of the file system that holds a store."""

    size_bytes: int
    available_bytes: int


class StoreBlocked(StoreError):
    """The owners of the files prevent the operation, by permissions or by writing. Other folders are not affected."""


class FileMissing(ArtifactError):
    """The file does not exist."""


class FileChanged(ArtifactError):
    """The file is no longer the one that was opened."""


class OpenFile(Protocol):
    """A file open for reading, as it was when it was opened. The caller must close it."""

    stat: FileStat

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        """Yield exactly `length` bytes from offset `start`, in blocks of at most 1 MiB.

        Raises FileChanged or artifacts.errors.StoreError if it cannot yield all of them.
        """

    def close(self) -> None:
        """Close the file; more than once is allowed."""


class Store(Protocol):
    """A store. Methods raise artifacts.errors.StoreError (retryable) if the store fails; never OSError."""

    def list(
        self,
        prefix: str,
        *,
        after: str = "",
        recursive: bool = True,
        on_read: OnRead | None = None,
        on_unreadable: OnUnreadable | None = None,
    ) -> Iterator[Item]:
        """List the files below `prefix` lazily, in the order of their names' UTF-8 bytes.

        `prefix` ends with a slash. `after` skips names up to and including it. Without `recursive`, one level is
        listed, with folders as `sub/`. The collector's own folders are included. If nothing exists at `prefix`, the
        list is empty. Pages are fetched lazily. `on_read` is called with the number of entries read, also while a
        large directory is read completely before its first file is yielded. If a folder may not be
        read, StoreBlocked is raised; with `on_unreadable`, the error is passed to it, and the listing continues.
        """

    def stat(self, key: str) -> FileStat:
        """Return the file's stat. Raises FileMissing if it does not exist, or is a folder or a link."""

    def open(self, key: str) -> OpenFile:
        """Open the file for reading. Raises FileMissing."""

    def read(self, key: str, max_bytes: int) -> bytes:
        """Return a small file. Raises FileMissing, and artifacts.errors.InvalidDocument if it is too large."""

    def write(self, key: str, content: bytes) -> None:
        """Write the file, completely or not at all. Replaces an existing file and creates missing folders."""

    def delete(self, key: str) -> None:
        """Remove one file. Does nothing if it does not exist."""

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        """Remove a job folder and everything in it. If interrupted, it can be called again.

        `prefix` ends with a slash. `last` are files, relative to `prefix`, that are removed after all others and in
        this order. Links are unlinked. Returns the counts without `last`. Raises StoreError for the first file that
        cannot be removed, after removing all that can be.
        """

    def check(self) -> None:
        """Raise StoreError if the store cannot be reached."""

    def has_latency(self) -> bool:
        """Return whether operations wait for a network, so that concurrent operations are faster. Raises StoreError."""

    def capacity(self) -> StoreCapacity | None:
        """Return the file system's size and available space, or None for a bucket. Raises StoreError."""
