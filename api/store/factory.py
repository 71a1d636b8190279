"""The store that the settings name."""

from urllib.parse import unquote, urlsplit

from api.store.objects import open_bucket
from api.store.posix import PosixStore
from api.store.store import Store


def open_store(url: str) -> Store:
    """The store at an absolute path, or at s3://, gs:// or az:// with bucket and path. Reaches for nothing yet."""
    if url.startswith("/"):
        return PosixStore(url)
    parts = urlsplit(url)
    return open_bucket(parts.scheme, parts.netloc, unquote(parts.path).strip("/"))
