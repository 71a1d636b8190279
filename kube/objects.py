"""One kind of object in the API: its paths, and what may be done with its objects. Documents are plain dicts.

An answer's objects are as the server sent them: no field is lost, none is added; the items of a list of a built-in kind
have no `kind`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kube.client import TIMEOUT_SECONDS, Client, Document, Stream
from kube.errors import Unreachable

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True)
class Resource:
    """A resource; in all namespaces, or without any, where `namespace` is ""."""

    group: str
    version: str
    plural: str
    namespace: str = ""

    def path(self, name: str = "", subresource: str = "") -> str:
        """The path of one object, or of them all."""
        root = ("apis", self.group, self.version) if self.group else ("api", self.version)
        within = ("namespaces", self.namespace) if self.namespace else ()
        last = (name, *filter(None, [subresource])) if name else ()
        return "".join("/" + _component(part) for part in (*root, *within, self.plural, *last))

    def __str__(self) -> str:
        """As kubectl has it: `phjobs.primehub.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


@dataclass(frozen=True)
class ListPage:
    """Some objects of a list, and the version that the whole list shows."""

    items: list[Any]
    version: str


class ResourceClient:
    """The objects of one resource. Every method raises what is in kube.errors."""

    def __init__(self, client: Client, resource: Resource, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.resource = resource
        self._client, self._timeout = client, timeout

    def get(self, name: str) -> Document:
        """The object. Raises NotFound."""
        return self._request("GET", self._path(name))

    def create(self, document: Mapping[str, Any]) -> Document:
        """Create it. Raises AlreadyExists."""
        return self._request("POST", self.resource.path(), document)

    def replace(self, name: str, document: Mapping[str, Any], subresource: str = "") -> Document:
        """Put `document` in its place; raises Conflict where the object is no more of the document's version."""
        return self._request("PUT", self._path(name, subresource), document)

    def merge(self, name: str, patch: Mapping[str, Any], subresource: str = "") -> Document:
        """Merge `patch` into the object (RFC 7386). What its metadata says of version and uid must hold: raises
        Conflict for another resourceVersion, Invalid for another uid."""
        return self._request("PATCH", self._path(name, subresource), patch, MERGE_PATCH)

    def patch(self, name: str, operations: list[dict[str, Any]], subresource: str = "") -> Document:
        """Apply JSON patch `operations` (RFC 6902). Raises Invalid where a test among them fails."""
        return self._request("PATCH", self._path(name, subresource), operations, JSON_PATCH)

    def delete(
        self, name: str, *, uid: str = "", version: str = "", grace_seconds: int | None = None, propagation: str = ""
    ) -> Document:
        """Delete it; raises Conflict where it is not of that `uid` and resourceVersion, NotFound."""
        wanted = {"uid": uid, "resourceVersion": version}
        options = {
            "preconditions": {field: value for field, value in wanted.items() if value},
            "gracePeriodSeconds": grace_seconds,
            "propagationPolicy": propagation,
        }
        given = {field: value for field, value in options.items() if value not in ({}, None, "")}
        return self._request("DELETE", self._path(name), {"apiVersion": "v1", "kind": "DeleteOptions", **given})

    def pages(self, selectors: Mapping[str, str], limit: int = 500) -> Iterator[ListPage]:
        """All that `selectors` (labelSelector, fieldSelector) select, at one moment, some at a time.

        Raises Gone where that took so long that the server has forgotten the moment.
        """
        following: str | None = None
        while True:
            query = {**selectors, "limit": str(limit)} | ({"continue": following} if following else {})
            answer = self._client.request("GET", self.resource.path(), query=query, timeout=self._timeout)
            metadata, items = answer.get("metadata") or {}, answer.get("items") or []
            version = metadata.get("resourceVersion")
            if not version or not isinstance(items, list):
                raise Unreachable(f"the answer is no list of {self.resource}")
            yield ListPage(items, version)
            following = metadata.get("continue")
            if not following:
                return

    def watch(self, selectors: Mapping[str, str], version: str, seconds: int, idle_seconds: float) -> Stream:
        """The changes since `version`, a JSON line each, for at most `seconds`."""
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
            raise ValueError("an object's name must not be empty: it would stand for all objects")
        return self.resource.path(name, subresource)

    def _request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Document:
        return self._client.request(method, path, body=body, content_type=content_type, timeout=self._timeout)


def _component(part: str) -> str:
    if part in ("", ".", ".."):
        raise ValueError(f"{part!r} must not stand in a path: it would lead elsewhere")
    return quote(part, safe="")
