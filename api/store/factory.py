"""Opens the store that the settings name. `BUCKET_SCHEMES` is the only list of the accepted schemes."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from obstore.exceptions import BaseError

from api.store.bucket import BUCKET_SCHEMES, open_bucket
from api.store.posix import PosixStore
from api.store.store import Store
from artifacts.errors import ConfigError
from artifacts.names import is_key

*_OTHERS, _LAST = (f"{scheme}://" for scheme in BUCKET_SCHEMES)
_SCHEMES = f"{', '.join(_OTHERS)} or {_LAST}"
_BUCKET = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,253}[A-Za-z0-9])?")  # as the most permissive service allows

STORE_HELP = f"a directory, or {_SCHEMES} with bucket and path"


def check_store_url(url: str) -> str:
    """Return the location of a store without trailing slashes. Raises ValueError if `open_store` cannot accept it."""
    if not url.startswith("/"):
        _split(url)
    return url.rstrip("/") or "/"


def open_store(url: str) -> Store:
    """Open the store at an absolute path, or at the URL of a bucket with a path in it. Sends no request.

    Call this in the process that uses the store: obstore does not survive a fork.

    Raises:
        ConfigError: the URL is invalid, or the environment lacks what the bucket needs.
    """
    if url.startswith("/"):
        return PosixStore(url)
    try:
        parts = _split(url)
    except ValueError as error:
        raise ConfigError([f"the store {url!r} is invalid: {error}"]) from error
    try:
        return open_bucket(parts.scheme, parts.netloc, _path(parts))
    except (BaseError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError([f"the store {url!r} cannot be used: {reason}"]) from error


def _split(url: str) -> SplitResult:
    """Split the URL of a bucket. Raises ValueError that says which form is accepted."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in BUCKET_SCHEMES:
        raise ValueError(f"use an absolute path, or {_SCHEMES} with a bucket, such as s3://phfs")
    problem = ValueError("use a scheme, a bucket and a path, such as s3://phfs/prefix")
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        raise problem from None
    if not _BUCKET.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise problem
    if _path(parts) and not is_key(_path(parts)):
        raise problem
    return parts


def _path(parts: SplitResult) -> str:
    return unquote(parts.path).strip("/")
