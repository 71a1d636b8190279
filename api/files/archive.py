"""A job's files, or a folder's, as a ZIP that is made while it is sent: no temporary file, one file open at a time.

The standard library's writer, on a stream that cannot seek: sizes follow the data, zip64 where it must be. Files are
stored as they are: most of what is big is packed already, and the others' requests need the processor too.
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

# The directory at a ZIP's end tells of each file, so 1 KB of memory goes with it until then.
MAX_FILES = 100_000
_BLOCK_BYTES = 256 * 1024  # what is less waits for more: many files are small
_MOST_TIMES = (315532800, 4354819198)  # 1980 to 2107, which is what a ZIP can say


def count_files(store: Store, prefix: str, path: str) -> int:
    """How many files lie below the job's `prefix` and `path`. Raises NotFoundError for none, TooLarge for too many."""
    number = 0
    for number, _ in enumerate(_paths(store, prefix, path), start=1):
        if number > MAX_FILES:
            raise TooLarge(f"more than {MAX_FILES} files in one ZIP: download folders or files one by one")
    if number == 0:
        raise NotFoundError("there are no artifacts to download")
    return number


def archive(store: Store, folder: JobFolder, path: str, count: int) -> Generator[bytes]:
    """The ZIP of the files below the job's folder and `path` ("": all), in blocks. `count`: how many there were.

    Raises Missing, FileChanged or StoreError where one cannot be given whole or is gone, and ends nothing then.
    """
    names, sink, number = ArchiveNames(), _Sink(), 0
    with zipfile.ZipFile(sink, "w", allowZip64=True) as target:
        for below in _paths(store, folder.prefix, path):
            number += 1
            yield from _file(store, folder.prefix + below, target, names.of(f"{folder.job}/{below}"), sink)
    if number < count:
        raise FileChanged(f"of {count} files {count - number} were removed meanwhile")
    yield from sink.taken()


def _paths(store: Store, prefix: str, path: str) -> Iterator[str]:
    """The files' paths below the job's prefix, without the collector's own."""
    return (item.name for item in list_artifacts(store.list, prefix, path + "/" if path else ""))


def _file(store: Store, key: str, target: zipfile.ZipFile, name: str, sink: "_Sink") -> Iterator[bytes]:
    with contextlib.closing(store.open(key)) as file:
        info = zipfile.ZipInfo(name, _date(file.stat.modified_at))
        info.external_attr = 0o644 << 16
        info.file_size = file.stat.size  # zip64, or not
        with target.open(info, "w") as entry:
            for chunk in file.chunks(0, file.stat.size):
                entry.write(chunk)
                yield from sink.taken(_BLOCK_BYTES)


def _date(modified: float) -> tuple[int, int, int, int, int, int]:
    """In UTC: a ZIP knows no time zone."""
    earliest, latest = _MOST_TIMES
    moment = time.gmtime(min(max(modified, earliest), latest))
    return moment.tm_year, moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec


class _Sink(io.RawIOBase):
    """What the ZIP's writer writes to, and what is taken from it to be sent."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, block: bytes) -> int:  # type: ignore[override]
        self._blocks.append(block)
        self._size += len(block)
        return len(block)

    def taken(self, least: int = 0) -> Iterator[bytes]:
        """What was written since the last time, in one block, where that is `least` bytes or more."""
        if self._size >= max(least, 1):
            block, self._blocks, self._size = b"".join(self._blocks), [], 0
            yield block
