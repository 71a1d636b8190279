"""Include and exclude globs: which of the job's files are to be collected.

`*` and `?` stay within a folder, `**` spans folders; a glob without a slash is tried on every name in the path,
so `*.tmp` or `__pycache__` work at any depth; what matches a folder counts for everything in it.
"""

import re
from fnmatch import translate

_Pattern = tuple[re.Pattern[str] | None, ...]  # None stands for "**"


class Globs:
    """`admits(path)`: whether the relative path is to be collected. Exclude wins over include."""

    def __init__(self, include: tuple[str, ...], exclude: tuple[str, ...]) -> None:
        self._include = [_compile(glob) for glob in include]
        self._exclude = [_compile(glob) for glob in exclude]
        self.all = not include and not exclude

    def admits(self, path: str) -> bool:
        parts = path.split("/")
        if any(_matches_any_prefix(glob, parts) for glob in self._exclude):
            return False
        return not self._include or any(_matches_any_prefix(glob, parts) for glob in self._include)


def _compile(glob: str) -> _Pattern:
    glob = glob.removeprefix("./")
    parts = glob.strip("/").split("/")
    if "/" not in glob.rstrip("/"):
        parts.insert(0, "**")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)


def _matches_any_prefix(glob: _Pattern, parts: list[str]) -> bool:
    """Whether the glob matches the path or one of the folders it lies in: one pass over the path's parts,
    holding the set of places in the glob that could have been reached."""
    places = _skip_spans(glob, {0})
    for part in parts:
        moved = set()
        for place in places:
            if place == len(glob):
                return True
            pattern = glob[place]
            if pattern is None:
                moved.add(place)
            elif pattern.match(part):
                moved.add(place + 1)
        places = _skip_spans(glob, moved)
    return len(glob) in places


def _skip_spans(glob: _Pattern, places: set[int]) -> set[int]:
    """`**` also stands for no folder at all: add the places behind it."""
    reached = set(places)
    for start in places:
        place = start
        while place < len(glob) and glob[place] is None:
            place += 1
            reached.add(place)
    return reached
