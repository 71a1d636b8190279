"""What files are called where they are saved: on Windows and macOS too, and whatever a job called them. Pure.

A job's names are hostile: no name here leads out of a folder, hides its ending, or stands for a device, and no two
files of an archive have names that some file system takes for the same.
"""

import re
import unicodedata

from artifacts.names import MAX_NAME_BYTES, decode_path

# What Windows forbids, control characters, line separators, and what turns the direction of writing
# (a right-to-left mark makes `photo[mark]gpj.exe` look like an image).
_FORBIDDEN = re.compile('[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]')
_DEVICES = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"} | {
    device + number for device in ("COM", "LPT") for number in "0123456789¹²³"
}
_LONGEST_ENDING = 16  # a longer one is no ending that tells a type
_ROOM = 12  # bytes for the number that tells two names apart


def safe_name(encoded: str) -> str:
    """A name for one component of an artifact's encoded path, decoded where that is readable."""
    try:
        name = decode_path(encoded).decode()
    except UnicodeDecodeError:
        name = encoded
    name = _FORBIDDEN.sub("_", name)
    kept = name.rstrip(". ")
    name = kept + "_" * (len(name) - len(kept))
    if name.split(".")[0].rstrip(" ").upper() in _DEVICES:
        name = "_" + name
    return _cut(name, MAX_NAME_BYTES) or "_"


class ArchiveNames:
    """Paths within one archive, no two alike.

    Told the paths of a sorted listing, it remembers the names in the open folders only: 70 bytes for each.
    """

    def __init__(self) -> None:
        self._open = [_ArchiveFolder("", "")]

    def of(self, path: str) -> str:
        """The path in the archive for the encoded `path`."""
        *folders, name = path.split("/")
        depth = _shared([folder.raw for folder in self._open[1:]], folders)
        del self._open[depth + 1 :]
        for raw in folders[depth:]:
            parent = self._open[-1]
            self._open.append(_ArchiveFolder(raw, f"{parent.path}{parent.take(raw)}/"))
        return self._open[-1].path + self._open[-1].take(name)


class _ArchiveFolder:
    """An open folder: its name in the listing, its path in the archive, and what names in it are taken."""

    def __init__(self, raw: str, path: str) -> None:
        self.raw, self.path = raw, path
        self._taken: set[int] = set()  # hashes: where two clash, a name gets a number that it did not need
        self._next: dict[tuple[str, str], int] = {}

    def take(self, raw: str) -> str:
        name = safe_name(raw)
        return name if self._is_free(name) else self._numbered(name)

    def _numbered(self, name: str) -> str:
        stem, dot, ending = name.rpartition(".")
        if not stem or len(ending) > _LONGEST_ENDING:
            stem, dot, ending = name, "", ""
        stem = _cut(stem, MAX_NAME_BYTES - _ROOM - len((dot + ending).encode()))
        alike = (_folded(stem), _folded(ending))
        number = self._next.get(alike, 2)
        while not self._is_free(numbered := f"{stem} ({number}){dot}{ending}"):
            number += 1
        self._next[alike] = number + 1
        return numbered

    def _is_free(self, name: str) -> bool:
        """Whether it was free; it is taken now."""
        before = len(self._taken)
        self._taken.add(hash(_folded(name)))
        return len(self._taken) > before


def _folded(name: str) -> str:
    """One text for all names that a file system may take for the same: by case, or by how accents are composed."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).upper().casefold())


def _shared(ones: list[str], others: list[str]) -> int:
    """How many components two paths share from the start."""
    for number, (one, other) in enumerate(zip(ones, others, strict=False)):
        if one != other:
            return number
    return min(len(ones), len(others))


def _cut(name: str, most: int) -> str:
    """`name` cut to `most` bytes of UTF-8, in front of a character."""
    return name.encode()[:most].decode(errors="ignore")
