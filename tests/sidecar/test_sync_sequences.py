"""Random jobs, syncs, faults and restarts: whatever came before, a last sync without faults ends with the truth."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from artifacts.errors import StoreError
from artifacts.layout import job_folder
from artifacts.names import encode_path
from artifacts.settings import MIB, SidecarSettings
from sidecar.method import choose_method
from sidecar.source import Source, View
from sidecar.store import Fill, Store
from sidecar.sync import Syncer
from tests.sidecar.sidecars import Job

NAMES = ("a", "b", "c", "d/a", "d/b", "d/e/a", "d/e", "d", "f/a", "%41", "ü", ".metadata/x")
FOREIGN = "somebody's"
FAULTS = (errno.EIO, errno.ENOSPC, errno.ENOTCONN, errno.EACCES)


class FaultyStore(Store):
    """A store that fails at the calls with certain numbers: before it has done what it was to, or after."""

    faults: dict[int, tuple[int, bool]]  # number of the call -> errno, whether it is done all the same
    calls = 0

    @contextmanager
    def _call(self, action: str, path: str) -> Iterator[None]:
        self.calls += 1
        code, is_done = self.faults.get(self.calls, (0, False))
        failure = StoreError(action, path, OSError(code, os.strerror(code)))
        if code and not is_done:
            raise failure
        yield
        if code:
            raise failure

    def connect(self) -> None:
        with self._call("open", ""):
            super().connect()

    def write(self, path: str, fill: Fill, executable: bool = False, exists: bool = False) -> None:
        with self._call("write", path):
            super().write(path, fill, executable, exists)

    def remove(self, path: str) -> None:
        with self._call("remove", path):
            super().remove(path)

    def size(self, path: str) -> int | None:
        with self._call("look at", path):
            return super().size(path)


class Collector:
    """One job, and a sidecar for it without its process."""

    def __init__(self, folder: Path, file_system: str, **settings: object) -> None:
        self.job = Job(folder)
        self.settings: SidecarSettings = self.job.settings(**settings)
        self._file_system = file_system
        self.faults: dict[int, tuple[int, bool]] = {}
        self._open()

    def _open(self) -> None:
        given, folder = self.settings, f"{self.settings.phfs}/{job_folder(self.job.name)}"
        self._source = Source(given.root, View(given.path, given.volumes, (), folder))
        self.store = FaultyStore(given.store, given.job, given.file_mode, given.folder_mode)
        self.store.faults = self.faults
        self.syncer = Syncer(given, self._source, self.store, choose_method(self._file_system, digest=True))

    def restart(self) -> None:
        """As after a SIGKILL: all is forgotten that is not in the store."""
        self.close()
        self._open()

    def close(self) -> None:
        self._source.close()
        self.store.close()

    def fail(self, numbers: dict[int, tuple[int, bool]]) -> None:
        """Let the next calls with these numbers, from 1, fail."""
        self.store.calls = 0
        self.faults.clear()
        self.faults.update(numbers)


def change(job: Job, what: str, path: str, argument: Any) -> None:
    """What a job does to a path in its folder; what cannot be done is not."""
    place = job.artifacts / path
    if what != "remove":
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        match what:
            case "write":
                place.write_bytes(path.encode() * (argument // len(path.encode()) + 1))
            case "append":
                with open(place, "ab") as file:
                    file.write(b"more")
            case "remove":
                remove(place)
            case "replace":  # a file by a folder, or a folder by a file
                is_folder = place.is_dir()
                remove(place)
                place.write_bytes(b"was a folder") if is_folder else place.mkdir()
            case "rename":
                place.rename(job.artifacts / argument)
            case "link":
                place.symlink_to(os.path.relpath(job.artifacts / argument, place.parent))
            case "hard link":
                place.hardlink_to(job.artifacts / argument)
            case "mode":
                place.chmod(argument)


def remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        for inner in place.iterdir():
            remove(inner)
        place.rmdir()
    else:
        place.unlink()


def seen(folder: Path, through: tuple[tuple[int, int], ...] = ()) -> dict[str, bytes]:
    """Path -> content of all files that a job sees in the folder, links followed until they lead back."""
    found: dict[str, bytes] = {}
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in through:
        return found
    for name in os.listdir(folder):
        if (folder / name).is_dir():
            inner = seen(folder / name, (*through, here))
            found |= {f"{name}/{path}": content for path, content in inner.items()}
        elif (folder / name).is_file():
            found[name] = (folder / name).read_bytes()
    return found


def wanted(collector: Collector) -> dict[str, bytes]:
    """What is to be kept in the end: all within the limits, else nothing or, in byte order, what fits."""
    files = {encode_path(path): content for path, content in seen(collector.job.artifacts).items()}
    limit_files, limit_bytes = collector.settings.limit_files, collector.settings.limit_size_bytes
    if len(files) <= limit_files and sum(map(len, files.values())) <= limit_bytes:
        return files
    kept: dict[str, bytes] = {}
    if collector.settings.over_limit == "keep":
        for path in sorted(files, key=os.fsencode):
            if len(kept) < limit_files and sum(map(len, kept.values())) + len(files[path]) <= limit_bytes:
                kept[path] = files[path]
    return kept


def assert_nothing_unknown(collector: Collector) -> None:
    kept = collector.job.kept()
    assert kept.pop(FOREIGN) == b"keep"
    assert kept.keys() <= collector.job.manifest().keys()
    assert not kept or len(collector.job.expiries()) == 2


names = st.sampled_from(NAMES)
faults = st.dictionaries(st.integers(1, 30), st.tuples(st.sampled_from(FAULTS), st.booleans()), max_size=4)
steps = st.one_of(
    st.tuples(st.just("write"), names, st.sampled_from((0, 1, 5000, 700_000))),
    st.tuples(st.sampled_from(("append", "remove", "replace")), names, st.none()),
    st.tuples(st.sampled_from(("rename", "link", "hard link")), names, names),
    st.tuples(st.just("mode"), names, st.sampled_from((0o600, 0o755, 0o000))),
    st.tuples(st.just("sync"), st.booleans(), faults),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(steps, max_size=25),
    st.sampled_from(("ext4", "fuse.rclone")),
    st.sampled_from((2, 4, 1000)),
    st.sampled_from(("reject", "keep")),
)
@example([("write", "d", 5), ("sync", False, {}), ("replace", "d", None), ("write", "d/a", 1)], "ext4", 9, "keep")
def test_a_last_sync_without_faults_ends_with_the_truth(
    todo: list[tuple[str, Any, Any]], file_system: str, limit: int, over: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        collector = Collector(Path(folder), file_system, limit_files=limit, limit_size_mb=1, over_limit=over)
        job = collector.job
        outside = job.phfs / "jobArtifacts/job-10/a"
        outside.parent.mkdir(parents=True)
        outside.write_text("another job's")
        job.folder.mkdir()
        (job.folder / FOREIGN).write_text("keep")
        try:
            for what, argument, more in todo:
                if what == "restart":
                    collector.restart()
                elif what == "sync":
                    collector.fail(more)
                    collector.syncer.sync(eager=argument)
                    assert_nothing_unknown(collector)
                else:
                    change(job, what, argument, more)
            collector.fail({})
            collector.syncer.end(time.time())
            collector.syncer.finish(time.monotonic() + 20)
        finally:
            collector.close()
        kept = job.kept()
        assert kept.pop(FOREIGN) == b"keep"
        assert outside.read_text() == "another job's"
        assert kept == wanted(collector)
        assert {path: entry["size"] for path, entry in job.manifest().items()} == {
            path: len(content) for path, content in kept.items()
        }
        assert not [path for path, entry in job.manifest().items() if entry.get("pending")]
        report, found = job.report(), seen(job.artifacts)
        over_limit = len(found) > limit or sum(map(len, found.values())) > MIB
        assert report.state == ("rejected" if over_limit and over == "reject" else "sealed" if kept else "empty")
        assert (report.collected.files, report.limit_exceeded) == (len(kept), over_limit)
        assert job.temporaries() == []


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("is_done", [False, True])
def test_a_fault_during_the_last_sync_is_mended(tmp_path: Path, number: int, is_done: bool) -> None:
    collector = Collector(tmp_path, "ext4")
    job = collector.job
    try:
        job.write("changes", "1")
        job.write("goes", "1")
        collector.syncer.sync()
        job.write("changes", "22")
        job.write("new/a", "1")
        (job.artifacts / "goes").unlink()
        collector.fail({number: (errno.EIO, is_done)})
        collector.syncer.end(time.time())
        collector.syncer.finish(time.monotonic() + 20)
    finally:
        collector.close()
    job.assert_whole()
    assert job.report().state == "sealed"
