"""Reads a job's manifest for the API: digests and modification times of given files, and totals over all files.

Users can write to the manifest and it may be of any size, so it is streamed line by line within limits. Lines that the
collector would not write are ignored.
"""

import itertools
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

MAX_BYTES = 48 * 1024 * 1024  # the size of 200,000 entries with paths of 60 characters
MAX_ENTRIES = 200_000
_ENTRY_BYTES = 256  # every 256 bytes count as one more entry, so that long lines are not free
_LINE = re.compile(rb'\{"path":("(?:[^"\\]|\\.)*"),"size":(\d{1,18}),')
_TIMES = re.compile(
    r'^\{"path":"([^"\\\n]*(?:\\.[^"\\\n]*)*)","size":(\d{1,18}),"mtimeNs":(-?\d{1,19}),([^\n]*)$', re.MULTILINE
)
_UNREADABLE = (InvalidDocument, FileMissing, FileChanged, StoreError)


class ManifestTotals(NamedTuple):
    """Number and bytes of the files in a manifest."""

    files: int
    bytes: int


def read_digests(store: Store, prefix: str, sizes: Mapping[str, int], on_read: OnRead) -> dict[str, str]:
    """Return sha256 by path for the files in `sizes` whose manifest entry is complete and has the same size.

    `on_read` is called with the number of entries read.
    """
    digests: dict[str, str] = {}
    pending = {_json_path(path) for path in sizes}
    try:
        with closing(store.open(prefix + MANIFEST)) as file:
            lines = _lines(file, on_read)
            header = read_header(next(lines, b""))
            for entry in _matching_entries(lines, header, pending):
                if entry.sha256 and not entry.pending and entry.size == sizes[entry.path]:
                    digests[entry.path] = entry.sha256
                pending.discard(_json_path(entry.path))
                if not pending:
                    break
    except _UNREADABLE as error:
        _log_unreadable(prefix, error)
    return digests


def read_times(store: Store, prefix: str, sizes: Mapping[str, int], on_read: OnRead) -> dict[str, float]:
    """Return the source's modification time (UNIX seconds) by path, for the files in `sizes`.

    Files whose manifest entry is not complete or has another size are left out; so are all files if the manifest is
    missing, invalid or too large. One regular expression parses all lines of a block, since parsing 1000 entries one
    by one would take ten times as long.
    """
    times: dict[str, float] = {}
    try:
        with closing(store.open(prefix + MANIFEST)) as file:
            blocks = _blocks(file, on_read)
            first = next(blocks, b"")
            read_header(first[: first.find(b"\n") + 1])
            for block in itertools.chain([first], blocks):
                for raw_path, size, mtime_ns, rest in _TIMES.findall(block.decode()):
                    path = json.loads(f'"{raw_path}"') if "\\" in raw_path else raw_path
                    if sizes.get(path) == int(size) and '"pending":true' not in rest:
                        times[path] = int(mtime_ns) / 1e9
    except FileMissing:  # PrimeHub's own collector writes none
        return {}
    except (*_UNREADABLE, ValueError) as error:  # ValueError: not UTF-8, or an invalid escape
        _log_unreadable(prefix, error)
        return {}
    return times


def read_totals(store: Store, prefix: str, on_read: OnRead) -> ManifestTotals | None:
    """Return the totals of the files that the collector wrote, or None if the manifest cannot be read."""
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
        _log_unreadable(prefix, error)
        return None
    return ManifestTotals(files, size)


def _log_unreadable(prefix: str, error: Exception) -> None:
    _, group, _, job, _ = prefix.split("/")
    logger.info("manifest ignored", group=group, job=job, error=error)


def _matching_entries(
    lines: Iterator[bytes], header: ManifestHeader, paths: Collection[bytes]
) -> Iterator[ManifestEntry]:
    """Parse only the lines of `paths`: parsing all lines would take ten times as long."""
    for line in lines:
        match = _LINE.match(line)
        if match is not None and match[1] in paths:
            yield from read_entries([line], header)


def _lines(file: OpenFile, on_read: OnRead) -> Iterator[bytes]:
    for block in _blocks(file, on_read):
        yield from block[:-1].split(b"\n")


def _blocks(file: OpenFile, on_read: OnRead) -> Iterator[bytes]:
    """Yield the manifest in blocks of whole lines."""
    if file.stat.size > MAX_BYTES:
        raise InvalidDocument("manifest", f"it is larger than {MAX_BYTES} bytes")
    rest, count = b"", 0
    for chunk in file.chunks(0, file.stat.size):
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        number = lines.count(b"\n") + len(newline)
        count += number
        on_read(number + len(chunk) // _ENTRY_BYTES)
        if len(rest) > MAX_LINE_BYTES or count > MAX_ENTRIES + 1:
            raise InvalidDocument("manifest", f"a line is too long, or it has more than {MAX_ENTRIES} entries")
        if newline:
            yield lines + newline
    if rest:
        raise InvalidDocument("manifest", "its last line is not terminated")


def _json_path(path: str) -> bytes:
    """Encode the path as the collector writes it in JSON."""
    return json.dumps(path, ensure_ascii=False).encode()
