"""What is known of the objects of one resource, kept true by a list, its changes, and our own writes. No I/O.

Versions are compared as numbers, which they are on every API server, and only for what we wrote ourselves: an answer
to a write may come before or after the change is seen in the watch. Objects that cannot be understood are left out.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexedObject(Generic[T]):
    """What is kept of one object, and of which version."""

    version: str
    value: T


class Indexer(Generic[T]):
    """The objects by key: `namespace/name`, or `name` where there are no namespaces. `trim` makes what is kept.

    `on_change(key, old, new)` is called for one change at a time, by the thread that brings it: it had better be quick
    (None: there was, or is, no such object). Reading takes no lock: a dict's own operations are whole.
    """

    def __init__(self, trim: Callable[[Mapping[str, Any]], T], name: str = "objects") -> None:
        self._trim, self._name = trim, name
        self._changing = threading.RLock()
        self._entries: dict[str, IndexedObject[T]] = {}
        self._handlers: list[Callable[[str, T | None, T | None], None]] = []
        self._written: dict[str, int] = {}  # our own writes that the watch has not come to
        self._unlisted: set[str] = set()  # those among them that the list under way may not show
        self._seen = -1  # the version that the list and the watch have come to

    def add_handler(self, handler: Callable[[str, T | None, T | None], None]) -> None:
        """Call `handler` from now on. What it raises is logged and stops nothing."""
        with self._changing:
            self._handlers.append(handler)

    def get(self, key: str) -> T | None:
        """What is kept of the object, or None."""
        entry = self._entries.get(key)
        return entry.value if entry else None

    def values(self) -> list[T]:
        """What is kept of all objects, at one moment, in no order."""
        return [entry.value for entry in list(self._entries.values())]

    def list_keys(self) -> list[str]:
        """The keys of all objects, at one moment."""
        return list(self._entries)

    def begin_list(self) -> None:
        """A list is about to be asked for: it will show all that was written before this."""
        with self._changing:
            self._unlisted.clear()

    def replace(self, listed: Mapping[str, IndexedObject[T]], version: str) -> None:
        """Know what was listed, and nothing else but what was written since then."""
        with self._changing:
            self._written = {key: number for key, number in self._written.items() if key in self._unlisted}
            self._come_to(version)
            before, now = self._entries, dict(listed)
            now |= {key: before[key] for key in self._written if key in before}
            self._entries = now
            for key in [*before, *(key for key in now if key not in before)]:
                self._tell(key, before.get(key), now.get(key))

    def index(self, documents: Iterable[Any]) -> dict[str, IndexedObject[T]]:
        """The entries of documents as listed; one that is known in that version is not trimmed again."""
        entries = {}
        for document in documents:
            if (found := _identity(document)) and (entry := self._entry(*found, document)):
                entries[found[0]] = entry
        return entries

    def apply_event(self, kind: str, document: Any) -> str:
        """Take in a change from the watch; `kind`: ADDED, MODIFIED, DELETED or BOOKMARK. Returns its version, or ""."""
        version = _version(document)
        found = _identity(document) if kind != "BOOKMARK" else None
        with self._changing:
            if found and _number(version) >= self._written.get(found[0], -1):
                self._put(found[0], None if kind == "DELETED" else self._entry(found[0], version, document))
            if version:
                self._come_to(version)
        return version

    def record_write(self, document: Any) -> None:
        """Take in the answer to a write of our own (of an object that is selected), unless the watch is past it."""
        found = _identity(document)
        number = _number(_version(document))
        with self._changing:
            if found and number > max(self._seen, self._written.get(found[0], -1)):
                self._written[found[0]] = number
                self._unlisted.add(found[0])
                self._put(found[0], self._entry(*found, document))

    def _put(self, key: str, entry: IndexedObject[T] | None) -> None:
        before = self._entries.get(key)
        if entry:
            self._entries[key] = entry
        elif before:
            del self._entries[key]
        self._tell(key, before, entry)

    def _entry(self, key: str, version: str, document: Any) -> IndexedObject[T] | None:
        """The document's entry. Where it cannot be understood, what is known of the object stays."""
        before = self._entries.get(key)
        if before and before.version == version:
            return before
        try:
            return IndexedObject(version, self._trim(document))
        except Exception:
            logger.exception("left out", extra={"fields": {"resource": self._name, "key": key}})
            return before

    def _tell(self, key: str, before: IndexedObject[T] | None, now: IndexedObject[T] | None) -> None:
        if before is now:
            return
        for handler in self._handlers:
            try:
                handler(key, before.value if before else None, now.value if now else None)
            except Exception:
                logger.exception("handler failed", extra={"fields": {"resource": self._name, "key": key}})

    def _come_to(self, version: str) -> None:
        self._seen = _number(version)
        if self._written:
            self._written = {key: number for key, number in self._written.items() if number > self._seen}
            self._unlisted &= self._written.keys()


def is_older(version: str, than: str) -> bool:
    """Whether a version came before another; False where they cannot be compared."""
    return 0 <= _number(version) < _number(than)


def _identity(document: Any) -> tuple[str, str] | None:
    """The object's key and version, or None where the document has none."""
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
