"""main's volumes in a folder of the test's own, and what the sidecar finds in them.

Apart, because the tests of the source and of the scan look at the same trees.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.globs import Globs
from sidecar.scan import Scan, scan_source
from sidecar.source import Opened, OpenFolders, Refused, Source, View

VOLUMES = ("/home/jovyan", "/project/x", "/phfs")
JOB_FOLDER = "/phfs/jobArtifacts/job-1"


class Volumes:
    """Below `root` as the sidecar sees them; all paths given to methods are as in main."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)  # for tests that go on as another user
        for folder in (*VOLUMES, JOB_FOLDER, "/home/jovyan/artifacts", "/other"):
            self.at(folder).mkdir(parents=True, exist_ok=True)

    def at(self, path: str) -> Path:
        return Path(f"{self.root}{path}")

    def artifact(self, path: str) -> Path:
        return self.at("/home/jovyan/artifacts") / path

    def write(self, path: str | Path, content: str = "x") -> Path:
        """A file, with the folders it needs; a relative path is an artifact's."""
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        return place

    def link(self, path: str | Path, target: str) -> Path:
        place = self._place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
        return place

    def replace_artifacts(self, target: str) -> None:
        """A link in place of the artifacts folder, which must be empty."""
        self.artifact("").rmdir()
        self.link("/home/jovyan/artifacts", target)

    @contextmanager
    def source(self, volumes: tuple[str, ...] = VOLUMES, hidden_paths: tuple[str, ...] = ()) -> Iterator[Source]:
        source = Source(str(self.root), View("/home/jovyan/artifacts", volumes, hidden_paths, JOB_FOLDER))
        try:
            yield source
        finally:
            source.close()

    def scan(
        self,
        globs: Globs | None = None,
        most: int = 10**6,
        volumes: tuple[str, ...] = VOLUMES,
        hidden_paths: tuple[str, ...] = (),
    ) -> Scan:
        with self.source(volumes, hidden_paths) as source:
            return scan_source(source, globs or Globs((), ()), len("groups/g/jobArtifacts/job-1/"), most)

    def _place(self, path: str | Path) -> Path:
        text = os.fspath(path)
        return self.at(text) if text.startswith("/") and not text.startswith(str(self.root)) else self.artifact(text)


def left_out(scan: Scan) -> dict[str, list[str]]:
    """Reason -> paths."""
    return {reason: sorted(row.paths) for reason, row in scan.skipped.items()}


def content(source: Source, path: str) -> str:
    """What is read of the file, by itself and by way of its open folder, which must say the same."""
    folders = OpenFolders(source)
    texts = []
    try:
        for opening in (source.open_file, folders.open_file, folders.open_file):
            fd, found = opening(path)
            with open(fd, encoding="utf-8") as file:
                assert os.fstat(fd).st_ino == found.st_ino
                assert not os.get_inheritable(fd)
                texts.append(file.read())
    finally:
        folders.close()
    assert len(set(texts)) == 1
    return texts[0]


def refusal(source: Source, path: str) -> str:
    """Why the file is not opened; by itself and by way of its open folder it must be the same."""
    folders = OpenFolders(source)
    reasons = []
    try:
        for opening in (source.open_file, folders.open_file):
            reasons.append(refused_by(opening, path))
    finally:
        folders.close()
    assert len(set(reasons)) == 1, reasons
    return reasons[0]


def refused_by(opening: Callable[[str], Opened], path: str) -> str:
    """The reason, the error's name, or "opened"."""
    try:
        fd, _ = opening(path)
    except Refused as refused:
        return refused.reason
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    os.close(fd)
    return "opened"
