"""The objects of one resource in memory, updated from lists, watch events and our own writes. No I/O.

Resource versions are compared as numbers (all API servers use numbers), but only to order our own writes and watch
events: the response to a write can arrive before or after the watch delivers the change.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kube.own_writes import OwnWrites

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexedObject(Generic[T]):
    """A trimmed object and its resource version."""

    version: str
    value: T


class Indexer(Generic[T]):
    """The objects by key: `namespace/name`, or `name` for cluster-scoped resources.

    `trim` reduces a document to the value that is stored. If `trim` fails, the object keeps its previous value, or is
    left out. Reads take no lock, because single operations of a dict are atomic.
    """

    def __init__(self, trim: Callable[[Mapping[str, Any]], T], name: str = "objects") -> None:
        self._trim, self._name = trim, name
        self._changing = threading.RLock()
        self._entries: dict[str, IndexedObject[T]] = {}
        self._handlers: list[Callable[[str, T | None, T | None], None]] = []
        self._writes = OwnWrites()
        self._observed_version = -1  # the version that the list and the watch have reached

    def add_handler(self, handler: Callable[[str, T | None, T | None], None]) -> None:
        """Call `handler(key, old, new)` for each change from now on; None means that the object does not exist.

        Calls are made one at a time, by the thread that applies the change, so handlers must be quick. Their exceptions
        are logged.
        """
        with self._changing:
            self._handlers.append(handler)

    def get(self, key: str) -> T | None:
        """Return the object, or None if it does not exist."""
        entry = self._entries.get(key)
        return entry.value if entry else None

    def values(self) -> list[T]:
        """Return a snapshot of all objects, in no particular order."""
        return [entry.value for entry in list(self._entries.values())]

    def list_keys(self) -> list[str]:
        """Return a snapshot of all keys."""
        return list(self._entries)

    def begin_list(self) -> None:
        """Record that a list is about to be requested. The list will contain the results of all earlier writes."""
        with self._changing:
            self._writes.begin_list()

    def replace(self, listed: Mapping[str, IndexedObject[T]], version: str) -> None:
        """Replace all objects with those listed. Objects that we wrote since `begin_list` are preserved."""
        with self._changing:
            self._advance(version)
            before, now = self._entries, dict(listed)
            now |= {key: before[key] for key in self._writes.discard_listed() if key in before}
            self._entries = now
            for key in [*before, *(key for key in now if key not in before)]:
                self._call_handlers(key, before.get(key), now.get(key))

    def index(self, documents: Iterable[Any]) -> dict[str, IndexedObject[T]]:
        """Trim listed documents for `replace`. An object that is indexed in the same version is not trimmed again."""
        entries = {}
        for document in documents:
            if (identity := _identity(document)) and (entry := self._make_entry(*identity, document)):
                entries[identity[0]] = entry
        return entries

    def apply_event(self, kind: str, document: Any) -> str:
        """Apply a watch event: ADDED, MODIFIED, DELETED or BOOKMARK. Returns its resource version, or ""."""
        version = _version(document)
        identity = _identity(document) if kind != "BOOKMARK" else None
        with self._changing:
            if identity and _number(version) >= self._writes.version(identity[0]):
                self._put(identity[0], None if kind == "DELETED" else self._make_entry(identity[0], version, document))
            if version:
                self._advance(version)
        return version

    def record_write(self, document: Any) -> None:
        """Apply the response to our own write, unless the watch has passed its version.

        The selectors of the list and the watch must match the object.
        """
        identity = _identity(document)
        number = _number(_version(document))
        with self._changing:
            if identity and number > max(self._observed_version, self._writes.version(identity[0])):
                self._writes.add(identity[0], number)
                self._put(identity[0], self._make_entry(*identity, document))

    def _put(self, key: str, entry: IndexedObject[T] | None) -> None:
        before = self._entries.get(key)
        if entry:
            self._entries[key] = entry
        elif before:
            del self._entries[key]
        self._call_handlers(key, before, entry)

    def _make_entry(self, key: str, version: str, document: Any) -> IndexedObject[T] | None:
        """Return the document's entry, or the previous entry if the document cannot be trimmed."""
        before = self._entries.get(key)
        if before and before.version == version:
            return before
        try:
            return IndexedObject(version, self._trim(document))
        except Exception:
            logger.exception("object is malformed", extra={"fields": {"resource": self._name, "key": key}})
            return before

    def _call_handlers(self, key: str, before: IndexedObject[T] | None, now: IndexedObject[T] | None) -> None:
        if before is now:
            return
        for handler in self._handlers:
            try:
                handler(key, before.value if before else None, now.value if now else None)
            except Exception:
                logger.exception("change handler failed", extra={"fields": {"resource": self._name, "key": key}})

    def _advance(self, version: str) -> None:
        self._observed_version = _number(version)
        self._writes.discard_until(self._observed_version)


def is_older(version: str, than: str) -> bool:
    """Whether a version precedes another; False if they cannot be compared."""
    return 0 <= _number(version) < _number(than)


def _identity(document: Any) -> tuple[str, str] | None:
    """Return the object's key and version, or None if the document has no name."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict):
        return None
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not name:
        return None
    return (f"{namespace}/{name}" if namespace else name), _version(document)


def _version(document: Any) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() and len(version) < 40 else -1
