"""The form of `manifest.jsonl`: a header line, then one JSON object per file that the collector wrote.

It lies in the job folder, which users can write to: reading takes nothing on trust. An entry says `pending`
from before its first byte is written until the copy is whole; a reader finds such a path half-written or absent.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from artifacts.errors import InvalidDocument
from artifacts.names import path_problem

VERSION = 1
MAX_LINE_BYTES = 16 * 1024
MAX_ENTRIES = 1_000_000

_HEX = frozenset("0123456789abcdef")
_NUMBERS = {  # field -> least value, and the first that is too much: what a stamp can hold
    "size": (0, 2**63),
    "mtimeNs": (-(2**63), 2**63),
    "ctimeNs": (-(2**63), 2**63),
    "inode": (0, 2**64),
}
_quote = json.JSONEncoder(ensure_ascii=False).encode


class ManifestEntry(NamedTuple):
    """One file: its encoded path, the bytes written, and what the source looked like when it was copied.

    Times are nanoseconds since 1970. `sha256` (hexadecimal, or "") is of the bytes that were written.
    `unstable`: the file changed under the copy, or was open for writing. `pod_uid`: the pod that collected it.
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


class ManifestHeader(NamedTuple):
    """The first line: whose manifest it is."""

    job: str
    pod_uid: str


def format_header(header: ManifestHeader) -> str:
    """The header's line, with its newline."""
    fields = {"version": VERSION, "job": header.job, "podUid": header.pod_uid}
    return json.dumps(fields) + "\n"


def format_entry(entry: ManifestEntry, header: ManifestHeader) -> str:
    """The entry's line, with its newline; flags and digest are left out where they say nothing."""
    path, size, mtime_ns, ctime_ns, inode, sha256, pending, unstable, pod_uid = entry
    return (
        f'{{"path":{_quote(path)},"size":{size},"mtimeNs":{mtime_ns},"ctimeNs":{ctime_ns},"inode":{inode}'
        + (f',"sha256":"{sha256}"' if sha256 else "")
        + (',"pending":true' if pending else "")
        + (',"unstable":true' if unstable else "")
        + (f',"podUid":{json.dumps(pod_uid)}' if pod_uid != header.pod_uid else "")
        + "}\n"
    )


def read_header(line: bytes) -> ManifestHeader:
    """Parse the first line; raise InvalidDocument where it is of no version that this code knows."""
    fields = _object(line, 1)
    if fields.get("version") != VERSION:
        raise InvalidDocument("manifest", f"version {str(fields.get('version'))[:20]} is not {VERSION}")
    job, pod_uid = fields.get("job"), fields.get("podUid")
    if not isinstance(job, str) or not isinstance(pod_uid, str):
        raise InvalidDocument("manifest", "job or podUid is missing in its header")
    return ManifestHeader(job[:253], pod_uid[:64])


def read_entries(lines: Iterable[bytes], header: ManifestHeader, most: int = MAX_ENTRIES) -> Iterator[ManifestEntry]:
    """Parse the lines after the header, lazily; raise InvalidDocument at the first that is no entry, or past `most`."""
    for number, line in enumerate(lines, start=2):
        if number - 2 >= most:
            raise InvalidDocument("manifest", f"more than {most} entries")
        yield _entry(_object(line, number), number, header)


def _object(line: bytes, number: int) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise InvalidDocument("manifest", f"line {number} is longer than {MAX_LINE_BYTES} bytes")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument("manifest", f"line {number} is no JSON") from error
    if not isinstance(fields, dict):
        raise InvalidDocument("manifest", f"line {number} is no JSON object")
    return fields


def _entry(fields: dict[str, Any], number: int, header: ManifestHeader) -> ManifestEntry:
    path, sha256 = fields.get("path"), fields.get("sha256", "")
    pod_uid = fields.get("podUid", header.pod_uid)
    numbers = [fields.get(name) for name in _NUMBERS]
    if not isinstance(path, str) or path_problem(path):
        raise InvalidDocument("manifest", f"line {number} has no path that may be an artifact's")
    ranged = zip(numbers, _NUMBERS.values(), strict=True)
    if not all(type(value) is int and low <= value < high for value, (low, high) in ranged):
        raise InvalidDocument("manifest", f"line {number} has a size, time or inode that is no whole number")
    if not isinstance(sha256, str) or (sha256 and (len(sha256) != 64 or not _HEX.issuperset(sha256))):
        raise InvalidDocument("manifest", f"line {number} has a sha256 that is none")
    if not isinstance(pod_uid, str) or len(pod_uid) > 64:
        raise InvalidDocument("manifest", f"line {number} has a podUid that is none")
    size, mtime_ns, ctime_ns, inode = numbers
    return ManifestEntry(
        path, size, mtime_ns, ctime_ns, inode, sha256,  # type: ignore[arg-type]
        fields.get("pending") is True, fields.get("unstable") is True, pod_uid,
    )  # fmt: skip
