"""The format of `manifest.jsonl`: a header line, then one JSON object for each file that the collector wrote.

Users can write to the job folder, so the manifest is parsed as hostile input. An entry is `pending` from before its
first byte is written until its copy is complete: the copy of a pending entry can be partial or missing.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from artifacts.errors import InvalidDocument
from artifacts.names import path_problem

VERSION = 1
MAX_LINE_BYTES = 4 * 1024  # the longest entry has about 3 kB
MAX_ENTRIES = 1_000_000

_HEX = frozenset("0123456789abcdef")
_RANGES = {  # field -> minimum, and the first value that is too large
    "size": (0, 2**63),
    "mtimeNs": (-(2**63), 2**63),
    "ctimeNs": (-(2**63), 2**63),
    "inode": (0, 2**64),
}
_quote = json.JSONEncoder(ensure_ascii=False).encode


class ManifestEntry(NamedTuple):
    """A file: its encoded path, the size of the copy, and the attributes of the source when it was copied.

    Times are UNIX nanoseconds. `sha256` is the hexadecimal digest of the copy, or "". `unstable` means that the file
    changed during the copy or was open for writing. `pod_uid` is the pod that collected the file.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: str = ""
    pending: bool = False
    unstable: bool = False
    pod_uid: str = ""


EntryFields = tuple[str, int, int, int, int, str, bool, bool, str]


class ManifestHeader(NamedTuple):
    """The first line: the job and the pod that wrote the manifest."""

    job: str
    pod_uid: str


def format_header(header: ManifestHeader) -> str:
    """Return the header's line, with its newline."""
    fields = {"version": VERSION, "job": header.job, "podUid": header.pod_uid}
    return json.dumps(fields) + "\n"


def format_entry(entry: EntryFields, header: ManifestHeader) -> str:
    """Return the line of an entry (the fields of a ManifestEntry, in order), with its newline.

    Default values are omitted. The sidecar formats two lines for each file, so this takes about 1.5 us.
    """
    path, size, mtime_ns, ctime_ns, inode, sha256, pending, unstable, pod_uid = entry
    line = f'{{"path":{_quote(path)},"size":{size},"mtimeNs":{mtime_ns},"ctimeNs":{ctime_ns},"inode":{inode}'
    if sha256:
        line = f'{line},"sha256":"{sha256}"'
    if pending:
        line += ',"pending":true'
    if unstable:
        line += ',"unstable":true'
    if pod_uid != header.pod_uid:
        line = f'{line},"podUid":{json.dumps(pod_uid)}'
    return line + "}\n"


def read_header(line: bytes) -> ManifestHeader:
    """Parse the first line. Raises InvalidDocument if it is not a header of the supported version."""
    fields = _object(line, 1)
    if fields.get("version") != VERSION:
        raise InvalidDocument("manifest", f"unsupported version {str(fields.get('version'))[:20]}, expected {VERSION}")
    job, pod_uid = fields.get("job"), fields.get("podUid")
    if not isinstance(job, str) or not isinstance(pod_uid, str):
        raise InvalidDocument("manifest", "the header has no job or podUid")
    return ManifestHeader(job[:253], pod_uid[:64])


def read_entries(lines: Iterable[bytes], header: ManifestHeader, limit: int = MAX_ENTRIES) -> Iterator[ManifestEntry]:
    """Parse the lines after the header, lazily. Raises InvalidDocument at the first invalid entry, or past `limit`."""
    for number, line in enumerate(lines, start=2):
        if number - 2 >= limit:
            raise InvalidDocument("manifest", f"more than {limit} entries")
        yield _entry(_object(line, number), number, header)


def _object(line: bytes, number: int) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise InvalidDocument("manifest", f"line {number} is longer than {MAX_LINE_BYTES} bytes")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument("manifest", f"line {number} is not JSON") from error
    if not isinstance(fields, dict):
        raise InvalidDocument("manifest", f"line {number} is not a JSON object")
    return fields


def _entry(fields: dict[str, Any], number: int, header: ManifestHeader) -> ManifestEntry:
    path, sha256 = fields.get("path"), fields.get("sha256", "")
    pod_uid = fields.get("podUid", header.pod_uid)
    numbers = [fields.get(name) for name in _RANGES]
    if not isinstance(path, str) or path_problem(path):
        raise InvalidDocument("manifest", f"line {number} has no valid path")
    ranged = zip(numbers, _RANGES.values(), strict=True)
    if not all(type(value) is int and low <= value < high for value, (low, high) in ranged):
        raise InvalidDocument("manifest", f"line {number} has a size, time or inode that is not an integer in range")
    if not isinstance(sha256, str) or (sha256 and (len(sha256) != 64 or not _HEX.issuperset(sha256))):
        raise InvalidDocument("manifest", f"line {number} has an invalid sha256")
    if not isinstance(pod_uid, str) or len(pod_uid) > 64:
        raise InvalidDocument("manifest", f"line {number} has an invalid podUid")
    size, mtime_ns, ctime_ns, inode = numbers
    return ManifestEntry(
        path, size, mtime_ns, ctime_ns, inode, sha256,  # type: ignore[arg-type]
        fields.get("pending") is True, fields.get("unstable") is True, pod_uid,
    )  # fmt: skip
