"""Operations on the objects of one resource. Objects are plain dicts, as the server sends them.

No field is lost and none is added. The server omits `kind` from the items of lists of built-in kinds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kube.client import TIMEOUT_SECONDS, Client, Document, Stream
from kube.errors import ResponseTooLarge, Unreachable

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

# Users choose the size of their objects, so bytes limit a page too: parsed, it needs up to 20 times its bytes.
MAX_PAGE_BYTES = 4 * 1024 * 1024
_FIRST_PAGE_OBJECTS = 10
_MAX_PAGE_GROWTH = 4


@dataclass(frozen=True)
class Resource:
    """A resource type. An empty `namespace` means all namespaces, or a cluster-scoped resource."""

    group: str
    version: str
    plural: str
    namespace: str = ""

    def path(self, name: str = "", subresource: str = "") -> str:
        """Return the URL path of one object, or of the collection if `name` is empty."""
        root = ("apis", self.group, self.version) if self.group else ("api", self.version)
        namespace = ("namespaces", self.namespace) if self.namespace else ()
        object_parts = (name, *filter(None, [subresource])) if name else ()
        return "".join("/" + _component(part) for part in (*root, *namespace, self.plural, *object_parts))

    def __str__(self) -> str:
        """Return the name as kubectl writes it: `phjobs.primehub.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True)
class ListPage:
    """A page of a list, and the resource version of the whole list."""

    items: list[Any]
    version: str


class ResourceClient:
    """A client for the objects of one resource. All methods raise the errors of kube.errors."""

    def __init__(self, client: Client, resource: Resource, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.resource = resource
        self._client, self._timeout = client, timeout

    def get(self, name: str) -> Document:
        """Return the object. Raises NotFound."""
        return self._request("GET", self._path(name))

    def create(self, document: Mapping[str, Any]) -> Document:
        """Create the object and return it. Raises AlreadyExists."""
        return self._request("POST", self.resource.path(), document)

    def replace(self, name: str, document: Mapping[str, Any], subresource: str = "") -> Document:
        """Replace the object. Raises Conflict if its resourceVersion is no longer the document's."""
        return self._request("PUT", self._path(name, subresource), document)

    def merge(self, name: str, patch: Mapping[str, Any], subresource: str = "") -> Document:
        """Apply a merge patch (RFC 7386).

        A resourceVersion or uid in the patch's metadata is a precondition.

        Raises:
            Conflict: the object has another resourceVersion.
            Invalid: the object has another uid.
        """
        return self._request("PATCH", self._path(name, subresource), patch, MERGE_PATCH)

    def patch(self, name: str, operations: list[dict[str, Any]], subresource: str = "") -> Document:
        """Apply a JSON patch (RFC 6902). Raises Invalid if one of its tests fails."""
        return self._request("PATCH", self._path(name, subresource), operations, JSON_PATCH)

    def delete(
        self, name: str, *, uid: str = "", version: str = "", grace_seconds: int | None = None, propagation: str = ""
    ) -> Document:
        """Delete the object. Raises NotFound, or Conflict if it has another uid or resourceVersion than given."""
        preconditions = {"uid": uid, "resourceVersion": version}
        options = {
            "preconditions": {field: value for field, value in preconditions.items() if value},
            "gracePeriodSeconds": grace_seconds,
            "propagationPolicy": propagation,
        }
        given = {field: value for field, value in options.items() if value not in ({}, None, "")}
        return self._request("DELETE", self._path(name), {"apiVersion": "v1", "kind": "DeleteOptions", **given})

    def pages(self, selectors: Mapping[str, str], limit: int = 500) -> Iterator[ListPage]:
        """Yield the objects that `selectors` (labelSelector, fieldSelector) match, in pages of one consistent list.

        A page has at most `limit` objects and MAX_PAGE_BYTES, but at least one object.

        Raises:
            Gone: reading all pages took so long that the server has discarded the list's resource version.
        """
        path, token, largest = self.resource.path(), "", limit
        count = min(limit, _FIRST_PAGE_OBJECTS)
        while True:
            query = {**selectors, "limit": str(count)} | ({"continue": token} if token else {})
            max_bytes = MAX_PAGE_BYTES if count > 1 else None
            try:
                document, size = self._client.get_sized(path, query, max_bytes, self._timeout)
            except ResponseTooLarge:
                count = max(1, count // _MAX_PAGE_GROWTH)
                continue
            except Unreachable as error:
                if count == 1 or not error.is_timeout:
                    raise
                # A slow server may need longer than the timeout for a page of large objects.
                count, largest = 1, max(1, count // _MAX_PAGE_GROWTH)
                continue
            metadata, items = document.get("metadata") or {}, document.get("items") or []
            version = metadata.get("resourceVersion")
            if not version or not isinstance(items, list):
                raise Unreachable(f"the response is not a list of {self.resource}")
            yield ListPage(items, version)
            token = metadata.get("continue") or ""
            if not token:
                return
            fitting = MAX_PAGE_BYTES // 2 * max(1, len(items)) // max(1, size)  # half, because sizes vary
            count = max(1, min(largest, fitting, count * _MAX_PAGE_GROWTH))

    def watch(self, selectors: Mapping[str, str], version: str, seconds: int, idle_seconds: float) -> Stream:
        """Stream the changes since `version` as JSON lines. The server ends the stream after `seconds`."""
        query = {
            **selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        return self._client.stream(self.resource.path(), query, idle_seconds)

    def _path(self, name: str, subresource: str = "") -> str:
        if not name:
            raise ValueError("an object's name must not be empty: the path would be that of all objects")
        return self.resource.path(name, subresource)

    def _request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Document:
        return self._client.request(method, path, body=body, content_type=content_type, timeout=self._timeout)


def _component(part: str) -> str:
    if part in ("", ".", ".."):
        raise ValueError(f"a component of a path must not be {part!r}: the path would be that of another object")
    return quote(part, safe="")
