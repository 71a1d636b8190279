"""Main's volumes in a temporary folder. Shared by the tests of the source and of the scan."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sidecar.access import MainUser
from sidecar.globs import Globs
from sidecar.scan import Scan, ScanOptions
from sidecar.scanner import scan_source
from sidecar.source import OpenFile, PathRefused, Source, SourceFolders, VolumeView

VOLUMES = ("/home/jovyan", "/project/x", "/phfs")
JOB_FOLDER = "/phfs/jobArtifacts/job-1"
OWN_USER = MainUser(os.geteuid(), os.getegid())


class Volumes:
    """Main's volumes, mounted below `root`. The paths passed to methods are paths in main."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.chmod(0o755)  # for tests that switch to another user
        for folder in (*VOLUMES, JOB_FOLDER, "/home/jovyan/artifacts", "/other"):
            self.at(folder).mkdir(parents=True, exist_ok=True)

    def at(self, path: str) -> Path:
        """Return the path below `root` for a path in main."""
        return Path(f"{self.root}{path}")

    def artifact(self, path: str) -> Path:
        """Return the path below `root` for a path in the artifacts folder."""
        return self.at("/home/jovyan/artifacts") / path

    def write(self, path: str | Path, content: str = "x") -> Path:
        """Write a file, with its parent folders. A relative path is relative to the artifacts folder."""
        target_path = self._path(path)
        target_path.parent.mkdir(parents=True, exist_ok=True)
        target_path.write_text(content)
        return target_path

    def link(self, path: str | Path, target: str) -> Path:
        """Create a link, with its parent folders. A relative path is relative to the artifacts folder."""
        target_path = self._path(path)
        target_path.parent.mkdir(parents=True, exist_ok=True)
        target_path.symlink_to(target)
        return target_path

    def replace_artifacts(self, target: str) -> None:
        """Replace the artifacts folder, which must be empty, by a link."""
        self.artifact("").rmdir()
        self.link("/home/jovyan/artifacts", target)

    @contextmanager
    def source(
        self,
        volumes: tuple[str, ...] = VOLUMES,
        hidden_paths: tuple[str, ...] = (),
        private_volumes: tuple[str, ...] = ("/home/jovyan",),
        main_user: MainUser = OWN_USER,
    ) -> Iterator[Source]:
        """Open the source, and close it at the end of the block."""
        view = VolumeView("/home/jovyan/artifacts", volumes, hidden_paths, JOB_FOLDER, private_volumes)
        source = Source(str(self.root), view, main_user)
        try:
            yield source
        finally:
            source.close()

    def scan(
        self,
        globs: Globs | None = None,
        max_entries: int = 10**6,
        volumes: tuple[str, ...] = VOLUMES,
        hidden_paths: tuple[str, ...] = (),
        follow_links: bool = True,
        keep_holes: bool = False,
    ) -> Scan:
        """Scan the artifacts folder."""
        prefix_bytes = len("groups/g/jobArtifacts/job-1/")
        options = ScanOptions(globs or Globs((), ()), prefix_bytes, max_entries, follow_links, keep_holes)
        with self.source(volumes, hidden_paths) as source:
            return scan_source(source, options)

    def _path(self, path: str | Path) -> Path:
        text = os.fspath(path)
        return self.at(text) if text.startswith("/") and not text.startswith(str(self.root)) else self.artifact(text)


def skipped_paths(scan: Scan) -> dict[str, list[str]]:
    """Return reason -> paths of the files that are not collected."""
    return {reason: sorted(row.paths) for reason, row in scan.skipped.items()}


def read_file(source: Source, path: str) -> str:
    """Return the content of a file, read directly and through its open folder; all must be equal."""
    texts = []
    for opening in _openings(source):
        fd, found = opening(path)
        with open(fd, encoding="utf-8") as file:
            assert os.fstat(fd).st_ino == found.st_ino
            assert not os.get_inheritable(fd)
            texts.append(file.read())
    assert len(set(texts)) == 1
    return texts[0]


def refusal_reason(source: Source, path: str) -> str:
    """Return why a file is not opened, directly and through its open folder; all must be equal."""
    reasons = [open_result(opening, path) for opening in _openings(source)]
    assert len(set(reasons)) == 1, reasons
    return reasons[0]


def _openings(source: Source) -> Iterator[Callable[[str], OpenFile]]:
    """Yield all ways to open a file: by its path, and in a folder that is not open yet or already open."""
    yield source.open_file
    for main_is_running in (True, False):
        with closing(SourceFolders(source, main_is_running)) as folders:
            yield folders.open_file
            yield folders.open_file


def open_result(opening: Callable[[str], OpenFile], path: str) -> str:
    """Return the reason of the refusal, the error's name, or "opened"."""
    try:
        fd, _ = opening(path)
    except PathRefused as refused:
        return refused.reason
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    os.close(fd)
    return "opened"
