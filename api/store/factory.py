"""The store that the settings name."""

from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError

from api.store.bucket import open_bucket
from api.store.posix import PosixStore
from api.store.store import Store
from artifacts.errors import ConfigError
from artifacts.names import is_key


def open_store(url: str) -> Store:
    """The store at an absolute path, or at s3://, gs:// or az:// with bucket and path. Reaches for nothing yet.

    Raises ConfigError. To be called in the process that uses it: obstore does not survive a fork.
    """
    if url.startswith("/"):
        return PosixStore(url)
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if not parts.netloc or parts.query or parts.fragment or (path and not is_key(path)):
        raise ConfigError([f"{url!r} is no store: use a scheme, a bucket and a path, such as s3://phfs/prefix"])
    try:
        return open_bucket(parts.scheme, parts.netloc, path)
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError([f"the store {url!r} cannot be used: {reason}"]) from error
