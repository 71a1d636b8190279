"""A file system in memory of a given size, to run out of space on.

Apart from the FUSE store, because here the kernel decides what a full disk does, and nothing needs building.
"""

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@functools.cache
def missing() -> str | None:
    """What this machine lacks to mount one, or None."""
    if os.geteuid() != 0:
        return "root, to mount"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tmpfs(Path(folder), 4096):
                return None
        except subprocess.CalledProcessError as error:
            return f"permission to mount ({error.stderr.splitlines()[0]})"
        except FileNotFoundError as error:
            return str(error.filename)


@contextmanager
def tmpfs(path: Path, size_bytes: int) -> Iterator[Path]:
    """An empty tmpfs at `path`, an existing folder; the kernel rounds the size up to whole pages.

    It is gone from `path` afterwards, also when files in it are still open.
    """
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path))
    try:
        yield path
    finally:
        _run("umount", "--lazy", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
