"""The manifest in memory: the copies that this pod has written, and those of an earlier pod of the job.

A record is a file signature (32 bytes), the ctime of the copy (8 bytes) and a digest (32 bytes, or none). 100,000
records take about 24 MB, with paths.
"""

import contextlib
import errno
import itertools
import os
import stat
import struct
from collections.abc import Iterable, Iterator

from artifacts.errors import InvalidDocument, StoreError
from artifacts.layout import MANIFEST
from artifacts.log import get_logger
from artifacts.manifest import (
    EntryFields,
    ManifestEntry,
    ManifestHeader,
    format_entry,
    format_header,
    read_entries,
    read_header,
)
from artifacts.report import Count
from sidecar import file_signature
from sidecar.file_signature import SIGNATURE_BYTES, FileSignature, size_of, without_ctime
from sidecar.scanner import MAX_DEPTH
from sidecar.store import JobFolderStore, write_all

logger = get_logger(__name__)

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL}
_DIGEST_START = SIGNATURE_BYTES + 8
_NO_COPY_CTIME = bytes(8)
_MAX_UINT64 = 2**64 - 1
_pack_uint64 = struct.Struct("<Q").pack
_CHUNK_LINES = 2000
_AVERAGE_ENTRY_BYTES = 600  # in a manifest that is read; an entry with a path of 300 bytes has 500


class Manifest:
    """The copies in one job folder, by path.

    `records`: path -> signature + ctime of the copy (0 if unknown; not saved) + digest of every complete copy.
    `pending`: paths whose copies may be half-written or absent. `unstable`: copies of files that changed or were open
    for writing during the copy; the last sync copies them again. `earlier`: the records of an earlier pod of the job.
    """

    def __init__(self, job: str, pod_uid: str) -> None:
        self.header = ManifestHeader(job, pod_uid)
        self.records: dict[str, bytes] = {}
        self.pending: set[str] = set()
        self.unstable: set[str] = set()
        self.earlier: dict[str, bytes] = {}
        self._bytes = 0
        self._saved = (0, 0)  # size and ctime of the file in the store
        self._earlier_pod_uids: dict[str, str] = {}

    def add_copy(
        self,
        path: str,
        signature: FileSignature,
        digest: bytes,
        size: int,
        unstable: bool,
        copy_ctime_ns: int = 0,
    ) -> None:
        """Record a complete copy of `size` bytes, made from a file with this signature.

        `copy_ctime_ns`: the ctime of the copy in the store, or 0 if unknown.
        """
        if size != size_of(signature):
            signature = file_signature.pack(size, *file_signature.unpack(signature)[1:])
        self._bytes += size - size_of(self.records.get(path, b""))
        self.records[path] = signature + _pack_uint64(copy_ctime_ns & _MAX_UINT64) + digest
        self.pending.discard(path)
        self.earlier.pop(path, None)
        (self.unstable.add if unstable else self.unstable.discard)(path)

    def has_racy_copy(self, path: str, signature: FileSignature) -> bool:
        """Whether the copy is racy and made from a file of the same size, mtime and inode."""
        return self.records.get(path, b"").startswith(without_ctime(signature))

    def discard(self, path: str) -> None:
        """Forget a copy that has been removed."""
        self._bytes -= size_of(self.records.pop(path, b""))
        self.earlier.pop(path, None)
        self.pending.discard(path)
        self.unstable.discard(path)

    def mark_pending(self, path: str) -> None:
        """Record that a copy turned out to be incomplete, so that the file is copied again."""
        self.discard(path)
        self.pending.add(path)

    def paths(self) -> set[str]:
        """Return all paths that the collector may have written, complete or not."""
        return {*self.records, *self.pending, *self.earlier}

    def count(self) -> Count:
        """Return the number and size of this pod's complete copies."""
        return Count(len(self.records), self._bytes)

    def load(self, store: JobFolderStore, max_entries: int) -> bool:
        """Load at most `max_entries` entries from the store. Returns whether this pod wrote the manifest.

        Users can write the manifest, so its bytes and the depth of its paths are bounded too. The rest of the file
        after the first invalid line is ignored, and its files are copied again. Raises StoreError if the store cannot
        be read; a manifest that does not exist is not an error.
        """
        is_ours = False
        try:
            with contextlib.closing(store.read_lines(MANIFEST)) as all_lines:
                lines = _limit_bytes(all_lines, max_entries * _AVERAGE_ENTRY_BYTES)
                header = read_header(next(lines, b""))
                if header.job == self.header.job:
                    is_ours = header.pod_uid == self.header.pod_uid
                    for entry in read_entries(lines, header, max_entries):
                        self._load_entry(entry)
        except InvalidDocument as error:
            logger.warning("rest of manifest ignored", error=error)
        except StoreError as error:
            if error.cause.errno not in _ABSENT:
                raise
        return is_ours

    def save(self, store: JobFolderStore) -> None:
        """Write the manifest to the store, in chunks, so that memory never holds its text as a whole."""

        size = 0

        def write_content(fd: int) -> None:
            nonlocal size
            size = 0  # a store that cannot rename writes the file a second time
            lines = itertools.chain([format_header(self.header)], self._lines())
            while chunk := "".join(itertools.islice(lines, _CHUNK_LINES)):
                content = chunk.encode()
                write_all(fd, content)
                size += len(content)

        ctime_ns = store.write(MANIFEST, write_content, exists=True)
        self._saved = size, ctime_ns

    def is_stored(self, store: JobFolderStore) -> bool:
        """Whether the store has the manifest as this process saved it. Raises StoreError."""
        size, ctime_ns = self._saved
        if not size:
            return not self.records
        status = store.stat(MANIFEST)
        return status is not None and (status.st_size, status.st_ctime_ns if ctime_ns else 0) == self._saved

    def _load_entry(self, entry: ManifestEntry) -> None:
        if entry.path.count("/") > MAX_DEPTH:
            raise InvalidDocument("manifest", f"a path has more than {MAX_DEPTH} folders")
        signature = file_signature.pack(entry.size, entry.mtime_ns, entry.ctime_ns, entry.inode)
        record = signature + _NO_COPY_CTIME + bytes.fromhex(entry.sha256)
        if entry.pod_uid != self.header.pod_uid:
            self.earlier[entry.path] = record
            self._earlier_pod_uids[entry.path] = entry.pod_uid
        elif entry.pending:
            self.pending.add(entry.path)
        else:
            self._bytes += entry.size - size_of(self.records.get(entry.path, b""))
            self.records[entry.path] = record
            if entry.unstable:
                self.unstable.add(entry.path)

    def _lines(self) -> Iterator[str]:
        header, pod_uid = self.header, self.header.pod_uid
        for path, record in self.records.items():
            yield format_entry(self._fields(path, record, pod_uid), header)
        for path in self.pending - self.records.keys():
            yield format_entry((path, 0, 0, 0, 0, "", True, path in self.unstable, pod_uid), header)
        for path, record in self.earlier.items():
            if path not in self.pending:
                yield format_entry(self._fields(path, record, self._earlier_pod_uids[path]), header)

    def _fields(self, path: str, record: bytes, pod_uid: str) -> EntryFields:
        digest = record[_DIGEST_START:].hex()
        signature = file_signature.unpack(record[:SIGNATURE_BYTES])
        return (path, *signature, digest, path in self.pending, path in self.unstable, pod_uid)


def _limit_bytes(lines: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    remaining = max_bytes
    for line in lines:
        remaining -= len(line)
        if remaining < 0:
            raise InvalidDocument("manifest", f"it is larger than {max_bytes} bytes")
        yield line


def is_intact(record: bytes, status: os.stat_result, has_change_times: bool) -> bool:
    """Whether the stat of a copy in the store is as recorded.

    Without change times, only the size is compared. A copy that was recorded before a restart has no ctime; its mtime
    is that of its file then.
    """
    if not (stat.S_ISREG(status.st_mode) and record.startswith(_pack_uint64(status.st_size))):
        return False
    if not has_change_times or record.startswith(_pack_uint64(status.st_ctime_ns & _MAX_UINT64), SIGNATURE_BYTES):
        return True
    mtime_ns: int = file_signature.unpack(record[:SIGNATURE_BYTES])[1]
    return record.startswith(_NO_COPY_CTIME, SIGNATURE_BYTES) and status.st_mtime_ns == mtime_ns
