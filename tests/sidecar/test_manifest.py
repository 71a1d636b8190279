"""The manifest in memory, and as saved and loaded again: own copies are recognized, and forged content is ignored."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.errors import StoreError
from artifacts.layout import MANIFEST
from artifacts.manifest import MAX_ENTRIES, ManifestHeader, format_header
from artifacts.report import Count
from sidecar import file_signature
from sidecar.file_signature import FileSignature
from sidecar.manifest import Manifest
from sidecar.store import JobFolderStore
from tests.sidecar.folders import JOB

DIGEST = bytes(range(32))
PATH = st.sampled_from(["a", "b", "d/a", "d/b"])


def signature(size: int, inode: int = 1) -> FileSignature:
    return file_signature.pack(size, -1, 2**62, inode)


def new_manifest(pod_uid: str = "uid-1", job: str = "job-1") -> Manifest:
    return Manifest(job, pod_uid)


def load_manifest(
    store: JobFolderStore, pod_uid: str = "uid-1", job: str = "job-1", max_entries: int = MAX_ENTRIES
) -> Manifest:
    manifest = new_manifest(pod_uid, job)
    manifest.load(store, max_entries)
    return manifest


def write_manifest(folder: Path, content: bytes) -> None:
    path = folder / JOB / MANIFEST
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def content_of(manifest: Manifest) -> tuple[object, ...]:
    return manifest.records, manifest.pending, manifest.unstable, manifest.earlier, manifest.count()


def test_a_copy_counts_with_the_bytes_that_were_written() -> None:
    manifest = new_manifest()
    manifest.add_copy("a", signature(10), DIGEST, 10, unstable=False)
    manifest.add_copy("b", signature(10), DIGEST, 7, unstable=True)
    assert manifest.count() == Count(2, 17)
    assert manifest.records["a"] == signature(10) + bytes(8) + DIGEST
    assert file_signature.size_of(manifest.records["b"]) == 7
    assert manifest.unstable == {"b"}
    manifest.add_copy("b", signature(20), b"", 20, unstable=False)
    assert (manifest.count(), manifest.unstable) == (Count(2, 30), set())


def test_a_discarded_copy_is_forgotten() -> None:
    manifest = new_manifest()
    manifest.add_copy("a", signature(10), DIGEST, 10, unstable=True)
    manifest.discard("a")
    manifest.discard("never there")
    assert content_of(manifest) == ({}, set(), set(), {}, Count(0, 0))
    assert manifest.paths() == set()


def test_an_incomplete_copy_is_pending() -> None:
    manifest = new_manifest()
    manifest.add_copy("a", signature(10), DIGEST, 10, unstable=False)
    manifest.mark_pending("a")
    assert (manifest.records, manifest.pending, manifest.count()) == ({}, {"a"}, Count(0, 0))
    assert manifest.paths() == {"a"}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["enter", "drop", "suspect"]), PATH, st.integers(0, 99), st.booleans())))
def test_the_count_always_matches_the_records(steps: list[tuple[str, str, int, bool]]) -> None:
    manifest = new_manifest()
    for step, path, size, flag in steps:
        if step == "enter":
            manifest.add_copy(path, signature(5), b"", size, flag)
        else:
            (manifest.discard if step == "drop" else manifest.mark_pending)(path)
        sizes = [file_signature.size_of(record) for record in manifest.records.values()]
        assert manifest.count() == Count(len(sizes), sum(sizes))
        assert manifest.unstable <= manifest.records.keys()


def test_a_saved_manifest_is_loaded_unchanged(store: JobFolderStore) -> None:
    manifest = new_manifest()
    manifest.add_copy("a", signature(10), DIGEST, 10, unstable=False)
    manifest.add_copy("d/ü%0A", signature(3, 2**64 - 1), b"", 3, unstable=True)
    manifest.pending.add("half")
    manifest.save(store)
    again = load_manifest(store)
    assert content_of(again) == content_of(manifest)
    again.save(store)
    assert content_of(load_manifest(store)) == content_of(manifest)


def test_a_copy_that_was_being_replaced_is_pending_after_a_crash(store: JobFolderStore) -> None:
    manifest = new_manifest()
    manifest.add_copy("a", signature(10), DIGEST, 10, unstable=False)
    manifest.pending.add("a")
    manifest.save(store)
    assert content_of(load_manifest(store)) == ({}, {"a"}, set(), {}, Count(0, 0))


def test_copies_of_an_earlier_pod_stay_attributed_to_it(store: JobFolderStore) -> None:
    first = new_manifest("uid-1")
    for path in ("a", "b", "c"):
        first.add_copy(path, signature(10), DIGEST, 10, unstable=False)
    first.save(store)
    second = load_manifest(store, "uid-2")
    assert content_of(second) == ({}, set(), set(), first.records, Count(0, 0))
    second.add_copy("a", signature(20), b"", 20, unstable=False)
    second.pending.add("b")
    second.save(store)
    assert set(load_manifest(store, "uid-2").earlier) == {"c"}
    assert set(load_manifest(store, "uid-3").earlier) == {"a", "b", "c"}


def test_load_returns_whether_this_pod_wrote_the_manifest(store: JobFolderStore) -> None:
    assert new_manifest().load(store, 10) is False
    new_manifest("uid-1").save(store)
    assert new_manifest("uid-1").load(store, 10) is True
    assert new_manifest("uid-2").load(store, 10) is False


@pytest.mark.parametrize("entries", [0, 1, 1999, 2000, 2001, 5000])
def test_a_manifest_of_any_length_is_saved_completely(store: JobFolderStore, entries: int) -> None:
    manifest = new_manifest()
    for number in range(entries):
        manifest.add_copy(f"f{number}", signature(number), DIGEST, number, unstable=False)
    manifest.save(store)
    assert content_of(load_manifest(store)) == content_of(manifest)


def test_at_most_max_entries_are_loaded(store: JobFolderStore) -> None:
    manifest = new_manifest()
    for number in range(5):
        manifest.add_copy(f"f{number}", signature(1), b"", 1, unstable=False)
    manifest.save(store)
    assert len(load_manifest(store, max_entries=3).records) == 3


def test_the_manifest_of_another_job_is_ignored(store: JobFolderStore) -> None:
    other = new_manifest(job="job-2")
    other.add_copy("a", signature(1), b"", 1, unstable=False)
    other.save(store)
    assert content_of(load_manifest(store)) == content_of(new_manifest())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\0",
        b"[]\n",
        b"[" * 10_000 + b"\n",
        b'{"version":99,"job":"job-1","podUid":"uid-1"}\n',
        format_header(ManifestHeader("job-1", "uid-1")).encode() + b"x" * 100_000,
        format_header(ManifestHeader("job-1", "uid-1")).encode() + b'{"path":"../x","size":1}\n',
    ],
)
def test_an_invalid_manifest_is_ignored(tmp_path: Path, store: JobFolderStore, content: bytes) -> None:
    write_manifest(tmp_path, content)
    manifest = load_manifest(store)
    assert content_of(manifest) == content_of(new_manifest())
    manifest.save(store)


def test_a_truncated_manifest_is_loaded_up_to_the_truncation(tmp_path: Path, store: JobFolderStore) -> None:
    manifest = new_manifest()
    for path in ("a", "b", "c"):
        manifest.add_copy(path, signature(1), DIGEST, 1, unstable=False)
    manifest.save(store)
    content = (tmp_path / JOB / MANIFEST).read_bytes()
    write_manifest(tmp_path, content[:-30])
    assert set(load_manifest(store).records) == {"a", "b"}


@pytest.mark.parametrize(
    "changes",
    [{"podUid": "\ud800"}, {"podUid": "\0\n"}, {"mtimeNs": 2**63}, {"inode": -1}, {"size": -1}, {"path": "\ud800"}],
)
def test_a_forged_entry_breaks_neither_load_nor_save(
    tmp_path: Path, store: JobFolderStore, changes: dict[str, object]
) -> None:
    entry: dict[str, object] = {"path": "a", "size": 1, "mtimeNs": 2, "ctimeNs": 3, "inode": 4}
    write_manifest(
        tmp_path,
        format_header(ManifestHeader("job-1", "uid-1")).encode() + json.dumps(entry | changes).encode() + b"\n",
    )
    manifest = load_manifest(store)
    assert manifest.paths() <= {"a"}
    manifest.save(store)
    assert content_of(load_manifest(store)) == content_of(manifest)


def test_a_path_that_is_listed_twice_counts_once(tmp_path: Path, store: JobFolderStore) -> None:
    lines = [{"path": "a", "size": size, "mtimeNs": 0, "ctimeNs": 0, "inode": 0} for size in (5, 7)]
    content = format_header(ManifestHeader("job-1", "uid-1")) + "".join(json.dumps(line) + "\n" for line in lines)
    write_manifest(tmp_path, content.encode())
    assert load_manifest(store).count() == Count(1, 7)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "link above", "file above"])
def test_anything_but_a_file_in_place_of_the_manifest_is_ignored(
    tmp_path: Path, store: JobFolderStore, kind: str
) -> None:
    path = tmp_path / JOB / MANIFEST
    path.parent.mkdir(parents=True)
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(tmp_path / "outside/secret")
        case "link above":
            path.parent.rmdir()
            path.parent.symlink_to(tmp_path / "outside")
        case "file above":
            path.parent.rmdir()
            path.parent.touch()
    assert content_of(load_manifest(store)) == content_of(new_manifest())


def test_a_failing_store_raises_instead_of_appearing_empty(tmp_path: Path, store: JobFolderStore) -> None:
    """Otherwise its files would seem to belong to no pod."""
    write_manifest(tmp_path, b"")
    store.close()
    with pytest.raises(StoreError):
        load_manifest(store)
