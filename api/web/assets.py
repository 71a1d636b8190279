"""The page's files, and their version, which is part of their URLs.

A browser may cache a versioned URL for ever: another version has other URLs, so a page never mixes files of two
versions. Modules import one another by relative URLs, which contain the version too.
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
# Not from `mimetypes`: the system's table may be incomplete or altered, and browsers refuse a script with another
# type. Files with other suffixes are not served.
CONTENT_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_VERSION_DIGITS = 16
_CHECK_SECONDS = 0.5  # a page requests all files at once

FileStates = list[tuple[str, int, int]]


class Assets:
    """The files in `folder`, which may be edited while the service runs. `clock`: monotonic seconds."""

    def __init__(self, folder: Path = FOLDER, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._cached: tuple[FileStates, str] = ([], "")
        self._checked_at = float("-inf")

    def version(self) -> str:
        """Return a hash of all files, which is the same on every machine: `v` and 16 hexadecimal digits."""
        if self._clock() - self._checked_at < _CHECK_SECONDS:
            return self._cached[1]
        states = self._file_states()
        if self._cached[0] != states:
            digest = hashlib.sha256()
            for name, _, _ in states:
                content = (self._folder / name).read_bytes()
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
            self._cached = states, f"v{digest.hexdigest()[:_VERSION_DIGITS]}"
        self._checked_at = self._clock()
        return self._cached[1]

    def shell(self) -> str:
        """Return the HTML document that all addresses share, with this version's URLs.

        It preloads all modules: otherwise a browser finds each module only in the one that imports it, which costs a
        round trip per level.
        """
        base = f"/static/{self.version()}/"
        names = [name for name, _, _ in self._cached[0] if name.endswith(".js")]
        links = "".join(f'    <link rel="modulepreload" href="{base}{name}">\n' for name in names)
        text = (self._folder / "index.html").read_text().replace('"/static/', f'"{base}')
        return text.replace("  </head>", f"{links}  </head>")

    def _file_states(self) -> FileStates:
        """Return the name, mtime (ns) and size of each file."""
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        stats = ((path.relative_to(self._folder).as_posix(), path.stat()) for path in files)
        return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]
