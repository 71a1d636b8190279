"""Streams the files of a job or of a folder as a ZIP: without a temporary file, and with one file open at a time.

The standard library's writer writes to a stream that cannot seek: sizes follow the data, and zip64 is used if needed.
Files are stored uncompressed: most large files are compressed already, and other requests need the processor too.
"""

import contextlib
import io
import time
import zipfile
from collections.abc import Generator, Iterator, Mapping

from api.errors import NotFoundError, TooLarge
from api.files.names import ArchiveNames
from api.folder import JobFolder
from api.listing import list_artifacts
from api.manifest import read_times
from api.store.listing import ignore_read
from api.store.store import FileChanged, Item, Store

# A ZIP ends with a directory of its files, which needs 1 KB of memory per file until it is sent.
MAX_FILES = 100_000
MAX_ENTRIES = 4_000_000  # of the folder, with its folders; takes some seconds
_BLOCK_BYTES = 256 * 1024  # smaller pieces are collected to a block: many files are small
_UNIX = 3  # the system whose modes `external_attr` has
_MIN_TIME, _MAX_TIME = 315532800, 4354819198  # 1980 to 2107, the times that a ZIP can express


def list_sizes(store: Store, prefix: str, path: str) -> dict[str, int]:
    """Return the sizes of the files below the job's `prefix` and `path`, by their paths in the job folder.

    Raises NotFoundError if there are none, and TooLarge if there are more than MAX_FILES.
    """
    sizes: dict[str, int] = {}
    for item in _list(store, prefix, path):
        if len(sizes) == MAX_FILES:
            raise TooLarge(f"a ZIP can contain at most {MAX_FILES} files: download single folders or files")
        sizes[item.name] = item.size or 0
    if not sizes:
        raise NotFoundError("there are no artifacts to download")
    return sizes


def has_files(store: Store, prefix: str, path: str) -> bool:
    """Whether `path` below the job's `prefix` is a folder with anything in it."""
    return any(True for _ in list_artifacts(_StoppingLister(store), prefix, path + "/", recursive=False))


def archive(store: Store, folder: JobFolder, path: str, sizes: Mapping[str, int]) -> Generator[bytes]:
    """Yield the ZIP of the files below the job folder and `path` ("" for all) in blocks.

    `sizes` is the result of `list_sizes`. Raises FileMissing, FileChanged or StoreError if a file cannot be read
    completely or was removed; the ZIP then has no end.
    """
    names, sink, number = ArchiveNames(), _Sink(), 0
    times = read_times(store, folder.prefix, sizes, ignore_read)
    with zipfile.ZipFile(sink, "w", allowZip64=True) as zip_file:
        for item in _list(store, folder.prefix, path):
            number += 1
            name = names.assign(f"{folder.job}/{item.name}")
            yield from _add_file(store, folder.prefix + item.name, zip_file, name, times.get(item.name), sink)
    if number < len(sizes):
        raise FileChanged(f"{len(sizes) - number} of {len(sizes)} files were removed during the download")
    yield from sink.take()


def _list(store: Store, prefix: str, path: str) -> Iterator[Item]:
    """List the job's files, without the collector's own."""
    return list_artifacts(_StoppingLister(store), prefix, path + "/" if path else "")


class _StoppingLister:
    """Lists a folder up to a limit: the server notices that the client has gone only when it sends data."""

    def __init__(self, store: Store) -> None:
        self._store, self._entries = store, 0

    def __call__(self, prefix: str, *, after: str = "", recursive: bool = True) -> Iterator[Item]:
        return self._store.list(prefix, after=after, recursive=recursive, on_read=self._count)

    def _count(self, entries: int) -> None:
        self._entries += entries
        if self._entries > MAX_ENTRIES:
            raise TooLarge(f"the folder has more than {MAX_ENTRIES} entries: download single folders or files")


def _add_file(
    store: Store, key: str, zip_file: zipfile.ZipFile, name: str, modified_at: float | None, sink: "_Sink"
) -> Iterator[bytes]:
    """Add a file with the time `modified_at`, or that in the store, and the executable bit."""
    with contextlib.closing(store.open(key)) as file:
        info = zipfile.ZipInfo(name, _date(file.stat.modified_at if modified_at is None else modified_at))
        info.create_system = _UNIX
        info.external_attr = (0o755 if file.stat.executable else 0o644) << 16
        info.file_size = file.stat.size  # zipfile decides by the size whether to use zip64
        with zip_file.open(info, "w") as member:
            for chunk in file.chunks(0, file.stat.size):
                member.write(chunk)
                yield from sink.take(_BLOCK_BYTES)


def _date(modified_at: float) -> tuple[int, int, int, int, int, int]:
    """Convert to UTC: a ZIP has no time zones."""
    date = time.gmtime(min(max(modified_at, _MIN_TIME), _MAX_TIME))
    return date.tm_year, date.tm_mon, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec


class _Sink(io.RawIOBase):
    """Collects what the ZIP's writer writes, until it is sent."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, block: bytes) -> int:  # type: ignore[override]
        self._blocks.append(block)
        self._size += len(block)
        return len(block)

    def take(self, min_bytes: int = 0) -> Iterator[bytes]:
        """Yield the collected bytes as one block, if there are at least `min_bytes`."""
        if self._size >= max(min_bytes, 1):
            block, self._blocks, self._size = b"".join(self._blocks), [], 0
            yield block
