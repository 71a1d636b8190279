"""The behaviour of every kind of store."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.store.store import FileChanged, FileMissing, Item, RemovedFiles, Store
from artifacts.errors import InvalidDocument, InvalidName
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT

JOB = "groups/phusers/jobArtifacts/job-1/"
MIB = 1024 * 1024

# In the order of their bytes: "-" and "." come before "/", and "/" before letters.
NAMES = [
    " leading",
    "!~*'();:@&=+$,[] {}|^`<>\"",
    "#",
    ".hidden/.dots..",
    ".metadata/expiredAt",
    ".primehub/metadata/expiredAt",
    "100%",
    "A",
    "a",
    "a b",
    "a%0Ab",
    "a%2Fb",
    "a+b",
    "a-",
    "a.b",
    "back\\slash",
    "d-x",
    "d/a/b/c/d/e/f",
    "d/b",
    "d0",
    "e\u0301 decomposed",
    "n" * 255,
    "z?query",
    "\u00e9 composed",
    "\u2028line",
    "\uff0e\uff0e",
    "\U0001f680",
]
# Keys that no file can have.
INVALID_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "groups/../a",
    "groups//a",
    "groups/./a",
    "a/",
    "a\nb",
    "a\0b",
    "a\x7f",
    "\ud800",
]


def fill(store: Store, *names: str, content: Callable[[str], bytes] = str.encode) -> None:
    for name in names:
        store.write(JOB + name, content(name))


def names(store: Store, prefix: str = JOB, after: str = "", recursive: bool = True) -> list[str]:
    return [item.name for item in store.list(prefix, after=after, recursive=recursive)]


def content(store: Store, key: str, start: int = 0, length: int | None = None) -> bytes:
    file = store.open(key)
    try:
        return b"".join(file.chunks(start, file.stat.size if length is None else length))
    finally:
        file.close()


def test_files_are_listed_in_byte_order(store: Store) -> None:
    fill(store, *reversed(NAMES))
    assert sorted(NAMES, key=str.encode) == NAMES
    assert [(item.name, item.size) for item in store.list(JOB)] == [(name, len(name.encode())) for name in NAMES]


def test_files_are_found_by_their_listed_names(store: Store) -> None:
    fill(store, *NAMES)
    for item in store.list(JOB):
        status = store.stat(JOB + item.name)
        assert (status.size, status.modified_at) == (item.size, item.modified_at)
        assert store.read(JOB + item.name, 1000).decode() == item.name
        assert content(store, JOB + item.name).decode() == item.name


def test_a_listing_starts_after_any_name(store: Store) -> None:
    fill(store, *NAMES)
    positions = [
        "a!",
        "d",
        "d/",
        "d/a",
        "d/a/b/c/d/e/f",
        "d/b/c",
        "d0",
        "zz",
        "\U0010ffff",
        "a\n",
        "..",
        "//",
        "\ud800",
        "d/\n",
    ]
    for after in [*NAMES, *positions]:
        assert names(store, after=after) == [name for name in NAMES if name > after], ascii(after)


def test_a_flat_listing_contains_folders_with_a_slash(store: Store) -> None:
    fill(store, "a", "d-", "d/x", "d/y/z", "d0", "e/f/g")
    assert names(store, recursive=False) == ["a", "d-", "d/", "d0", "e/"]
    assert next(iter(store.list(JOB, after="d-", recursive=False))) == Item("d/", None, None, None)
    levels = {"": 5, "a": 4, "d-": 3, "d/": 2, "d/x": 2, "d/zz": 2, "d0": 1, "e": 1, "e/": 0, "e/f/": 0}
    assert {after: len(names(store, after=after, recursive=False)) for after in levels} == levels
    assert names(store, JOB + "d/", recursive=False) == ["x", "y/"]


def test_a_missing_prefix_lists_nothing(store: Store) -> None:
    fill(store, "a")
    for prefix in (f"{JOB}b/", f"{JOB}a/", "groups/other/", "elsewhere/", "groups/phusers/jobArtifacts/job-/"):
        assert names(store, prefix) == names(store, prefix, recursive=False) == [], prefix
    for name in INVALID_KEYS:
        assert names(store, f"{name}/") == [], ascii(name)


def test_a_prefix_does_not_list_a_job_with_a_longer_name(store: Store) -> None:
    fill(store, "a")
    store.write(JOB.replace("job-1", "job-10") + "b", b"")
    store.write(JOB.replace("job-1", "job-1.x") + "c", b"")
    assert names(store) == ["a"]
    with pytest.raises(ValueError, match="slash"):
        names(store, JOB.removesuffix("/"))


def test_the_modification_time_is_the_time_of_the_write(store: Store) -> None:
    fill(store, "a")
    (item,) = store.list(JOB)
    status = store.stat(JOB + "a")
    assert item.modified_at is not None
    assert item.changed_at is not None
    assert status.modified_at == item.modified_at
    assert 1_700_000_000 < item.modified_at <= item.changed_at + 1 < 10_000_000_000


def test_a_key_without_a_file_raises_file_missing(store: Store) -> None:
    fill(store, "d/a")
    for key in (JOB + "absent", JOB + "d", JOB + "d/a/b", "absent", *INVALID_KEYS):
        for operation in (store.stat, store.open, lambda key: store.read(key, 10)):
            with pytest.raises(FileMissing):
                operation(key)
        store.delete(key)
    assert names(store) == ["d/a"]


def test_read_returns_the_whole_file_or_raises(store: Store) -> None:
    store.write(JOB + "a", b"12345")
    store.write(JOB + "empty", b"")
    assert store.read(JOB + "a", 5) == b"12345"
    assert store.read(JOB + "empty", 0) == b""
    with pytest.raises(InvalidDocument, match="longer than 4 bytes"):
        store.read(JOB + "a", 4)


@pytest.mark.parametrize("size", [0, 1, MIB, 2 * MIB + 12345])
def test_any_part_of_a_file_is_read_in_small_blocks(store: Store, size: int) -> None:
    whole = bytes(itertools.islice(itertools.cycle(range(251)), size))
    store.write(JOB + "a", whole)
    file = store.open(JOB + "a")
    try:
        assert file.stat == store.stat(JOB + "a")
        for start, length in [
            (0, size),
            (0, 0),
            (size, 0),
            (size // 2, size - size // 2),
            (size // 3, min(size // 3, 7)),
        ]:
            blocks = list(file.chunks(start, length))
            assert b"".join(blocks) == whole[start : start + length]
            assert all(0 < len(block) <= MIB for block in blocks)
    finally:
        file.close()


def test_a_file_replaced_during_a_read_is_never_mixed_with_the_new_one(store: Store) -> None:
    store.write(JOB + "a", b"1" * 3 * MIB)
    file = store.open(JOB + "a")
    try:
        chunks = file.chunks(0, 3 * MIB)
        first = next(chunks)
        store.write(JOB + "a", b"2" * 3 * MIB)
        try:
            read = first + b"".join(chunks)
        except FileChanged:
            read = first
        assert set(read) == {ord("1")}
    finally:
        file.close()


def test_the_etag_changes_only_with_the_content(store: Store) -> None:
    store.write(JOB + "a", b"one")
    tag = store.stat(JOB + "a").etag
    assert tag == store.stat(JOB + "a").etag
    assert tag
    assert '"' not in tag
    store.write(JOB + "a", b"two")
    assert store.stat(JOB + "a").etag != tag


def test_write_replaces_a_file_and_leaves_no_temporary_file(store: Store) -> None:
    for text in (b"one", b"", b"three"):
        store.write(JOB + "d/a", text)
        assert store.read(JOB + "d/a", 10) == text
    store.write("record", b"top")
    assert store.read("record", 10) == b"top"
    assert names(store) == ["d/a"]
    assert names(store, "phjob-artifacts/") == []


def test_writing_to_an_invalid_key_raises_invalid_name(store: Store) -> None:
    for key in INVALID_KEYS:
        with pytest.raises(InvalidName):
            store.write(key, b"")


def test_delete_is_idempotent(store: Store) -> None:
    fill(store, "a", "a%0Ab", "d/b")
    for _ in range(2):
        for name in ("a", "a%0Ab", "d/b"):
            store.delete(JOB + name)
    assert names(store) == []


def test_remove_removes_the_whole_job_folder_and_counts_it(store: Store) -> None:
    fill(store, *NAMES)
    others = [JOB.replace("job-1", "job-10") + "a", JOB.replace("phusers", "other") + "a", "groups/phusers/mine"]
    for key in others:
        store.write(key, b"theirs")
    last = [LEGACY_EXPIRED_AT, EXPIRED_AT, "absent/too"]
    counted = [name for name in NAMES if name not in last]
    assert store.remove(JOB, last) == RemovedFiles(len(counted), sum(len(name.encode()) for name in counted))
    assert names(store) == []
    assert names(store, "groups/phusers/jobArtifacts/", recursive=False) == ["job-10/"]
    assert [store.read(key, 10) for key in others] == [b"theirs"] * 3
    assert store.remove(JOB, last) == RemovedFiles(0, 0)
    assert store.remove(JOB.replace("phusers", "nobody")) == RemovedFiles(0, 0)


def test_remove_accepts_only_a_job_folder(store: Store) -> None:
    job = "groups/g/jobArtifacts/j/"
    store.write(f"{job}d/a", b"1")
    for prefix in ("", "/", "groups/", "groups/g/", "groups/g/jobArtifacts/", job.removesuffix("/"), f"{job}d/"):
        with pytest.raises(ValueError, match="only a job folder"):
            store.remove(prefix)
    assert store.read(f"{job}d/a", 1) == b"1"


def test_a_store_is_thread_safe(store: Store) -> None:
    def write_and_read(number: int) -> bytes:
        key = f"{JOB}{number}/a"
        store.write(key, b"%d" % number)
        assert names(store, f"{JOB}{number}/") == ["a"]
        return content(store, key)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write_and_read, range(16))) == [b"%d" % number for number in range(16)]


def test_check_succeeds(store: Store) -> None:
    store.check()


def test_a_listing_reports_the_number_of_read_entries(store: Store) -> None:
    for name in ("a", "b/c", "b/d"):
        store.write(JOB + name, b"1")
    read: list[int] = []
    listed = store.list(JOB, after="a", on_read=read.append)
    assert read == []
    assert [item.name for item in listed] == ["b/c", "b/d"]
    assert sum(read) >= 2
