"""Makes file names that are safe to save on any system, including Windows and macOS. Pure.

A job's names are hostile: a safe name does not leave its folder, hide its suffix, or denote a device. Within an
archive, no two names are equal on a file system that ignores case or composition.
"""

import re
import unicodedata

from artifacts.names import MAX_NAME_BYTES, decode_path

# Characters that Windows forbids, control characters, line separators, and bidirectional marks
# (a right-to-left mark displays `photo[mark]gpj.exe` like an image).
_FORBIDDEN = re.compile('[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]')
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"} | {
    device + number for device in ("COM", "LPT") for number in "0123456789¹²³"
}
_MAX_SUFFIX_LENGTH = 16  # a longer suffix does not indicate a type
_NUMBER_BYTES = 12  # reserved for the number that distinguishes equal names


def safe_name(encoded: str) -> str:
    """Return a safe name for one component of an artifact's encoded path, decoded if it is valid UTF-8."""
    try:
        name = decode_path(encoded).decode()
    except UnicodeDecodeError:
        name = encoded
    name = _FORBIDDEN.sub("_", name)
    stripped = name.rstrip(". ")
    name = stripped + "_" * (len(name) - len(stripped))
    if name.split(".")[0].rstrip(" ").upper() in _DEVICES:
        name = "_" + name
    return _truncate(name, MAX_NAME_BYTES) or "_"


class ArchiveNames:
    """Assigns distinct paths within one archive.

    The paths must come from a sorted listing. Only the names in the open folders are stored: 70 bytes each.
    """

    def __init__(self) -> None:
        self._open = [_ArchiveFolder("", "")]

    def assign(self, path: str) -> str:
        """Return the path in the archive for the encoded `path`."""
        *folders, name = path.split("/")
        depth = _common_length([folder.raw for folder in self._open[1:]], folders)
        del self._open[depth + 1 :]
        for raw in folders[depth:]:
            parent = self._open[-1]
            self._open.append(_ArchiveFolder(raw, f"{parent.path}{parent.assign(raw)}/"))
        return self._open[-1].path + self._open[-1].assign(name)


class _ArchiveFolder:
    """An open folder: its name in the listing, its path in the archive, and the names assigned in it."""

    def __init__(self, raw: str, path: str) -> None:
        self.raw, self.path = raw, path
        self._used: set[int] = set()  # hashes; a collision only adds an unneeded number
        self._next: dict[tuple[str, str], int] = {}

    def assign(self, raw: str) -> str:
        name = safe_name(raw)
        return name if self._reserve(name) else self._numbered(name)

    def _numbered(self, name: str) -> str:
        stem, dot, suffix = name.rpartition(".")
        if not stem or len(suffix) > _MAX_SUFFIX_LENGTH:
            stem, dot, suffix = name, "", ""
        stem = _truncate(stem, MAX_NAME_BYTES - _NUMBER_BYTES - len((dot + suffix).encode()))
        folded = (_fold(stem), _fold(suffix))
        number = self._next.get(folded, 2)
        while not self._reserve(numbered := f"{stem} ({number}){dot}{suffix}"):
            number += 1
        self._next[folded] = number + 1
        return numbered

    def _reserve(self, name: str) -> bool:
        """Reserve the name. Returns False if it was already used."""
        before = len(self._used)
        self._used.add(hash(_fold(name)))
        return len(self._used) > before


def _fold(name: str) -> str:
    """Return the same text for names that differ only in case or Unicode composition."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).upper().casefold())


def _common_length(left: list[str], right: list[str]) -> int:
    """Return the number of leading components that two paths have in common."""
    for number, (first, second) in enumerate(zip(left, right, strict=False)):
        if first != second:
            return number
    return min(len(left), len(right))


def _truncate(name: str, max_bytes: int) -> str:
    """Truncate `name` to `max_bytes` of UTF-8, at a character boundary."""
    return name.encode()[:max_bytes].decode(errors="ignore")
