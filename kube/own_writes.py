"""The versions of our own writes that the watch has not delivered yet. Not thread-safe."""

import heapq


class OwnWrites:
    """Versions by key. Each write costs a logarithmic number of steps in all, however long the watch is behind."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}
        self._ascending: list[tuple[int, str]] = []  # a heap; may contain earlier writes of a key
        self._unlisted: set[str] = set()  # keys of _versions that were written since the current list began

    def version(self, key: str) -> int:
        """Return the version of our last write, or -1 if the watch has delivered it."""
        return self._versions.get(key, -1)

    def add(self, key: str, version: int) -> None:
        """Record a write."""
        self._versions[key] = version
        self._unlisted.add(key)
        heapq.heappush(self._ascending, (version, key))

    def discard_until(self, version: int) -> None:
        """Discard the writes up to the version that the watch has reached."""
        while self._ascending and self._ascending[0][0] <= version:
            written, key = heapq.heappop(self._ascending)
            if self._versions.get(key) == written:
                del self._versions[key]
                self._unlisted.discard(key)

    def begin_list(self) -> None:
        """Record that a list is about to be requested, which will contain all writes so far."""
        self._unlisted.clear()

    def discard_listed(self) -> list[str]:
        """Discard the writes that the list contains. Returns the keys of the others."""
        self._versions = {key: self._versions[key] for key in self._unlisted}
        self._ascending = [(version, key) for key, version in self._versions.items()]
        heapq.heapify(self._ascending)
        return list(self._versions)
