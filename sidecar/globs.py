"""Include and exclude globs: select the job's files that are collected.

`*` and `?` match within a folder, `**` spans folders. A glob without a slash is matched against every name in the
path, so `*.tmp` and `__pycache__` apply at any depth. A glob that matches a folder applies to everything in it.
"""

import re
from fnmatch import translate

_Pattern = tuple[re.Pattern[str] | None, ...]  # None represents "**"


class Globs:
    """The include and exclude globs of a job. `is_empty`: there are none, so every file is collected."""

    def __init__(self, include: tuple[str, ...], exclude: tuple[str, ...]) -> None:
        self._include = [_compile(glob) for glob in include]
        self._exclude = [_compile(glob) for glob in exclude]
        self.is_empty = not include and not exclude

    def is_included(self, path: str) -> bool:
        """Whether the file at the relative path is collected. Exclude globs win over include globs."""
        if self.is_excluded(path):
            return False
        parts = path.split("/")
        return not self._include or any(_matches_any_prefix(glob, parts) for glob in self._include)

    def is_excluded(self, path: str) -> bool:
        """Whether an exclude glob matches the file or folder at the relative path, or a folder above it."""
        parts = path.split("/")
        return any(_matches_any_prefix(glob, parts) for glob in self._exclude)


def glob_problems(globs: tuple[str, ...]) -> list[str]:
    """Return a sentence for each glob that can only match by accident: its author expected another syntax."""
    return [f"{glob!a} {problem}" for glob in globs if (problem := _problem(glob))]


def _problem(glob: str) -> str:
    if any(part in ("", ".", "..") for part in glob.removeprefix("./").strip("/").split("/")):
        return "matches nothing, because no path has an empty, '.' or '..' component"
    if "{" in glob or "}" in glob:
        return "has braces, which match only themselves: write one glob for each alternative"
    if _has_open_bracket(glob):
        return "has a bracket that is not closed, which matches only itself"
    return ""


def _has_open_bracket(glob: str) -> bool:
    for part in glob.split("/"):
        position = part.find("[")
        while position >= 0:
            first = position + 2 if part[position + 1 : position + 2] == "!" else position + 1
            end = part.find("]", first + 1)  # a bracket in the first place is a member of the set
            if end < 0:
                return True
            position = part.find("[", end)
    return False


def _compile(glob: str) -> _Pattern:
    glob = glob.removeprefix("./")
    parts = glob.strip("/").split("/")
    if "/" not in glob.rstrip("/"):
        parts.insert(0, "**")
    return tuple(None if part == "**" else re.compile(translate(part)) for part in parts)


def _matches_any_prefix(glob: _Pattern, parts: list[str]) -> bool:
    """Whether the glob matches the path or a folder above it.

    Runs the glob as a nondeterministic automaton, in one pass over the path: `positions` are the indexes in the glob
    that are reachable so far. This bounds the time for any glob.
    """
    positions = _skip_spans(glob, {0})
    for part in parts:
        advanced = set()
        for position in positions:
            if position == len(glob):
                return True
            pattern = glob[position]
            if pattern is None:
                advanced.add(position)
            elif pattern.match(part):
                advanced.add(position + 1)
        positions = _skip_spans(glob, advanced)
    return len(glob) in positions


def _skip_spans(glob: _Pattern, positions: set[int]) -> set[int]:
    """Add the positions after each `**`, which also matches zero folders."""
    reachable = set(positions)
    for start in positions:
        position = start
        while position < len(glob) and glob[position] is None:
            position += 1
            reachable.add(position)
    return reachable
