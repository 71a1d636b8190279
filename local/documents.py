"""JSON documents as files that others may write too: read as hostile, written whole, changed one at a time.

Apart from `phjobs`, which gives them a meaning. A link or a FIFO may lie where a document is looked for: nothing
here follows the one or waits for the other.
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

MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 32  # what Python can read but not write again would end whoever tries


def read_regular(path: Path, most: int) -> bytes:
    """At most `most` bytes and one of a regular file; raises OSError."""
    with _open_regular(path) as file:
        return file.read(most + 1)


def read_document(path: Path) -> dict[str, Any]:
    """The JSON object at `path`, written by this user. Raises OSError and InvalidDocument."""
    with _open_regular(path) as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise InvalidDocument(path.name, "it belongs to another user")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InvalidDocument(path.name, f"it is longer than {MAX_BYTES} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(path.name, "it is no JSON") from error
    if not isinstance(document, dict) or _is_deeper(document, _MAX_DEPTH):
        raise InvalidDocument(path.name, "it is no JSON object, or one in one in one ...")
    return document


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Put `document` at `path` as JSON; whoever reads finds the old one or the new one, whole. Raises OSError."""
    temporary = path.with_name(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(document, indent=2) + "\n")
        temporary.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Wait to be the only one that changes documents in `folder`; no change gets lost between read and write."""
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
        raise OSError(f"{path} is no regular file")
    return os.fdopen(descriptor, "rb")


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)
