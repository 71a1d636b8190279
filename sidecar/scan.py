"""The options and the result of a scan of the artifacts folder, and the files that are not collected, by reason."""

from dataclasses import dataclass, field

from artifacts.report import MAX_PATHS, MAX_TEXT_CHARS, Skipped
from sidecar.file_signature import FileSignature, size_of
from sidecar.globs import Globs


@dataclass(frozen=True)
class ScanOptions:
    """What a scan reads.

    `prefix_bytes`: the length of an object's key up to the artifact's path. `follow_links`: whether to follow links
    in the artifacts folder. `keep_holes`: whether the store keeps the holes of sparse files.
    """

    globs: Globs
    prefix_bytes: int
    max_entries: int
    follow_links: bool = True
    keep_holes: bool = False


@dataclass
class Scan:
    """The result of one scan. Paths are relative and encoded.

    `exists`: there is an artifacts folder; `folder_id` is its (device, inode). `linked`: the paths in `files` and
    `uncertain` that are not own files: files reached by a link, and all names but the first of a file with several hard
    links. `sparse`: path -> bytes that a copy occupies, of files with holes that the store keeps. `in_place`: path in
    the job folder -> size, of files that are already there. `uncertain`: paths of files and folders that could not be
    examined ("": the whole folder); copies at or below these paths are retained. `is_truncated`: the scan reached its
    limit on entries, bytes of paths or time.
    """

    exists: bool = False
    folder_id: tuple[int, int] = (0, 0)
    files: dict[str, FileSignature] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)
    sparse: dict[str, int] = field(default_factory=dict)
    in_place: dict[str, int] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    is_truncated: bool = False
    duration_seconds: float = 0.0

    def size_of(self, path: str) -> int:
        """Return the bytes that a copy of one of `files` occupies in the store."""
        return self.sparse[path] if path in self.sparse else size_of(self.files[path])


def add_skipped(skipped: dict[str, Skipped], reason: str, path: str, size: int = 0, detail: str = "") -> None:
    """Count one more file that is not collected for `reason`."""
    row = skipped.setdefault(reason, Skipped())
    row.files += 1
    row.bytes += size
    row.detail = row.detail or detail
    if len(row.paths) < MAX_PATHS:
        row.paths.append(path[:MAX_TEXT_CHARS] or ".")


def merge_skipped(target: Skipped, row: Skipped) -> None:
    """Add the counts and paths of `row` to `target`."""
    target.files += row.files
    target.bytes += row.bytes
    target.detail = target.detail or row.detail
    target.paths += row.paths[: MAX_PATHS - len(target.paths)]
