"""What the API reads of a job's manifest: digests of some files, and how many there are of all.

It lies where users can write and may be of any size: it is read as a stream, line by line, and no further than
bounds allow. What does not look like a line that the collector writes tells nothing.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple

from api.store.store import FileChanged, FileMissing, OnRead, OpenFile, Store
from artifacts.errors import InvalidDocument, StoreError
from artifacts.layout import MANIFEST
from artifacts.log import get_logger
from artifacts.manifest import MAX_LINE_BYTES, ManifestEntry, ManifestHeader, read_entries, read_header

logger = get_logger(__name__)

MAX_BYTES = 48 * 1024 * 1024  # as much as 200,000 files with paths of 60 characters take
MAX_ENTRIES = 200_000
_ENTRY_BYTES = 256  # so many bytes count as an entry too, whatever lines they make
_LINE = re.compile(rb'\{"path":("(?:[^"\\]|\\.)*"),"size":(\d{1,18}),')


class Totals(NamedTuple):
    """Files and the bytes in them, as the manifest has them."""

    files: int
    bytes: int


_UNREADABLE = (InvalidDocument, FileMissing, FileChanged, StoreError)


def digests(store: Store, prefix: str, sizes: Mapping[str, int], on_read: OnRead) -> dict[str, str]:
    """sha256 by path, of those in `sizes` whose copy is whole and of the size that the store says it has.

    `on_read` is told of every line.
    """
    found: dict[str, str] = {}
    wanted = {_quoted(path) for path in sizes}
    try:
        with closing(store.open(prefix + MANIFEST)) as file:
            lines = _lines(file, on_read)
            header = read_header(next(lines, b""))
            for entry in _entries(lines, header, wanted):
                if entry.sha256 and not entry.pending and entry.size == sizes[entry.path]:
                    found[entry.path] = entry.sha256
                wanted.discard(_quoted(entry.path))
                if not wanted:
                    break
    except _UNREADABLE as error:
        _tell("no digests", prefix, error)
    return found


def totals(store: Store, prefix: str, on_read: OnRead) -> Totals | None:
    """How many files the collector wrote, and their bytes; None where the manifest cannot be read."""
    files = size = 0
    try:
        with closing(store.open(prefix + MANIFEST)) as file:
            lines = _lines(file, on_read)
            read_header(next(lines, b""))
            for line in lines:
                match = _LINE.match(line)
                if match is None:
                    return None
                if b'"pending":true' not in line[match.end() :]:
                    files, size = files + 1, size + int(match[2])
    except _UNREADABLE as error:
        _tell("no totals", prefix, error)
        return None
    return Totals(files, size)


def _tell(what: str, prefix: str, error: Exception) -> None:
    _, group, _, job, _ = prefix.split("/")
    logger.info("manifest not used", group=group, job=job, what=what, error=error)


def _entries(lines: Iterator[bytes], header: ManifestHeader, wanted: Collection[bytes]) -> Iterator[ManifestEntry]:
    """The wanted ones; all others are not parsed, which would take ten times as long."""
    for line in lines:
        match = _LINE.match(line)
        if match is not None and match[1] in wanted:
            yield from read_entries([line], header)


def _lines(file: OpenFile, on_read: OnRead) -> Iterator[bytes]:
    if file.stat.size > MAX_BYTES:
        raise InvalidDocument("manifest", f"it is larger than {MAX_BYTES} bytes")
    rest, number = b"", 0
    for chunk in file.chunks(0, file.stat.size):
        *lines, rest = (rest + chunk).split(b"\n")
        number += len(lines)
        on_read(len(lines) + len(chunk) // _ENTRY_BYTES)
        if len(rest) > MAX_LINE_BYTES or number > MAX_ENTRIES + 1:
            raise InvalidDocument("manifest", "a line is too long, or there are too many")
        yield from lines
    if rest:
        raise InvalidDocument("manifest", "its last line has no end")


def _quoted(path: str) -> bytes:
    """The path as the collector's JSON has it."""
    return json.dumps(path, ensure_ascii=False).encode()
