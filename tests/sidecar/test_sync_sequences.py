"""Random jobs, syncs, faults and restarts: a last sync without faults always yields the expected files."""

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
from artifacts.settings import SidecarSettings
from sidecar.copy_strategy import choose_strategy
from sidecar.source import Source, VolumeView
from sidecar.store import JobFolderStore
from sidecar.sync import Syncer
from tests.sidecar.sidecars import Job
from tests.sidecar.volumes import OWN_USER

NAMES = ("a", "b", "c", "d/a", "d/b", "d/e/a", "d/e", "d", "f/a", "%41", "ü", ".metadata/x")
FOREIGN = "foreign"
FAULTS = (errno.EIO, errno.ENOSPC, errno.ENOTCONN, errno.EACCES)


class FaultyStore(JobFolderStore):
    """A store whose calls with given numbers fail, before or after the operation."""

    faults: dict[int, tuple[int, bool]]  # number of the call -> errno, whether the operation is performed
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

    def write(self, path: str, *arguments: Any, **options: Any) -> int:
        with self._call("write", path):
            return super().write(path, *arguments, **options)

    def remove(self, path: str) -> None:
        with self._call("remove", path):
            super().remove(path)

    def stat(self, path: str) -> os.stat_result | None:
        with self._call("stat", path):
            return super().stat(path)

    def open_folder(self, folder: str) -> int | None:
        with self._call("open", folder):
            pass  # a fault afterwards would leave the folder open
        return super().open_folder(folder)


class Collector:
    """One job, and a syncer for it without a process."""

    def __init__(self, folder: Path, file_system: str, **settings: object) -> None:
        self.job = Job(folder)
        self.settings: SidecarSettings = self.job.settings(**settings)
        self._file_system = file_system
        self.faults: dict[int, tuple[int, bool]] = {}
        self._open()

    def _open(self) -> None:
        given, folder = self.settings, f"{self.settings.phfs}/{job_folder(self.job.name)}"
        self._source = Source(given.root, VolumeView(given.path, given.volumes, (), folder), OWN_USER)
        self.store = FaultyStore(given.store, given.job, given.file_mode, given.folder_mode)
        self.store.faults = self.faults
        self.syncer = Syncer(given, self._source, self.store, choose_strategy(self._file_system, digest=True))

    def restart(self) -> None:
        """Start again as after a SIGKILL: only the store's content remains."""
        self.close()
        self._open()

    def close(self) -> None:
        self._source.close()
        self.store.close()

    def set_faults(self, numbers: dict[int, tuple[int, bool]]) -> None:
        """Make the calls with these numbers fail, counted from 1 from now on."""
        self.store.calls = 0
        self.faults.clear()
        self.faults.update(numbers)


def change(job: Job, action: str, path: str, argument: Any) -> None:
    """Perform one action of a job on a path in its folder. Impossible actions are skipped."""
    target = job.artifacts / path
    if action != "remove":
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        match action:
            case "write":
                target.write_bytes(path.encode() * (argument // len(path.encode()) + 1))
            case "append":
                with open(target, "ab") as file:
                    file.write(b"more")
            case "remove":
                remove(target)
            case "replace":  # a file by a folder, or a folder by a file
                is_folder = target.is_dir()
                remove(target)
                target.write_bytes(b"was a folder") if is_folder else target.mkdir()
            case "rename":
                target.rename(job.artifacts / argument)
            case "link":
                target.symlink_to(job.artifacts / argument)  # absolute: a rename must not lead it out of the volumes
            case "hard link":
                target.hardlink_to(job.artifacts / argument)
            case "mode":
                target.chmod(argument)


def remove(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        for inner in target.iterdir():
            remove(inner)
        target.rmdir()
    else:
        target.unlink()


def visible_files(folder: Path, ancestors: tuple[tuple[int, int], ...] = ()) -> dict[str, bytes]:
    """Return path -> content of all files in the folder as a job sees them; links are followed, except loops."""
    found: dict[str, bytes] = {}
    status = folder.stat()
    folder_id = (status.st_dev, status.st_ino)
    if folder_id in ancestors:
        return found
    for name in os.listdir(folder):
        if (folder / name).is_dir():
            inner = visible_files(folder / name, (*ancestors, folder_id))
            found |= {f"{name}/{path}": content for path, content in inner.items()}
        elif (folder / name).is_file():
            found[name] = (folder / name).read_bytes()
    return found


def own_paths(folder: Path) -> set[str]:
    """Return the paths of regular files that are in the folder itself, each inode once, under its first path."""
    first: dict[int, str] = {}
    for parent, _, found in os.walk(folder):
        for path in (Path(parent, name) for name in found):
            if not path.is_symlink():
                inode, encoded = path.stat().st_ino, encode_path(str(path.relative_to(folder)))
                first[inode] = min(encoded, first.get(inode, encoded))
    return set(first.values())


def expected_files(collector: Collector) -> tuple[dict[str, bytes], bool]:
    """Return the files expected in the end, and whether the job's own files exceed a limit.

    Over the limit none or, in byte order, those that fit; then the linked files that fit.
    """
    files = {encode_path(path): content for path, content in visible_files(collector.job.artifacts).items()}
    own = own_paths(collector.job.artifacts)
    limit_files, limit_bytes = collector.settings.limit_files, collector.settings.limit_size_bytes
    is_over_limit = len(own) > limit_files or sum(len(files[path]) for path in own) > limit_bytes
    fitting: dict[str, bytes] = {}
    if not is_over_limit or collector.settings.over_limit == "keep":
        for path in sorted(files, key=lambda path: (path not in own, os.fsencode(path))):
            if len(fitting) < limit_files and sum(map(len, fitting.values())) + len(files[path]) <= limit_bytes:
                fitting[path] = files[path]
    return fitting, is_over_limit


def assert_all_files_listed(collector: Collector) -> None:
    """Every copy is in the manifest and will expire; a foreign file is preserved."""
    collected = collector.job.copies()
    assert collected.pop(FOREIGN) == b"keep"
    assert collected.keys() <= collector.job.manifest().keys()
    assert not collected or len(collector.job.expiries()) == 2


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
def test_a_last_sync_without_faults_yields_the_expected_files(
    actions: list[tuple[str, Any, Any]], file_system: str, limit: int, over: str
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
            for action, argument, more in actions:
                if action == "restart":
                    collector.restart()
                elif action == "sync":
                    collector.set_faults(more)
                    collector.syncer.sync(eager=argument)
                    assert_all_files_listed(collector)
                else:
                    change(job, action, argument, more)
            collector.set_faults({})
            collector.syncer.end_main(time.time())
            collector.syncer.finish(time.monotonic() + 20)
        finally:
            collector.close()
        collected = job.copies()
        assert collected.pop(FOREIGN) == b"keep"
        assert outside.read_text() == "another job's"
        expected, over_limit = expected_files(collector)
        assert collected == expected
        assert {path: entry["size"] for path, entry in job.manifest().items()} == {
            path: len(content) for path, content in collected.items()
        }
        assert not [path for path, entry in job.manifest().items() if entry.get("pending")]
        report = job.report()
        assert report.state == ("rejected" if over_limit and over == "reject" else "sealed" if collected else "empty")
        assert (report.collected.files, report.limit_exceeded) == (len(collected), over_limit)
        assert job.temporaries() == []


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("is_done", [False, True])
def test_the_last_sync_recovers_from_a_fault(tmp_path: Path, number: int, is_done: bool) -> None:
    collector = Collector(tmp_path, "ext4")
    job = collector.job
    try:
        job.write("changes", "1")
        job.write("goes", "1")
        collector.syncer.sync()
        job.write("changes", "22")
        job.write("new/a", "1")
        (job.artifacts / "goes").unlink()
        collector.set_faults({number: (errno.EIO, is_done)})
        collector.syncer.end_main(time.time())
        collector.syncer.finish(time.monotonic() + 20)
    finally:
        collector.close()
    job.assert_complete()
    assert job.report().state == "sealed"
