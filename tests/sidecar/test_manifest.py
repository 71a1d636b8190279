"""The manifest in memory, and from one sidecar to the next: what was written is known, and nothing else believed."""

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
from sidecar import stamp
from sidecar.manifest import Manifest
from sidecar.stamp import Stamp
from sidecar.store import Store
from tests.sidecar.folders import JOB

DIGEST = bytes(range(32))
PATH = st.sampled_from(["a", "b", "d/a", "d/b"])


def mark(size: int, inode: int = 1) -> Stamp:
    return stamp.pack(size, -1, 2**62, inode)


def of_pod(pod_uid: str = "uid-1", job: str = "job-1") -> Manifest:
    return Manifest(job, pod_uid)


def loaded(store: Store, pod_uid: str = "uid-1", job: str = "job-1", most: int = MAX_ENTRIES) -> Manifest:
    manifest = of_pod(pod_uid, job)
    manifest.load(store, most)
    return manifest


def plant(folder: Path, content: bytes) -> None:
    place = folder / JOB / MANIFEST
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)


def known(manifest: Manifest) -> tuple[object, ...]:
    return manifest.records, manifest.pending, manifest.unstable, manifest.earlier, manifest.count()


def test_a_copy_is_counted_by_the_bytes_that_were_written() -> None:
    manifest = of_pod()
    manifest.enter("a", mark(10), DIGEST, 10, unstable=False)
    manifest.enter("b", mark(10), DIGEST, 7, unstable=True)
    assert manifest.count() == Count(2, 17)
    assert manifest.records["a"] == mark(10) + DIGEST
    assert stamp.size_of(manifest.records["b"]) == 7
    assert manifest.unstable == {"b"}
    manifest.enter("b", mark(20), b"", 20, unstable=False)
    assert (manifest.count(), manifest.unstable) == (Count(2, 30), set())


def test_a_copy_that_is_gone_is_forgotten() -> None:
    manifest = of_pod()
    manifest.enter("a", mark(10), DIGEST, 10, unstable=True)
    manifest.drop("a")
    manifest.drop("never there")
    assert known(manifest) == ({}, set(), set(), {}, Count(0, 0))
    assert manifest.paths() == set()


def test_a_copy_that_is_not_whole_after_all_is_pending() -> None:
    manifest = of_pod()
    manifest.enter("a", mark(10), DIGEST, 10, unstable=False)
    manifest.suspect("a")
    assert (manifest.records, manifest.pending, manifest.count()) == ({}, {"a"}, Count(0, 0))
    assert manifest.paths() == {"a"}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["enter", "drop", "suspect"]), PATH, st.integers(0, 99), st.booleans())))
def test_the_count_is_always_that_of_the_records(steps: list[tuple[str, str, int, bool]]) -> None:
    manifest = of_pod()
    for step, path, size, flag in steps:
        if step == "enter":
            manifest.enter(path, mark(5), b"", size, flag)
        else:
            (manifest.drop if step == "drop" else manifest.suspect)(path)
        sizes = [stamp.size_of(record) for record in manifest.records.values()]
        assert manifest.count() == Count(len(sizes), sum(sizes))
        assert manifest.unstable <= manifest.records.keys()


def test_what_a_sidecar_saved_its_next_start_takes_over(store: Store) -> None:
    manifest = of_pod()
    manifest.enter("a", mark(10), DIGEST, 10, unstable=False)
    manifest.enter("d/ü%0A", mark(3, 2**64 - 1), b"", 3, unstable=True)
    manifest.pending.add("half")
    manifest.save(store)
    again = loaded(store)
    assert known(again) == known(manifest)
    again.save(store)
    assert known(loaded(store)) == known(manifest)


def test_a_copy_that_was_being_replaced_is_pending_after_a_crash(store: Store) -> None:
    manifest = of_pod()
    manifest.enter("a", mark(10), DIGEST, 10, unstable=False)
    manifest.pending.add("a")
    manifest.save(store)
    assert known(loaded(store)) == ({}, {"a"}, set(), {}, Count(0, 0))


def test_what_an_earlier_pod_wrote_stays_known_as_its(store: Store) -> None:
    first = of_pod("uid-1")
    for path in ("a", "b", "c"):
        first.enter(path, mark(10), DIGEST, 10, unstable=False)
    first.save(store)
    second = loaded(store, "uid-2")
    assert known(second) == ({}, set(), set(), first.records, Count(0, 0))
    second.enter("a", mark(20), b"", 20, unstable=False)
    second.pending.add("b")
    second.save(store)
    assert set(loaded(store, "uid-2").earlier) == {"c"}
    assert set(loaded(store, "uid-3").earlier) == {"a", "b", "c"}


def test_it_is_told_whether_this_pod_wrote_it(store: Store) -> None:
    assert of_pod().load(store, 10) is False
    of_pod("uid-1").save(store)
    assert of_pod("uid-1").load(store, 10) is True
    assert of_pod("uid-2").load(store, 10) is False


@pytest.mark.parametrize("entries", [0, 1, 1999, 2000, 2001, 5000])
def test_a_manifest_of_any_length_is_saved_whole(store: Store, entries: int) -> None:
    manifest = of_pod()
    for number in range(entries):
        manifest.enter(f"f{number}", mark(number), DIGEST, number, unstable=False)
    manifest.save(store)
    assert known(loaded(store)) == known(manifest)


def test_no_more_is_taken_over_than_asked_for(store: Store) -> None:
    manifest = of_pod()
    for number in range(5):
        manifest.enter(f"f{number}", mark(1), b"", 1, unstable=False)
    manifest.save(store)
    assert len(loaded(store, most=3).records) == 3


def test_the_manifest_of_another_job_is_not_believed(store: Store) -> None:
    other = of_pod(job="job-2")
    other.enter("a", mark(1), b"", 1, unstable=False)
    other.save(store)
    assert known(loaded(store)) == known(of_pod())


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
def test_a_manifest_that_makes_no_sense_is_as_none(tmp_path: Path, store: Store, content: bytes) -> None:
    plant(tmp_path, content)
    manifest = loaded(store)
    assert known(manifest) == known(of_pod())
    manifest.save(store)


def test_a_torn_manifest_is_believed_up_to_the_tear(tmp_path: Path, store: Store) -> None:
    manifest = of_pod()
    for path in ("a", "b", "c"):
        manifest.enter(path, mark(1), DIGEST, 1, unstable=False)
    manifest.save(store)
    content = (tmp_path / JOB / MANIFEST).read_bytes()
    plant(tmp_path, content[:-30])
    assert set(loaded(store).records) == {"a", "b"}


@pytest.mark.parametrize(
    "changes",
    [{"podUid": "\ud800"}, {"podUid": "\0\n"}, {"mtimeNs": 2**63}, {"inode": -1}, {"size": -1}, {"path": "\ud800"}],
)
def test_a_planted_entry_breaks_neither_the_loading_nor_the_saving(
    tmp_path: Path, store: Store, changes: dict[str, object]
) -> None:
    entry: dict[str, object] = {"path": "a", "size": 1, "mtimeNs": 2, "ctimeNs": 3, "inode": 4}
    plant(
        tmp_path,
        format_header(ManifestHeader("job-1", "uid-1")).encode() + json.dumps(entry | changes).encode() + b"\n",
    )
    manifest = loaded(store)
    assert manifest.paths() <= {"a"}
    manifest.save(store)
    assert known(loaded(store)) == known(manifest)


def test_one_path_listed_twice_is_counted_once(tmp_path: Path, store: Store) -> None:
    lines = [{"path": "a", "size": size, "mtimeNs": 0, "ctimeNs": 0, "inode": 0} for size in (5, 7)]
    content = format_header(ManifestHeader("job-1", "uid-1")) + "".join(json.dumps(line) + "\n" for line in lines)
    plant(tmp_path, content.encode())
    assert loaded(store).count() == Count(1, 7)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "link above", "file above"])
def test_what_was_planted_in_place_of_a_manifest_is_as_none(tmp_path: Path, store: Store, kind: str) -> None:
    place = tmp_path / JOB / MANIFEST
    place.parent.mkdir(parents=True)
    match kind:
        case "folder":
            place.mkdir()
        case "fifo":
            os.mkfifo(place)
        case "link":
            place.symlink_to(tmp_path / "outside/secret")
        case "link above":
            place.parent.rmdir()
            place.parent.symlink_to(tmp_path / "outside")
        case "file above":
            place.parent.rmdir()
            place.parent.touch()
    assert known(loaded(store)) == known(of_pod())


def test_a_store_that_fails_is_not_taken_for_an_empty_one(tmp_path: Path, store: Store) -> None:
    """Else its files would seem to be nobody's."""
    plant(tmp_path, b"")
    store.close()
    with pytest.raises(StoreError):
        loaded(store)
