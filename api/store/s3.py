"""Lists and deletes the keys of an S3 bucket exactly as they are, including `folder/` objects and invalid keys.

obstore cannot express `folder/` or `a//b`, and one such key hides a whole page of others. So this module sends its own
requests, with the endpoint, credentials and signing of obstore. obstore signs an object's URL, but no query. So the
query is passed as part of the endpoint, and the object's name becomes the value of the last parameter, `x-id`, which S3
ignores. This module never sees the credentials. A signed URL grants access by itself, so errors never contain it.
"""

import functools
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal
from xml.etree import ElementTree

import obstore
import urllib3
from obstore.exceptions import InvalidPathError
from obstore.store import S3Store

from api.store.keys import PAGE_SIZE, KeyEntry, ObstoreKeys, key_entry
from api.store.obstore_errors import bucket_error, error_code, translate_errors
from artifacts.errors import StoreError
from artifacts.names import is_key

_TIMEOUT = urllib3.Timeout(connect=5, read=20)
_RETRIES = urllib3.Retry(2, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
_SIGNATURE_LIFETIME = timedelta(minutes=2)
_OBJECT = "x"
_Method = Literal["GET", "DELETE"]
_NO_QUERY: Mapping[str, str] = {}


class S3Keys:
    """Implements `api.store.keys.BucketKeys` for the bucket of `store`. Thread-safe."""

    def __init__(self, store: S3Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket
        self._obstore_keys = ObstoreKeys(store)
        self._http = urllib3.PoolManager(maxsize=32, timeout=_TIMEOUT, retries=_RETRIES)

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[KeyEntry]]:
        """Yield the keys in pages, as BucketKeys.pages does."""
        query = {"encoding-type": "url", "list-type": "2", "max-keys": str(PAGE_SIZE), "prefix": prefix}
        if not recursive:
            query["delimiter"] = "/"
        if after:
            query["start-after"] = prefix + after
        token = None
        while True:
            entries, next_token = _parse_page(prefix, self._send("GET", "list", prefix, query=query))
            yield entries
            if next_token is None:
                return
            if next_token == token:
                raise bucket_error("list", prefix, "the server returned the same page twice")
            query["continuation-token"] = token = next_token

    def all(self, prefix: str) -> Iterator[Sequence[KeyEntry]]:
        """Use obstore, which is several times faster, up to the first key that it may not list correctly."""
        last = prefix
        with translate_errors("list", prefix):
            try:
                for chunk in obstore.list(self._store, prefix, chunk_size=PAGE_SIZE):
                    entries = [key_entry(meta) for meta in chunk]
                    if not all(entry.size for entry in entries):
                        break
                    yield entries
                    last = entries[-1].key
                else:
                    return
            except InvalidPathError:
                pass
        yield from self.pages(prefix, last.removeprefix(prefix), recursive=True)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete the keys, many in one request."""
        valid = [key for key in keys if is_key(key)]
        errors = []
        for batch in ([valid] if valid else []) + [[key] for key in keys if not is_key(key)]:
            try:
                self._delete(batch)
            except StoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _delete(self, batch: list[str]) -> None:
        if is_key(batch[0]):
            self._obstore_keys.delete(batch)
        else:
            self._send("DELETE", "remove", batch[0], path=f"/{urllib.parse.quote(batch[0])}")

    def _send(
        self, method: _Method, action: str, key: str, *, path: str = "", query: Mapping[str, str] = _NO_QUERY
    ) -> bytes:
        url = self._sign(method, action, key, path, query)
        try:
            response = self._http.request(method, url, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            reason = type(getattr(error, "reason", None) or error).__name__
            raise bucket_error(action, key, f"no response ({reason})") from None  # the cause has the signed URL
        if response.status not in (200, 204):
            code = error_code(response.data.decode(errors="replace"))
            raise bucket_error(action, key, f"the server returned {response.status} {code}".rstrip())
        return response.data

    def _sign(self, method: _Method, action: str, key: str, path: str, query: Mapping[str, str]) -> str:
        encoded = urllib.parse.urlencode({**query, "x-id": ""}, quote_via=urllib.parse.quote, safe="")
        with translate_errors(action, key):
            endpoint = f"{self._url}{path}?{encoded}"
            signer = S3Store(
                self._bucket,
                config={
                    "endpoint": endpoint,
                    "aws_endpoint_url_s3": endpoint,
                    "virtual_hosted_style_request": True,
                },
            )
            url = obstore.sign(signer, method, _OBJECT, _SIGNATURE_LIFETIME)
        if not url.startswith(endpoint):  # the key has a "." or ".." component, which URLs resolve
            raise bucket_error(action, key, "a URL cannot contain this key; use another tool")
        return url

    @functools.cached_property
    def _url(self) -> str:
        """The bucket's URL, derived from the URL of an object in it."""
        url = obstore.sign(self._store, "GET", _OBJECT, _SIGNATURE_LIFETIME)
        return url.partition("?")[0].removesuffix(f"/{_OBJECT}")


def _parse_page(prefix: str, body: bytes) -> tuple[list[KeyEntry], str | None]:
    """Return the entries in order and the next page's token. Raises StoreError if `body` is not a listing."""
    try:
        result = ElementTree.fromstring(body)
        if _tag(result) != "ListBucketResult":
            raise ValueError(f"expected ListBucketResult, got {_tag(result)[:80]}")
        fields = {_tag(child): child.text or "" for child in result}
        decode = urllib.parse.unquote_plus if fields.get("EncodingType") == "url" else str
        entries = [_parse_entry(child, decode) for child in result if _tag(child) in ("Contents", "CommonPrefixes")]
        next_token = fields["NextContinuationToken"] if fields["IsTruncated"] == "true" else None
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise bucket_error("list", prefix, f"the server's response is invalid: {error}") from error
    return sorted(entries, key=lambda entry: entry.key), next_token


def _parse_entry(element: ElementTree.Element, decode: Callable[[str], str]) -> KeyEntry:
    fields = {_tag(child): child.text or "" for child in element}
    if "Prefix" in fields:
        return KeyEntry(decode(fields["Prefix"]))
    modified_at = datetime.fromisoformat(fields["LastModified"]).timestamp()
    return KeyEntry(decode(fields["Key"]), int(fields["Size"]), modified_at)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
