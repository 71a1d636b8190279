"""A tmpfs of a given size, for tests with a full disk, and a ramfs, for tests with coarse timestamps.

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
    with _mounted(path, "tmpfs", f"size={size_bytes}"):
        yield path


@contextmanager
def ramfs(path: Path) -> Iterator[Path]:
    """Mount an empty ramfs at `path` until the block ends. Its timestamps are coarse, as all were before Linux 6.13."""
    with _mounted(path, "ramfs", "mode=0755"):
        yield path


@contextmanager
def _mounted(path: Path, file_system: str, options: str) -> Iterator[None]:
    _run("mount", "-t", file_system, "-o", options, file_system, str(path))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
