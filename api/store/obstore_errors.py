"""Translates obstore's exceptions to the store's errors: one short line, without signed URLs or other secrets."""

import contextlib
import errno
import re
from collections.abc import Iterator

from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError

from api.store.store import FileChanged, FileMissing
from artifacts.errors import StoreError

_CODE = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")


@contextlib.contextmanager
def translate_errors(action: str, key: str) -> Iterator[None]:
    """Raise FileMissing, FileChanged or StoreError if obstore raises an error in the block."""
    try:
        yield
    except FileNotFoundError as error:
        if any(code in str(error) for code in _NO_BUCKET):
            raise bucket_error(action, key, "the bucket does not exist") from error
        raise FileMissing(f"{key!r} does not exist in the store") from error
    except PreconditionError as error:
        raise FileChanged(f"{key!r} was replaced while it was read") from error
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(action, key, _cause(error)) from error


def bucket_error(action: str, key: str, reason: str) -> StoreError:
    """Return the error for a bucket that failed to do `action`."""
    return StoreError(action, key, OSError(errno.EIO, reason))


def error_code(response: str) -> str:
    """Return the code in S3's error response, in parentheses, or "" if it has none."""
    match = _CODE.search(response)
    return f"({match[1]})" if match else ""


def _cause(error: Exception) -> OSError:
    """Keep the first line and the error code. The server's response is dropped: it may contain signed data."""
    text = str(error)
    line = text.partition("\n")[0].partition("<")[0].rstrip(": ")[:300]
    number = errno.EACCES if isinstance(error, PermissionDeniedError) else errno.EIO
    return OSError(number, f"{line} {error_code(text)}".rstrip())
