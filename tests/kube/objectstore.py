"""The objects of the API server for tests: versions, history, selectors, patches. No HTTP."""

import copy
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Document = dict[str, Any]
Key = tuple[str, str, str, str]  # group, plural, namespace, name


class ApiError(Exception):
    """An error response."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def status(self) -> Document:
        """Return the Status document."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


class Change(NamedTuple):
    """A version in the history: the object before and after the change; None if it did not or does not exist."""

    version: int
    key: Key
    before: Document | None
    after: Document | None


class ObjectPath(NamedTuple):
    """The parts of a URL path. An empty namespace means all namespaces, or a cluster-scoped resource."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return (self.group, self.plural, self.namespace, self.name)

    def contains(self, key: Key) -> bool:
        """Whether the collection at this path contains the object."""
        return (self.group, self.plural) == key[:2] and self.namespace in ("", key[2])


class ObjectStore:
    """A thread-safe store. `changed` is notified of every new version."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 100
        self.oldest = 100  # watches from older versions get 410 Gone
        self.history: list[Change] = []
        self._objects: dict[Key, Document] = {}

    def get(self, path: ObjectPath) -> Document:
        with self.changed:
            if path.key not in self._objects:
                raise ApiError(404, "NotFound", f'{path.plural}.{path.group} "{path.name}" not found')
            return copy.deepcopy(self._objects[path.key])

    def all(self, path: ObjectPath) -> list[Document]:
        """Return the objects of a collection, ordered by namespace and name."""
        with self.changed:
            keys = sorted(key for key in self._objects if path.contains(key))
            return [copy.deepcopy(self._objects[key]) for key in keys]

    def create(self, path: ObjectPath, document: Document) -> Document:
        document = copy.deepcopy(document)
        with self.changed:
            metadata = document.setdefault("metadata", {})
            name = metadata.setdefault("name", metadata.get("generateName", "") + uuid.uuid4().hex[:5])
            path = path._replace(name=name)
            if path.key in self._objects:
                raise ApiError(409, "AlreadyExists", f'{path.plural} "{name}" already exists')
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
            if path.namespace:
                metadata["namespace"] = path.namespace
            if path.group == "primehub.io":
                document.pop("status", None)
            return self._put(path.key, document)

    def set(self, path: ObjectPath, document: Document) -> Document:
        """Create or replace the object, including its status."""
        with self.changed:
            before = self._objects.get(path.key)
            uid = document.get("metadata", {}).get("uid") or str(uuid.uuid4())
            fixed = _fixed(before["metadata"]) if before else {"uid": uid, "name": path.name}
            if path.namespace:
                fixed["namespace"] = path.namespace
            metadata = {"generation": 1, **document.get("metadata", {}), **fixed}
            return self._put(path.key, {**document, "metadata": metadata})

    def update(self, path: ObjectPath, change: Callable[[Document], Document]) -> Document:
        """Replace the object with the result of `change`, restricted to the subresource."""
        with self.changed:
            before = self.get(path)
            after = change(copy.deepcopy(before))
            if after.get("metadata", {}).get("uid") not in (None, before["metadata"]["uid"]):
                raise ApiError(422, "Invalid", f'{path.plural} "{path.name}" is invalid: metadata.uid: is immutable')
            self._check(path, before, after.get("metadata", {}))
            if path.subresource:
                after = {**before, path.subresource: after.get(path.subresource)}
            elif path.group == "primehub.io":
                after["status"] = before.get("status", {})
                if not after["status"]:
                    del after["status"]
            after["metadata"] = {**after.get("metadata", {}), **_fixed(before["metadata"])}
            if after == before:
                return before
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = before["metadata"]["generation"] + 1
            return self._put(path.key, after)

    def delete(self, path: ObjectPath, options: Document) -> Document:
        with self.changed:
            before = self.get(path)
            self._check(path, before, options.get("preconditions") or {})
            if before["metadata"].get("finalizers"):
                end = time.gmtime(time.time() + (options.get("gracePeriodSeconds") or 0))
                before["metadata"]["deletionTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", end)
                return self._put(path.key, before)
            self._put(path.key, None)
            return before

    def compact(self) -> None:
        """Discard all old versions."""
        with self.changed:
            self.oldest = self.version
            self.history.clear()

    def forget_objects(self, version: int) -> None:
        """Delete everything and restart versions at `version`, as a restore from an old backup does."""
        with self.changed:
            self._objects.clear()
            self.history.clear()
            self.version = self.oldest = version
            self.changed.notify_all()

    def since(self, version: int) -> list[Change]:
        return [change for change in self.history if change.version > version]

    def _check(self, path: ObjectPath, before: Document, wanted: Document) -> None:
        for name in ("uid", "resourceVersion"):
            if wanted.get(name) not in (None, "", before["metadata"][name]):
                raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on {path.plural} "{path.name}": {name}')

    def _put(self, key: Key, document: Document | None) -> Document:
        self.version += 1
        before = self._objects.pop(key, None)
        if document is not None:
            document["metadata"]["resourceVersion"] = str(self.version)
            self._objects[key] = document
        self.history.append(Change(self.version, key, before, document))
        self.changed.notify_all()
        return copy.deepcopy(document) if document is not None else {}


def _fixed(metadata: Document) -> Document:
    """Return the metadata that clients cannot change."""
    names = ("uid", "resourceVersion", "creationTimestamp", "name", "namespace", "generation")
    return {name: metadata[name] for name in names if name in metadata}


def selects(query: dict[str, str], document: Document | None) -> bool:
    """Whether the selectors in `query` match the document."""
    if document is None:
        return False
    labels = document["metadata"].get("labels") or {}
    by_label = all(_label_matches(term, labels) for term in _terms(query.get("labelSelector", "")))
    return by_label and all(_field_matches(term, document) for term in _terms(query.get("fieldSelector", "")))


def merge(target: Any, patch: Any) -> Any:
    """Apply a merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def json_patch(document: Any, operations: list[Document]) -> Any:
    """Apply a JSON patch (RFC 6902) without move and copy operations."""
    holder = {"": copy.deepcopy(document)}
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")]
        target: Any = holder
        try:
            for part in parents:
                target = target[int(part) if isinstance(target, list) else part]
            _operate(target, last, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ApiError(422, "Invalid", f"the server rejected our request: {error}") from error
    return holder[""]


def _operate(target: Any, last: str, operation: Document) -> None:
    is_list = isinstance(target, list)
    index: Any = len(target) if is_list and last == "-" else int(last) if is_list else last
    kind = operation["op"]
    if kind == "test":
        if target[index] != operation["value"]:
            raise ValueError(f"testing path {operation['path']} failed")
    elif kind == "add" and is_list:
        target.insert(index, operation["value"])
    elif kind in ("add", "replace"):
        if kind == "replace":
            target[index]  # raises if it does not exist
        target[index] = operation["value"]
    elif kind == "remove":
        del target[index]
    else:
        raise ValueError(f"operation {kind} is unknown")


def _terms(selector: str) -> Iterator[str]:
    return (term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _label_matches(term: str, labels: Document) -> bool:
    if match := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
        values = [value.strip() for value in match[3].split(",")]
        return (labels.get(match[1]) in values) == (match[2] == "in")
    if match := re.fullmatch(r"([^=!]+)(==?|!=)(.*)", term):
        return (labels.get(match[1].strip()) == match[3].strip()) == (match[2] != "!=")
    return term[1:] not in labels if term.startswith("!") else term in labels


def _field_matches(term: str, document: Document) -> bool:
    match = re.fullmatch(r"([^=!]+)(==?|!=)(.*)", term)
    assert match, term
    value: Any = document
    for part in match[1].split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return (str(value) == match[3]) == (match[2] != "!=")
