"""The manifest in memory: the copies that this pod has written, and those of an earlier pod of the job.

A record is a file signature (32 bytes) and a digest (32 bytes, or none). 100,000 records take about 24 MB, with paths.
"""

import contextlib
import errno
import itertools
from collections.abc import Iterator

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
from sidecar.store import JobFolderStore, write_all

logger = get_logger(__name__)

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL}
_CHUNK_LINES = 2000


class Manifest:
    """The copies in one job folder, by path.

    `records`: path -> signature + digest of every complete copy. `pending`: paths whose copies may be half-written or
    absent. `unstable`: copies of files that changed or were open for writing during the copy; the last sync copies
    them again. `earlier`: the records of an earlier pod of the job.
    """

    def __init__(self, job: str, pod_uid: str) -> None:
        self.header = ManifestHeader(job, pod_uid)
        self.records: dict[str, bytes] = {}
        self.pending: set[str] = set()
        self.unstable: set[str] = set()
        self.earlier: dict[str, bytes] = {}
        self._bytes = 0
        self._earlier_pod_uids: dict[str, str] = {}

    def add_copy(
        self, path: str, signature: FileSignature, digest: bytes, size: int, unstable: bool, racy: bool = False
    ) -> None:
        """Record a complete copy of `size` bytes, made from a file with this signature.

        `racy`: the file may have changed since without changing its signature; a later sync copies the file again.
        """
        if racy:
            signature = without_ctime(signature)
        if size != size_of(signature):
            signature = file_signature.pack(size, *file_signature.unpack(signature)[1:])
        self._bytes += size - size_of(self.records.get(path, b""))
        self.records[path] = signature + digest
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

        The rest of the file after the first invalid line is ignored, and its files are copied again. Raises StoreError
        if the store cannot be read; a manifest that does not exist is not an error.
        """
        is_ours = False
        try:
            with contextlib.closing(store.read_lines(MANIFEST)) as lines:
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

        def write_content(fd: int) -> None:
            lines = itertools.chain([format_header(self.header)], self._lines())
            while chunk := "".join(itertools.islice(lines, _CHUNK_LINES)):
                write_all(fd, chunk.encode())

        store.write(MANIFEST, write_content, exists=True)

    def _load_entry(self, entry: ManifestEntry) -> None:
        signature = file_signature.pack(entry.size, entry.mtime_ns, entry.ctime_ns, entry.inode)
        record = signature + bytes.fromhex(entry.sha256)
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
        digest = record[SIGNATURE_BYTES:].hex()
        signature = file_signature.unpack(record[:SIGNATURE_BYTES])
        return (path, *signature, digest, path in self.pending, path in self.unstable, pod_uid)
