"""Opens the store that the settings name."""

from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError

from api.store.bucket import BUCKET_SCHEMES, open_bucket
from api.store.posix import PosixStore
from api.store.store import Store
from artifacts.errors import ConfigError
from artifacts.names import is_key

*_OTHERS, _LAST = (f"{scheme}://" for scheme in BUCKET_SCHEMES)
STORE_FORMS = f"an absolute path, or {', '.join(_OTHERS)} or {_LAST} with a bucket, such as s3://phfs"


def is_store_url(url: str) -> bool:
    """Return whether `url` is an absolute path or has an accepted scheme."""
    return url.startswith("/") or urlsplit(url).scheme in BUCKET_SCHEMES


def open_store(url: str) -> Store:
    """Open the store at an absolute path, or at s3://, gs:// or az:// with a bucket and a path. Sends no request.

    Call this in the process that uses the store: obstore does not survive a fork.

    Raises:
        ConfigError: the URL is invalid, or the environment lacks what the bucket needs.
    """
    if not is_store_url(url):
        raise ConfigError([f"the store {url!r} is invalid: use {STORE_FORMS}"])
    if url.startswith("/"):
        return PosixStore(url)
    parts = urlsplit(url)
    path = unquote(parts.path).strip("/")
    if not parts.netloc or parts.query or parts.fragment or (path and not is_key(path)):
        raise ConfigError(
            [f"the store {url!r} is invalid: use a scheme, a bucket and a path, such as s3://phfs/prefix"]
        )
    try:
        return open_bucket(parts.scheme, parts.netloc, path)
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError([f"the store {url!r} cannot be used: {reason}"]) from error
