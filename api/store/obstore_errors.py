"""What obstore raises, as the store's errors: short, and with nothing of a request in them that could be a secret."""

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
def store_errors(action: str, key: str) -> Iterator[None]:
    """Raise FileMissing, FileChanged or StoreError for what obstore raises in the block."""
    try:
        yield
    except FileNotFoundError as error:
        if any(code in str(error) for code in _NO_BUCKET):
            raise fault(action, key, "there is no such bucket") from error
        raise FileMissing(f"there is no file {key!r} in the store") from error
    except PreconditionError as error:
        raise FileChanged(f"{key!r} was replaced while it was read") from error
    except (BaseError, OSError, ValueError) as error:
        raise StoreError(action, key, _cause(error)) from error


def fault(action: str, key: str, text: str) -> StoreError:
    """The error of a store that did not do what was asked."""
    return StoreError(action, key, OSError(errno.EIO, text))


def code_of(answer: str) -> str:
    """The code in an answer of S3's, or ""."""
    found = _CODE.search(answer)
    return f"({found[1]})" if found else ""


def _cause(error: Exception) -> OSError:
    """The first line, without the server's answer: it may tell what was signed. Its code is told."""
    text = str(error)
    line = text.partition("\n")[0].partition("<")[0].rstrip(": ")[:300]
    number = errno.EACCES if isinstance(error, PermissionDeniedError) else errno.EIO
    return OSError(number, f"{line} {code_of(text)}".rstrip())
