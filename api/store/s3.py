"""The keys of an S3 bucket, as they are: listed page by page, `folder/` objects and odd keys included, and deleted.

obstore cannot say `folder/` or `a//b`, and one such key hides a page of others. So these are requests of our own, with
what obstore knows of the endpoint, the credentials, and how to sign. It signs the URL of an object, but no query; so
the query is given to it as part of an endpoint, and the object's name becomes the value of the last parameter, `x-id`,
which S3 ignores. Credentials are not seen here. A signed URL is one, so none gets into an error.
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

from api.store.keys import PAGE, KeyEntry, ObstoreKeys, entry_of
from api.store.obstore_errors import code_of, fault, store_errors
from artifacts.errors import StoreError
from artifacts.names import is_key

_TIMEOUT = urllib3.Timeout(connect=5, read=20)
_RETRIES = urllib3.Retry(2, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
_SIGNED_FOR = timedelta(minutes=2)
_OBJECT = "x"
_Method = Literal["GET", "DELETE"]
_NO_QUERY: Mapping[str, str] = {}


class S3Keys:
    """The keys of the bucket that `store` speaks to. Safe to use from several threads."""

    def __init__(self, store: S3Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket
        self._plain = ObstoreKeys(store)
        self._http = urllib3.PoolManager(maxsize=32, timeout=_TIMEOUT, retries=_RETRIES)

    def pages(self, prefix: str, after: str, recursive: bool) -> Iterator[Sequence[KeyEntry]]:
        query = {"encoding-type": "url", "list-type": "2", "max-keys": str(PAGE), "prefix": prefix}
        if not recursive:
            query["delimiter"] = "/"
        if after:
            query["start-after"] = prefix + after
        token = None
        while True:
            entries, following = _read_page(prefix, self._send("GET", "list", prefix, query=query))
            yield entries
            if following is None:
                return
            if following == token:
                raise fault("list", prefix, "the server gives the same page again")
            query["continuation-token"] = token = following

    def all(self, prefix: str) -> Iterator[Sequence[KeyEntry]]:
        """By obstore, which is several times as fast, until there is something that it may not tell as it is."""
        last = prefix
        with store_errors("list", prefix):
            try:
                for chunk in obstore.list(self._store, prefix, chunk_size=PAGE):
                    entries = [entry_of(meta) for meta in chunk]
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
        plain = [key for key in keys if is_key(key)]
        faults = []
        for batch in ([plain] if plain else []) + [[key] for key in keys if not is_key(key)]:
            try:
                self._delete(batch)
            except StoreError as error:
                faults.append(error)
        if faults:
            raise faults[0]

    def _delete(self, batch: list[str]) -> None:
        if is_key(batch[0]):
            self._plain.delete(batch)
        else:
            self._send("DELETE", "remove", batch[0], path=f"/{urllib.parse.quote(batch[0])}")

    def _send(
        self, method: _Method, action: str, key: str, *, path: str = "", query: Mapping[str, str] = _NO_QUERY
    ) -> bytes:
        url = self._sign(method, action, key, path, query)
        try:
            answer = self._http.request(method, url, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            reason = type(getattr(error, "reason", None) or error).__name__
            raise fault(action, key, f"no answer ({reason})") from None  # the error's text has the signed URL
        if answer.status not in (200, 204):
            code = code_of(answer.data.decode(errors="replace"))
            raise fault(action, key, f"the server answered {answer.status} {code}".rstrip())
        return answer.data

    def _sign(self, method: _Method, action: str, key: str, path: str, query: Mapping[str, str]) -> str:
        words = urllib.parse.urlencode({**query, "x-id": ""}, quote_via=urllib.parse.quote, safe="")
        with store_errors(action, key):
            endpoint = f"{self._url}{path}?{words}"
            signer = S3Store(
                self._bucket,
                config={
                    "endpoint": endpoint,
                    "aws_endpoint_url_s3": endpoint,
                    "virtual_hosted_style_request": True,
                },
            )
            url = obstore.sign(signer, method, _OBJECT, _SIGNED_FOR)
        if not url.startswith(endpoint):  # a "." or ".." component, which means something else in a URL
            raise fault(action, key, "its key cannot be in a URL; use another tool")
        return url

    @functools.cached_property
    def _url(self) -> str:
        """The bucket's URL, by the one of an object in it."""
        url = obstore.sign(self._store, "GET", _OBJECT, _SIGNED_FOR)
        return url.partition("?")[0].removesuffix(f"/{_OBJECT}")


def _read_page(prefix: str, body: bytes) -> tuple[list[KeyEntry], str | None]:
    """The entries, in order, and the token of what follows. Raises StoreError for what is no answer to a listing."""
    try:
        answer = ElementTree.fromstring(body)
        if _tag(answer) != "ListBucketResult":
            raise ValueError("it is none to a listing")
        told = {_tag(child): child.text or "" for child in answer}
        decode = urllib.parse.unquote_plus if told.get("EncodingType") == "url" else str
        found = [_entry(child, decode) for child in answer if _tag(child) in ("Contents", "CommonPrefixes")]
        following = told["NextContinuationToken"] if told["IsTruncated"] == "true" else None
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise fault("list", prefix, f"the server's answer cannot be read: {error}") from error
    return sorted(found, key=lambda entry: entry.key), following


def _entry(element: ElementTree.Element, decode: Callable[[str], str]) -> KeyEntry:
    told = {_tag(child): child.text or "" for child in element}
    if "Prefix" in told:
        return KeyEntry(decode(told["Prefix"]))
    modified = datetime.fromisoformat(told["LastModified"]).timestamp()
    return KeyEntry(decode(told["Key"]), int(told["Size"]), modified)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
