"""Selects the files of a job that its limits allow: its own files first, then linked files. Pure functions of data.

Copies that are retained although the scan did not find their files count, too. Otherwise a job could fill the store by
hiding its files after they have been copied.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from artifacts.report import Count, Skipped
from sidecar.file_signature import FileSignature, size_of
from sidecar.manifest import Manifest
from sidecar.scan import Scan, add_skipped


@dataclass(frozen=True)
class Limits:
    """The maximum number of files and bytes of a job. `keep`: over a limit, collect the files that fit, not none."""

    files: int
    bytes: int
    keep: bool


class Selector:
    """Selects files of one scan. `is_last`: main has ended.

    `skipped`: the files that do not fit. `obsolete`: the linked files that do not fit and must not keep their copies.
    """

    def __init__(self, scan: Scan, manifest: Manifest, is_last: bool) -> None:
        self._scan, self._records, self._is_last = scan, manifest.records, is_last
        self._retained = self._find_retained()
        self._retained_linked = self._select_below_links()
        self.skipped: dict[str, Skipped] = {}
        self.obsolete: set[str] = set()

    def room_for_own_files(self, allowed: Count) -> Count:
        """Return the room within `allowed` that retained copies of own files leave."""
        room = subtract(allowed, self._count_copies(self._retained))
        return add(room, self._count_copies(self._retained_linked))

    def select_own(self, files: dict[str, FileSignature], room: Count) -> tuple[dict[str, FileSignature], Count]:
        """Return the own files that fit into `room`, and the room that remains.

        In the last sync, only the byte order of the paths decides. While main runs, existing copies have precedence:
        first files that did not grow, then files that grew, then new files. A copy counts with its old size until its
        file fits.
        """
        copied: dict[str, int] = {}
        if not self._is_last:
            copied = {path: copy_size(path, self._scan, self._records) for path in self._records.keys() & files.keys()}
        sizes = {path: self._scan.size_of(path) for path in sorted(files)}  # str are sorted as their bytes in UTF-8
        remaining = Count(room.files - len(copied), room.bytes - sum(copied.values()))
        fitting: dict[str, FileSignature] = {}
        for path in sorted(sizes, key=lambda path: (path not in copied, sizes[path] > copied.get(path, sizes[path]))):
            more_files, more_bytes = int(path not in copied), sizes[path] - copied.get(path, 0)
            bytes_fit = more_bytes <= remaining.bytes or (path in copied and more_bytes <= 0)
            if more_files <= max(0, remaining.files) and bytes_fit:
                fitting[path] = files[path]
                remaining.files, remaining.bytes = remaining.files - more_files, remaining.bytes - more_bytes
            else:
                add_skipped(self.skipped, "over_limit", path, sizes[path])
        return fitting, remaining

    def select_linked(
        self, files: dict[str, FileSignature], room: Count, waiting: Count
    ) -> tuple[dict[str, FileSignature], Count]:
        """Return the linked files that fit into `room`, and the room that remains.

        Retained copies, which cannot be made again, come first, then the files in byte order of their paths. While
        main runs, files with copies have precedence over new ones, and may use the room of own files that are not
        copied in this sync (`waiting`), because those may be temporary.
        """
        if not files and not self._retained_linked:
            return {}, room
        fitting: dict[str, FileSignature] = {}
        for path in [*sorted(self._retained_linked), *sorted(files, key=lambda path: (self._is_new(path), path))]:
            record, signature = self._records.get(path, b""), files.get(path)
            is_unchanged = record != b"" and (signature is None or record.startswith(signature))
            size = size_of(record) if signature is None else self._scan.size_of(path)
            enough = add(room, waiting) if is_unchanged else room
            if enough.files >= 1 and enough.bytes >= size:
                room = subtract(room, Count(1, size))
                if signature is not None:
                    fitting[path] = signature
            else:
                add_skipped(self.skipped, "link_over_limit", path, size)
                self.obsolete.add(path)
        return fitting, room

    def _is_new(self, path: str) -> bool:
        return not self._is_last and path not in self._records

    def _find_retained(self) -> list[str]:
        scan = self._scan
        if not (scan.is_truncated or scan.uncertain or scan.in_place):
            return []
        return [path for path in self._records.keys() - scan.files.keys() if is_retained(path, scan)]

    def _select_below_links(self) -> list[str]:
        """Return the retained copies that are not copies of own files: those at or below an uncertain link."""
        uncertain, in_place = self._scan.uncertain & self._scan.linked, self._scan.in_place
        return [path for path in self._retained if path not in in_place and _is_uncertain(path, uncertain)]

    def _count_copies(self, paths: list[str]) -> Count:
        return Count(len(paths), sum(size_of(self._records[path]) for path in paths))


def count_files(files: dict[str, FileSignature], scan: Scan) -> Count:
    """Return the number of `files` of the scan and the bytes that their copies occupy."""
    count = Count(len(files), sum(map(size_of, files.values())))
    count.bytes -= sum(size_of(files[path]) - scan.sparse[path] for path in scan.sparse.keys() & files.keys())
    return count


def count_hole_bytes(scan: Scan, manifest: Manifest) -> int:
    """Return the bytes in holes of this pod's complete copies."""
    records = manifest.records
    copied = [path for path in scan.sparse if path in records]
    return sum(size_of(records[path]) - copy_size(path, scan, records) for path in copied)


def copy_size(path: str, scan: Scan, records: dict[str, bytes]) -> int:
    """Return the bytes that an existing copy occupies. If its file has changed, the holes of the copy are unknown."""
    record = records[path]
    is_known = path in scan.sparse and path in scan.files and record.startswith(scan.files[path])
    return scan.sparse[path] if is_known else size_of(record)


def exceeds(found: Count, room: Count) -> bool:
    """Whether there are more files or bytes than room."""
    return found.files > room.files or found.bytes > room.bytes


def add(count: Count, other: Count) -> Count:
    """Return the sum."""
    return Count(count.files + other.files, count.bytes + other.bytes)


def subtract(count: Count, other: Count) -> Count:
    """Return the difference."""
    return Count(count.files - other.files, count.bytes - other.bytes)


def is_retained(path: str, scan: Scan) -> bool:
    """Whether to retain the copy of a file that the scan did not find.

    The file may exist nevertheless, or the artifacts folder may link to the copy.
    """
    return scan.is_truncated or path in scan.in_place or _is_uncertain(path, scan.uncertain)


def parent_folders(path: str) -> Iterator[str]:
    """Yield the folders above `path`, the innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _is_uncertain(path: str, uncertain: set[str]) -> bool:
    if not uncertain:
        return False
    return "" in uncertain or path in uncertain or any(folder in uncertain for folder in parent_folders(path))
