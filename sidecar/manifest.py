"""What the collector has written so far, in memory: the manifest of this pod, and what an earlier pod left.

A record is a stamp (32 bytes) and a digest (32 bytes, or none): 100,000 of them take about 24 MB, paths included.
"""

import contextlib
import errno
import itertools
from collections.abc import Iterator

from artifacts.errors import InvalidDocument, StoreError
from artifacts.layout import MANIFEST
from artifacts.log import get_logger
from artifacts.manifest import ManifestEntry, ManifestHeader, format_entry, format_header, read_entries, read_header
from artifacts.report import Count
from sidecar import stamp
from sidecar.stamp import Stamp
from sidecar.store import Store, write_all

log = get_logger(__name__)

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL}
_NONE = stamp.pack(0, 0, 0, 0)
_CHUNK_LINES = 2000


class Manifest:
    """`records`: path -> stamp + digest of every whole copy. `pending`: paths whose copy may be half-written or
    absent. `unstable`: copies of files that changed meanwhile, or
    could have: the last sync makes them again. `earlier`: records of an earlier pod of the job."""

    def __init__(self, job: str, pod_uid: str) -> None:
        self.header = ManifestHeader(job, pod_uid)
        self.records: dict[str, bytes] = {}
        self.pending: set[str] = set()
        self.unstable: set[str] = set()
        self.earlier: dict[str, bytes] = {}
        self._bytes = 0
        self._pods: dict[str, str] = {}

    def enter(self, path: str, source: Stamp, digest: bytes, size: int, unstable: bool) -> None:
        """The copy of `path` is whole: `size` bytes, of a file that looked like `source`."""
        if size != stamp.size_of(source):
            source = stamp.pack(size, *stamp.unpack(source)[1:])
        self._bytes += size - stamp.size_of(self.records.get(path, b""))
        self.records[path] = source + digest
        self.pending.discard(path)
        self.earlier.pop(path, None)
        (self.unstable.add if unstable else self.unstable.discard)(path)

    def drop(self, path: str) -> None:
        """The copy of `path` is gone."""
        self._bytes -= stamp.size_of(self.records.pop(path, b""))
        self.earlier.pop(path, None)
        self.pending.discard(path)
        self.unstable.discard(path)

    def suspect(self, path: str) -> None:
        """The copy of `path` is not whole after all: it is to be made again."""
        self.drop(path)
        self.pending.add(path)

    def paths(self) -> set[str]:
        """All that the collector may have written, whole or not."""
        return {*self.records, *self.pending, *self.earlier}

    def count(self) -> Count:
        """Files and bytes of whole copies, of this pod."""
        return Count(len(self.records), self._bytes)

    def load(self, store: Store, most: int) -> bool:
        """Take over what is in the store, at most `most` entries; tell whether this pod wrote it.

        From where it makes no sense it is forgotten: those files are copied again. StoreError where it cannot be read.
        """
        ours = False
        try:
            with contextlib.closing(store.read_lines(MANIFEST)) as lines:
                header = read_header(next(lines, b""))
                if header.job == self.header.job:
                    ours = header.pod_uid == self.header.pod_uid
                    for entry in read_entries(lines, header, most):
                        self._take(entry)
        except InvalidDocument as error:
            log.warning("manifest ignored from here on", error=error)
        except StoreError as error:
            if error.cause.errno not in _ABSENT:
                raise
        return ours

    def save(self, store: Store) -> None:
        """Write it to the store, in pieces, so that it is never in memory twice."""

        def fill(fd: int) -> None:
            lines = itertools.chain([format_header(self.header)], map(self._format, self._entries()))
            while piece := "".join(itertools.islice(lines, _CHUNK_LINES)):
                write_all(fd, piece.encode())

        store.write(MANIFEST, fill, exists=True)

    def _format(self, entry: ManifestEntry) -> str:
        return format_entry(entry, self.header)

    def _take(self, entry: ManifestEntry) -> None:
        record = stamp.pack(entry.size, entry.mtime_ns, entry.ctime_ns, entry.inode) + bytes.fromhex(entry.sha256)
        if entry.pod_uid != self.header.pod_uid:
            self.earlier[entry.path] = record
            self._pods[entry.path] = entry.pod_uid
        elif entry.pending:
            self.pending.add(entry.path)
        else:
            self._bytes += entry.size - stamp.size_of(self.records.get(entry.path, b""))
            self.records[entry.path] = record
            if entry.unstable:
                self.unstable.add(entry.path)

    def _entries(self) -> Iterator[ManifestEntry]:
        for path, record in self.records.items():
            yield self._entry(path, record, self.header.pod_uid)
        for path in self.pending - self.records.keys():
            yield self._entry(path, _NONE, self.header.pod_uid)
        for path, record in self.earlier.items():
            if path not in self.pending:
                yield self._entry(path, record, self._pods[path])

    def _entry(self, path: str, record: bytes, pod_uid: str) -> ManifestEntry:
        size, mtime_ns, ctime_ns, inode = stamp.unpack(record[: stamp.SIZE])
        digest = record[stamp.SIZE :].hex()
        return ManifestEntry(
            path, size, mtime_ns, ctime_ns, inode, digest, path in self.pending, path in self.unstable, pod_uid
        )
