"""A tmpfs of a given size, for tests with a full disk.

Unlike the FUSE mount, it has the kernel's own behaviour for a full disk and needs no compiler.
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
    """Return what this machine lacks to mount a tmpfs, or None."""
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
    """Mount an empty tmpfs at `path`, an existing folder, until the block ends, even if files in it are still open.

    The kernel rounds the size up to whole pages.
    """
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path))
    try:
        yield path
    finally:
        _run("umount", "--lazy", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
