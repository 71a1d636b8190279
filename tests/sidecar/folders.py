"""A store in a temporary folder, and its content. Shared by the tests of the store and of the manifest."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.layout import TEMPORARY
from sidecar.store import JobFolderStore

PHFS = "phfs"
JOB = f"{PHFS}/jobArtifacts/job-1"


@contextmanager
def open_store(folder: Path, file_mode: int = 0o644, folder_mode: int = 0o777) -> Iterator[JobFolderStore]:
    """Connect to the store of job-1 below `folder`, and close it at the end of the block."""
    store = JobFolderStore(str(folder / PHFS), "job-1", file_mode, folder_mode)
    store.connect()
    try:
        yield store
    finally:
        store.close()


def tree(folder: Path) -> dict[str, str]:
    """Return path -> content of every file below the folder; `-> target` for links, "" for empty folders (`path/`)."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text()
        if not folders and not names and Path(parent) != folder:
            found[f"{Path(parent).relative_to(folder)}/"] = ""
    return found


def artifacts(folder: Path) -> dict[str, str]:
    """Return the job folder's `tree` without the folders for temporary files."""
    return {path: text for path, text in tree(folder / JOB).items() if not path.startswith(TEMPORARY)}
