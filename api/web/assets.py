"""The page's files, and their version, which is part of their addresses.

An address with the version may be kept for ever: the next version has other addresses, so a page never mixes files of
two, and asks for none twice. Modules import one another by relative addresses, which keep the version.
"""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
# By ending, as the system's own table may lack or bend one, and the browser then runs nothing. Others are not served.
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_LENGTH = 16
_FRESH_SECONDS = 0.5  # a page asks for all files at once

State = list[tuple[str, int, int]]


class Assets:
    """The files below `folder`. Whoever edits one need not restart. `clock`: monotonic seconds."""

    def __init__(self, folder: Path = FOLDER, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._known: tuple[State, str] = ([], "")
        self._looked_at = float("-inf")

    def version(self) -> str:
        """Of what the files hold, the same on every machine: `v` and 16 hexadecimal digits."""
        if self._clock() - self._looked_at < _FRESH_SECONDS:
            return self._known[1]
        state = self._look()
        if self._known[0] != state:
            digest = hashlib.sha256()
            for name, _, _ in state:
                content = (self._folder / name).read_bytes()
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
            self._known = state, f"v{digest.hexdigest()[:_LENGTH]}"
        self._looked_at = self._clock()
        return self._known[1]

    def shell(self) -> str:
        """The page that all addresses share, with this version's addresses in it.

        All modules are named in it: else a browser learns of each from the one that imports it, a round trip a level.
        """
        base = f"/static/{self.version()}/"
        names = [name for name, _, _ in self._known[0] if name.endswith(".js")]
        links = "".join(f'    <link rel="modulepreload" href="{base}{name}">\n' for name in names)
        text = (self._folder / "index.html").read_text().replace('"/static/', f'"{base}')
        return text.replace("  </head>", f"{links}  </head>")

    def _look(self) -> State:
        """Name, time and size of each file."""
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        stats = ((path.relative_to(self._folder).as_posix(), path.stat()) for path in files)
        return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in stats]
