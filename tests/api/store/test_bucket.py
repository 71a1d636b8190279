"""Buckets with folder objects, invalid keys and many pages; and how many requests an operation costs."""

import importlib
import itertools
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from api.store import bucket as bucket_module
from api.store.bucket import BucketStore
from api.store.factory import open_store
from api.store.keys import BucketKeys
from api.store.store import FileChanged, FileMissing, RemovedFiles
from artifacts.errors import StoreError
from artifacts.layout import EXPIRED_AT, LEGACY_EXPIRED_AT
from tests.api.store.conftest import BucketFixture
from tests.api.store.servers import BUCKET, S3Server
from tests.api.store.test_store import JOB, names

LAST = [LEGACY_EXPIRED_AT, EXPIRED_AT]
MIB = 1024 * 1024
INVALID_KEYS = ["//", "/", "a//b", "d//", "x\x01y", "x\x7f", "y\x85", "z\ufffe", "f/../g", "./h"]


@contextmanager
def record_requests(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Record the requests that moto receives in the block, as `GET /phfs?...`."""
    requests: list[str] = []
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        yield requests
    requests += [record.getMessage().split('"')[1] for record in caplog.records if record.name == "werkzeug"]


def put_in_memory(bucket: BucketFixture, keys: Iterator[str]) -> None:
    """Put objects into moto's memory: thousands of requests would take too long."""
    backend = importlib.import_module("moto.s3.models").s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(BUCKET, bucket.base + key, b"x")


def test_folder_objects_are_not_listed_as_files(bucket: BucketFixture) -> None:
    bucket.put(f"{JOB}", f"{JOB}d/", f"{JOB}d/e/", f"{JOB}empty/", f"{JOB}z/")
    bucket.put(f"{JOB}d/a", f"{JOB}d-", content=b"x")
    bucket.put(f"{JOB}z")
    assert names(bucket.store) == ["d-", "d/a", "z"]
    assert names(bucket.store, recursive=False) == ["d-", "d/", "empty/", "z", "z/"]
    for key in (f"{JOB}d", f"{JOB}empty"):
        with pytest.raises(FileMissing):
            bucket.store.stat(key)
    assert bucket.store.stat(f"{JOB}z").size == 0
    assert bucket.store.remove(JOB) == RemovedFiles(3, 2)
    assert bucket.list_keys() == []


def test_folder_objects_are_not_listed_as_files_by_obstore_keys(bucket: BucketFixture) -> None:
    bucket.put(f"{JOB}d/", f"{JOB}d/a", f"{JOB}empty/", f"{JOB}z")
    store = bucket.with_obstore_keys()
    assert names(store) == ["d/a", "z"]
    assert store.remove(JOB).files == 2


def test_invalid_keys_are_not_listed_and_hide_no_others(bucket: BucketFixture) -> None:
    bucket.put(*(JOB + key for key in INVALID_KEYS), *(f"{JOB}{key}" for key in ("a", "b/c", "zz")), content=b"x")
    assert names(bucket.store) == ["a", "b/c", "zz"]
    assert names(bucket.store, recursive=False) == ["a", "a/", "b/", "d/", "f/", "zz"]
    assert names(bucket.store, "groups/phusers/jobArtifacts/", recursive=False) == ["job-1/"]


def test_invalid_keys_are_removed_with_the_job(bucket: BucketFixture) -> None:
    invalid = [key for key in INVALID_KEYS if "." not in key]
    bucket.put(*(JOB + key for key in invalid), content=b"x")
    bucket.put(*(JOB + key for key in ("a", "b/c", *LAST)), f"{JOB}empty", content=b"x")
    assert bucket.store.remove(JOB, LAST) == RemovedFiles(
        len([key for key in invalid if key[-1] != "/"]) + 3, 3 + len(invalid) - 3
    )
    assert bucket.list_keys() == []


@pytest.mark.parametrize("key", ["f/../../job-2/a", "./h", "f/."])
def test_a_key_that_a_url_cannot_contain_raises_and_removes_no_other(bucket: BucketFixture, key: str) -> None:
    bucket.put(JOB + key, f"{JOB}h", f"{JOB}f", f"{JOB}expiry", JOB.replace("job-1", "job-2") + "a", content=b"x")
    with pytest.raises(StoreError, match="use another tool"):
        bucket.store.remove(JOB, ["expiry"])
    assert sorted(bucket.list_keys()) == sorted([JOB + key, f"{JOB}expiry", JOB.replace("job-1", "job-2") + "a"])


def test_a_key_that_xml_cannot_express_raises_and_keeps_the_last_files(
    versitygw: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = BucketFixture(versitygw, monkeypatch)
    bucket.put(f"{JOB}x\x01y", f"{JOB}a", f"{JOB}expiry", content=b"x")  # the listing has U+FFFD instead of \x01
    with pytest.raises(StoreError, match="still exists"):
        bucket.store.remove(JOB, ["expiry"])
    assert names(bucket.store) == ["expiry", "x\ufffdy"]


def test_each_page_costs_one_request(bucket: BucketFixture, caplog: pytest.LogCaptureFixture) -> None:
    put_in_memory(bucket, (f"{JOB}{number:05}" for number in range(2100)))
    for after, recursive in [("", True), ("", False), ("00999", True), ("00321", False)]:
        with record_requests(caplog) as requests:
            page = list(itertools.islice(bucket.store.list(JOB, after=after, recursive=recursive), 1000))
        assert len(page) == 1000
        assert page[0].name == f"{int(after or -1) + 1:05}"
        assert len(requests) == 1, requests
    assert names(bucket.store) == [f"{number:05}" for number in range(2100)]


def test_a_flat_listing_of_folders_costs_one_request(bucket: BucketFixture, caplog: pytest.LogCaptureFixture) -> None:
    put_in_memory(bucket, (f"groups/g/jobArtifacts/job-{job}/{number}" for job in range(100) for number in range(20)))
    with record_requests(caplog) as requests:
        assert len(names(bucket.store, "groups/g/jobArtifacts/", recursive=False)) == 100
    assert len(requests) == 1, requests


def test_a_removal_costs_one_request_per_page_and_per_last_file(
    bucket: BucketFixture, caplog: pytest.LogCaptureFixture
) -> None:
    put_in_memory(bucket, (f"{JOB}{number:05}" for number in range(1100)))
    put_in_memory(bucket, (JOB + name for name in LAST))
    with record_requests(caplog) as requests:
        assert bucket.store.remove(JOB, [*LAST, "absent"]) == RemovedFiles(1100, 1100)
    kinds = [request.split(" ")[0] for request in requests]
    assert sorted(kinds) == ["GET"] * 2 + ["POST"] * 4, requests
    assert bucket.list_keys() == []


class DyingKeys:
    """Keys that raise KeyboardInterrupt at the n-th request to delete."""

    def __init__(self, keys: BucketKeys, remaining: int) -> None:
        self._keys, self._remaining = keys, remaining
        self.pages, self.all = keys.pages, keys.all

    def delete(self, keys: list[str]) -> None:
        if self._remaining == 0:
            raise KeyboardInterrupt
        self._remaining -= 1
        self._keys.delete(keys)


def test_a_removal_killed_at_any_request_can_resume_and_removes_the_last_files_last(bucket: BucketFixture) -> None:
    store = bucket.store
    assert isinstance(store, BucketStore)
    for step in itertools.count():
        bucket.put(*(JOB + name for name in ("a", "b//c", *LAST)), content=b"x")
        bucket.put(f"{JOB}d/")
        dying = BucketStore(store._store, DyingKeys(store._keys, step), store._base)  # type: ignore[arg-type]
        try:
            dying.remove(JOB, LAST)
        except KeyboardInterrupt:
            remaining = {key.removeprefix(JOB) for key in bucket.list_keys()}
            assert [name for name in LAST if name in remaining] == LAST[len(LAST) - len(remaining & set(LAST)) :]
            assert remaining >= set(LAST) or not remaining & {"a", "b//c"}
            store.remove(JOB, LAST)
            assert bucket.list_keys() == []
        else:
            break
    assert step == 4
    assert bucket.list_keys() == []


def test_a_large_file_is_read_in_ranges_with_a_precondition(
    bucket: BucketFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_RANGE_BYTES", MIB)
    whole = bytes(itertools.islice(itertools.cycle(range(251)), 3 * MIB + 7))
    bucket.store.write(f"{JOB}a", whole)
    with closing(bucket.store.open(f"{JOB}a")) as file:
        assert b"".join(file.chunks(0, len(whole))) == whole
        assert b"".join(file.chunks(MIB - 1, MIB + 5)) == whole[MIB - 1 : 2 * MIB + 4]
        chunks = file.chunks(0, len(whole))
        read = [next(chunks)]
        bucket.store.write(f"{JOB}a", whole[::-1])
        with pytest.raises(FileChanged):
            read.extend(chunks)
        assert whole.startswith(b"".join(read))
    with closing(bucket.store.open(f"{JOB}a")) as file:
        bucket.store.delete(f"{JOB}a")
        with pytest.raises(FileChanged):
            list(file.chunks(0, 1))


def test_a_missing_bucket_raises_store_error(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto.environ.items():
        monkeypatch.setenv(name, value)
    store = open_store("s3://no-such-bucket/path")
    for work in (
        store.check,
        lambda: list(store.list("groups/")),
        lambda: store.read("a", 1),
        lambda: store.write("a", b""),
        lambda: store.remove(JOB),
    ):
        with pytest.raises(StoreError, match=r"the bucket does not exist|NoSuchBucket"):
            work()


def test_a_prefix_of_a_bucket_is_a_separate_store(bucket: BucketFixture) -> None:
    bucket.store.write("a", b"1")
    inner = open_store(f"s3://{BUCKET}/{bucket.base}groups/")
    inner.write("a", b"2")
    assert names(bucket.store, "groups/") == ["a"]
    assert bucket.list_keys() == ["a", "groups/a"]


def test_virtual_hosted_buckets_are_supported(bucket: BucketFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"{bucket.server.url}/{BUCKET}")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    store = open_store(f"s3://{BUCKET}/{bucket.base}")
    bucket.put(f"{JOB}a//b", f"{JOB}d/", f"{JOB}z")
    store.write(f"{JOB}d/c", b"1")
    assert names(store) == ["d/c", "z"]
    assert store.remove(JOB) == RemovedFiles(3, 1)
    assert bucket.list_keys() == []
