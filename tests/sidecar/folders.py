"""A store in a folder of the test's own, and what lies in it.

Apart, because the tests of the store, of its hostile neighbours and of the manifest look at the same.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.layout import TEMPORARY
from sidecar.store import Store

PHFS = "phfs"
JOB = f"{PHFS}/jobArtifacts/job-1"


@contextmanager
def opened(folder: Path, file_mode: int = 0o644, folder_mode: int = 0o777) -> Iterator[Store]:
    store = Store(str(folder / PHFS), "job-1", file_mode, folder_mode)
    store.connect()
    try:
        yield store
    finally:
        store.close()


def tree(folder: Path) -> dict[str, str]:
    """Every file below the folder and its content; a link is told by its target. Empty folders end with a slash."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if Path(parent, name).is_symlink())]:
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = f"-> {os.readlink(path)}" if path.is_symlink() else path.read_text()
        if not folders and not names and Path(parent) != folder:
            found[f"{Path(parent).relative_to(folder)}/"] = ""
    return found


def artifacts(folder: Path) -> dict[str, str]:
    """The job folder without what is left of the folders for temporary files."""
    return {path: text for path, text in tree(folder / JOB).items() if not path.startswith(TEMPORARY)}
