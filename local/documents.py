"""Reads and writes JSON files that other programs may write too: input is untrusted, writes are atomic.

Another program may put a link or a FIFO at a document's path, so this module does not follow links and does not wait
for FIFOs. `phjob_files` gives the documents their meaning.
"""

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from artifacts.errors import InvalidDocument

MAX_DOCUMENT_BYTES = 1024 * 1024
_MAX_DEPTH = 32  # Python reads deeper documents than it can write again


def read_regular(path: Path, limit: int) -> bytes:
    """Read at most `limit` + 1 bytes of a regular file, so that a longer file can be recognized. Raises OSError."""
    with _open_regular(path) as file:
        return file.read(limit + 1)


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file that belongs to this user. Raises OSError and InvalidDocument."""
    with _open_regular(path) as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise InvalidDocument(path.name, "it belongs to another user")
        content = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidDocument(path.name, f"it is longer than {MAX_DOCUMENT_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(path.name, "it is not valid JSON") from error
    if not isinstance(document, dict) or _is_deeper(document, _MAX_DEPTH):
        raise InvalidDocument(path.name, f"it is not a JSON object, or is nested deeper than {_MAX_DEPTH} levels")
    return document


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as JSON, atomically: readers find the old content or the new. Raises OSError."""
    temporary = path.with_name(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(document, indent=2) + "\n")
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def lock_documents(folder: Path) -> Iterator[None]:
    """Hold the lock on the documents in `folder`, so that no other program changes one between our read and write."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_regular(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _is_deeper(value: object, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in children)
