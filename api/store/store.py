"""The interface of the store, by keys as an object store has them (`groups/<group path>/jobArtifacts/<job>/<path>`).

Keys are encoded paths (artifacts.names): UTF-8, no control characters, no empty, "." or ".." component. A name in a
directory that may not stand in a key is shown encoded, and found again by that.
Below `groups/` no link is followed: it is not listed, read or written through; removing unlinks it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from artifacts.errors import ArtifactError

OnRead = Callable[[int], None]  # is told how many more entries were read


class Item(NamedTuple):
    """A file, by its path below what was listed; or a folder: its name ends with a slash, it has no size and no time.

    Times are UNIX seconds. `changed` cannot be set by users where the store knows such a time; else it is `modified`.
    """

    name: str
    size: int | None
    modified: float | None
    changed: float | None


class FileStat(NamedTuple):
    """A file's size in bytes, time of change (UNIX seconds), and strong entity tag, without quotes."""

    size: int
    modified: float
    etag: str


class RemovedFiles(NamedTuple):
    """What a removal removed."""

    files: int
    bytes: int


class StoreCapacity(NamedTuple):
    """Of the file system that holds a store: its size and what is free of it, in bytes."""

    size: int
    available: int


class FileMissing(ArtifactError):
    """There is no such file."""


class FileChanged(ArtifactError):
    """The file is not the one that was opened any more."""


class OpenFile(Protocol):
    """A file open for reading, as it was when it was opened. To be closed."""

    stat: FileStat

    def chunks(self, start: int, length: int) -> Iterator[bytes]:
        """The bytes from `start`, exactly `length` of them, in blocks of at most 1 MiB.

        Raises FileChanged or artifacts.errors.StoreError where it cannot give them all: never fewer in silence.
        """

    def close(self) -> None: ...


class Store(Protocol):
    """A store. Methods raise artifacts.errors.StoreError (retryable) where it fails, `FileMissing` as told."""

    def list(
        self, prefix: str, *, after: str = "", recursive: bool = True, on_read: OnRead | None = None
    ) -> Iterator[Item]:
        """The files below `prefix`, which ends with a slash, lazily, in the order of their names' UTF-8 bytes.

        `after`: only names behind this one. Not `recursive`: one level, folders as `sub/`. Nothing there: nothing.
        The collector's own folders are listed too. One that reads the first page pays for no other.
        `on_read` is told what was read for it, as it is: a directory is read whole before its first file is known.
        """

    def stat(self, key: str) -> FileStat:
        """Raises FileMissing where there is no such file (a folder or a link is none)."""

    def open(self, key: str) -> OpenFile:
        """Raises FileMissing."""

    def read(self, key: str, most: int) -> bytes:
        """The whole of a small file. Raises FileMissing, and artifacts.errors.InvalidDocument past `most` bytes."""

    def write(self, key: str, content: bytes) -> None:
        """Put `content` there, whole or not at all, over what was there; folders are made."""

    def delete(self, key: str) -> None:
        """Remove one file; none there is no error."""

    def remove(self, prefix: str, last: Sequence[str] = ()) -> RemovedFiles:
        """Remove all below `prefix` (which ends with a slash) and the folder itself; the names `last` (relative to
        it) after all others, and the last of them at the very end. May be killed at any time and called again. Links
        are unlinked.

        Counts what it removed, without `last`. Raises StoreError with what is in the way; what could go is gone.
        """

    def check(self) -> None:
        """Raise StoreError where the store cannot be reached."""

    def space(self) -> StoreCapacity | None:
        """How full it is, as it tells itself; None of one that has no bounds. Raises StoreError."""
