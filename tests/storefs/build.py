"""Compiles the storefs program, once for each version of its source, and finds missing requirements.

Separate from `mount`, because tests check the requirements before they mount anything.
"""

import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.storefs import tmpfs

SOURCE = Path(__file__).with_name("storefs.c")
DEBIAN_PACKAGES = {"cc": "gcc", "pkg-config": "pkg-config", "fusermount3": "fuse3"}


@functools.cache
def missing() -> str | None:
    """Return what this machine lacks to mount a storefs, or None. Does not check whether the source compiles."""
    if tmpfs.missing() is not None:
        return tmpfs.missing()
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/fuse ({error.strerror})"
    packages = [package for tool, package in DEBIAN_PACKAGES.items() if shutil.which(tool) is None]
    if not packages and subprocess.run(["pkg-config", "--exists", "fuse3"], check=False).returncode != 0:
        packages = ["libfuse3-dev"]
    return ", ".join(packages) or None


@functools.cache
def program() -> Path:
    """Return the program's path; compile it into the cache folder if needed. Raises CalledProcessError."""
    libraries = _run("pkg-config", "--cflags", "--libs", "fuse3").split()
    digest = hashlib.sha256(SOURCE.read_bytes() + " ".join(libraries).encode()).hexdigest()
    target = _cache_folder() / f"storefs-{digest[:16]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        _run("cc", "-O2", "-Wall", "-o", str(unfinished), str(SOURCE), *libraries)
        unfinished.replace(target)
    return target


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "phjob-artifacts"


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
