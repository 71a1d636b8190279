"""Streams the files of a job or of a folder as a ZIP: without a temporary file, and with one file open at a time.

The standard library's writer writes to a stream that cannot seek: sizes follow the data, and zip64 is used if needed.
Files are stored uncompressed: most large files are compressed already, and other requests need the processor too.
"""

import contextlib
import io
import time
import zipfile
from collections.abc import Generator, Iterator

from api.errors import NotFoundError, TooLarge
from api.files.names import ArchiveNames
from api.folder import JobFolder
from api.listing import list_artifacts
from api.store.store import FileChanged, Store

# A ZIP ends with a directory of its files, which needs 1 KB of memory per file until it is sent.
MAX_FILES = 100_000
_BLOCK_BYTES = 256 * 1024  # smaller pieces are collected to a block: many files are small
_MIN_TIME, _MAX_TIME = 315532800, 4354819198  # 1980 to 2107, the times that a ZIP can express


def count_files(store: Store, prefix: str, path: str) -> int:
    """Return the number of files below the job's `prefix` and `path`.

    Raises NotFoundError if there are none, and TooLarge if there are more than MAX_FILES.
    """
    number = 0
    for number, _ in enumerate(_paths(store, prefix, path), start=1):
        if number > MAX_FILES:
            raise TooLarge(f"a ZIP can contain at most {MAX_FILES} files: download single folders or files")
    if number == 0:
        raise NotFoundError("there are no artifacts to download")
    return number


def archive(store: Store, folder: JobFolder, path: str, count: int) -> Generator[bytes]:
    """Yield the ZIP of the files below the job folder and `path` ("" for all) in blocks.

    `count` is the result of `count_files`. Raises FileMissing, FileChanged or StoreError if a file cannot be read
    completely or was removed; the ZIP then has no end.
    """
    names, sink, number = ArchiveNames(), _Sink(), 0
    with zipfile.ZipFile(sink, "w", allowZip64=True) as zip_file:
        for file_path in _paths(store, folder.prefix, path):
            number += 1
            name = names.assign(f"{folder.job}/{file_path}")
            yield from _add_file(store, folder.prefix + file_path, zip_file, name, sink)
    if number < count:
        raise FileChanged(f"{count - number} of {count} files were removed during the download")
    yield from sink.take()


def _paths(store: Store, prefix: str, path: str) -> Iterator[str]:
    """Return the paths of the job's files, without the collector's own."""
    return (item.name for item in list_artifacts(store.list, prefix, path + "/" if path else ""))


def _add_file(store: Store, key: str, zip_file: zipfile.ZipFile, name: str, sink: "_Sink") -> Iterator[bytes]:
    with contextlib.closing(store.open(key)) as file:
        info = zipfile.ZipInfo(name, _date(file.stat.modified_at))
        info.external_attr = 0o644 << 16
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
