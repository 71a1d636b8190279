"""The objects of a small API server for tests: versions, history, selectors, patches. No HTTP."""

import copy
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Document = dict[str, Any]
Key = tuple[str, str, str, str]  # group, plural, namespace, name


class ApiError(Exception):
    """An error that the API server answers."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def status(self) -> Document:
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
    """One version: what the object was and what it became; None where there was, or is, none."""

    version: int
    key: Key
    before: Document | None
    after: Document | None


class ObjectPath(NamedTuple):
    """What a path names; an empty namespace: all of them, or a resource that has none."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return (self.group, self.plural, self.namespace, self.name)

    def holds(self, key: Key) -> bool:
        same = (self.group, self.plural) == key[:2]
        return same and self.namespace in ("", key[2])


class ObjectStore:
    """Thread-safe. `changed` is notified of every new version."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 100
        self.oldest = 100  # watches from versions before this are told that they are gone
        self.history: list[Change] = []
        self._objects: dict[Key, Document] = {}

    def get(self, place: ObjectPath) -> Document:
        with self.changed:
            if place.key not in self._objects:
                raise ApiError(404, "NotFound", f'{place.plural}.{place.group} "{place.name}" not found')
            return copy.deepcopy(self._objects[place.key])

    def all(self, place: ObjectPath) -> list[Document]:
        """All objects there, by namespace and name."""
        with self.changed:
            found = sorted(key for key in self._objects if place.holds(key))
            return [copy.deepcopy(self._objects[key]) for key in found]

    def create(self, place: ObjectPath, document: Document) -> Document:
        document = copy.deepcopy(document)
        with self.changed:
            metadata = document.setdefault("metadata", {})
            name = metadata.setdefault("name", metadata.get("generateName", "") + uuid.uuid4().hex[:5])
            place = place._replace(name=name)
            if place.key in self._objects:
                raise ApiError(409, "AlreadyExists", f'{place.plural} "{name}" already exists')
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
            if place.namespace:
                metadata["namespace"] = place.namespace
            if place.group == "primehub.io":
                document.pop("status", None)
            return self._put(place.key, document)

    def set(self, place: ObjectPath, document: Document) -> Document:
        """Make the object be `document`, status and all."""
        with self.changed:
            before = self._objects.get(place.key)
            uid = document.get("metadata", {}).get("uid") or str(uuid.uuid4())
            fixed = _fixed(before["metadata"]) if before else {"uid": uid, "name": place.name}
            if place.namespace:
                fixed["namespace"] = place.namespace
            metadata = {"generation": 1, **document.get("metadata", {}), **fixed}
            return self._put(place.key, {**document, "metadata": metadata})

    def update(self, place: ObjectPath, change: Callable[[Document], Document]) -> Document:
        """Replace the object by what `change` makes of it, as the subresource allows."""
        with self.changed:
            before = self.get(place)
            after = change(copy.deepcopy(before))
            if after.get("metadata", {}).get("uid") not in (None, before["metadata"]["uid"]):
                raise ApiError(422, "Invalid", f'{place.plural} "{place.name}" is invalid: metadata.uid: is immutable')
            self._check(place, before, after.get("metadata", {}))
            if place.subresource:
                after = {**before, place.subresource: after.get(place.subresource)}
            elif place.group == "primehub.io":
                after["status"] = before.get("status", {})
                if not after["status"]:
                    del after["status"]
            after["metadata"] = {**after.get("metadata", {}), **_fixed(before["metadata"])}
            if after == before:
                return before
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = before["metadata"]["generation"] + 1
            return self._put(place.key, after)

    def delete(self, place: ObjectPath, options: Document) -> Document:
        with self.changed:
            before = self.get(place)
            self._check(place, before, options.get("preconditions") or {})
            if before["metadata"].get("finalizers"):
                before["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                return self._put(place.key, before)
            self._put(place.key, None)
            return before

    def compact(self) -> None:
        """Forget all versions before the present."""
        with self.changed:
            self.oldest = self.version
            self.history.clear()

    def forget_objects(self, version: int) -> None:
        """As after a restore from an old backup: nothing is there, and versions start again at `version`."""
        with self.changed:
            self._objects.clear()
            self.history.clear()
            self.version = self.oldest = version
            self.changed.notify_all()

    def since(self, version: int) -> list[Change]:
        return [change for change in self.history if change.version > version]

    def _check(self, place: ObjectPath, before: Document, wanted: Document) -> None:
        for name in ("uid", "resourceVersion"):
            if wanted.get(name) not in (None, "", before["metadata"][name]):
                raise ApiError(
                    409, "Conflict", f'Operation cannot be fulfilled on {place.plural} "{place.name}": {name}'
                )

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
    """What no client changes."""
    names = ("uid", "resourceVersion", "creationTimestamp", "name", "namespace", "generation")
    return {name: metadata[name] for name in names if name in metadata}


def selects(query: dict[str, str], document: Document | None) -> bool:
    """Whether the selectors in `query` select the document."""
    if document is None:
        return False
    labels = document["metadata"].get("labels") or {}
    by_label = all(_label_holds(term, labels) for term in _terms(query.get("labelSelector", "")))
    return by_label and all(_field_holds(term, document) for term in _terms(query.get("fieldSelector", "")))


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
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
    """RFC 6902, without move and copy."""
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
    where: Any = len(target) if is_list and last == "-" else int(last) if is_list else last
    kind = operation["op"]
    if kind == "test":
        if target[where] != operation["value"]:
            raise ValueError(f"testing path {operation['path']} failed")
    elif kind == "add" and is_list:
        target.insert(where, operation["value"])
    elif kind in ("add", "replace"):
        if kind == "replace":
            target[where]  # it must be there
        target[where] = operation["value"]
    elif kind == "remove":
        del target[where]
    else:
        raise ValueError(f"operation {kind} is unknown")


def _terms(selector: str) -> Iterator[str]:
    return (term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _label_holds(term: str, labels: Document) -> bool:
    if found := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", term):
        values = [value.strip() for value in found[3].split(",")]
        return (labels.get(found[1]) in values) == (found[2] == "in")
    if found := re.fullmatch(r"([^=!]+)(==?|!=)(.*)", term):
        return (labels.get(found[1].strip()) == found[3].strip()) == (found[2] != "!=")
    return term[1:] not in labels if term.startswith("!") else term in labels


def _field_holds(term: str, document: Document) -> bool:
    found = re.fullmatch(r"([^=!]+)(==?|!=)(.*)", term)
    assert found, term
    value: Any = document
    for part in found[1].split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return (str(value) == found[3]) == (found[2] != "!=")
