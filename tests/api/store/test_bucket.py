"""Buckets as others leave them: folder objects, keys that are no paths, more than a page; and what a request costs."""

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
from tests.api.store.conftest import Bucket
from tests.api.store.servers import BUCKET, Server
from tests.api.store.test_store import JOB, names

LAST = [LEGACY_EXPIRED_AT, EXPIRED_AT]
MIB = 1024 * 1024
ODD = ["//", "/", "a//b", "d//", "x\x01y", "x\x7f", "y\x85", "z\ufffe", "f/../g", "./h"]


@contextmanager
def requests(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The requests that moto is sent in the block, as `GET /phfs?...`."""
    seen: list[str] = []
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="werkzeug"):
        yield seen
    seen += [record.getMessage().split('"')[1] for record in caplog.records if record.name == "werkzeug"]


def put_past_http(bucket: Bucket, keys: Iterator[str]) -> None:
    """Put empty objects into moto's memory: thousands, in no time."""
    backend = importlib.import_module("moto.s3.models").s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(BUCKET, bucket.base + key, b"x")


def test_a_folder_object_is_no_file(bucket: Bucket) -> None:
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
    assert bucket.found() == []


def test_a_folder_object_is_no_file_to_obstore_alone_either(bucket: Bucket) -> None:
    bucket.put(f"{JOB}d/", f"{JOB}d/a", f"{JOB}empty/", f"{JOB}z")
    store = bucket.by_obstore_alone()
    assert names(store) == ["d/a", "z"]
    assert store.remove(JOB).files == 2


def test_keys_that_are_no_paths_hide_no_others_and_are_not_shown(bucket: Bucket) -> None:
    bucket.put(*(JOB + key for key in ODD), *(f"{JOB}{key}" for key in ("a", "b/c", "zz")), content=b"x")
    assert names(bucket.store) == ["a", "b/c", "zz"]
    assert names(bucket.store, recursive=False) == ["a", "a/", "b/", "d/", "f/", "zz"]
    assert names(bucket.store, "groups/phusers/jobArtifacts/", recursive=False) == ["job-1/"]


def test_keys_that_are_no_paths_go_with_the_job(bucket: Bucket) -> None:
    odd = [key for key in ODD if "." not in key]
    bucket.put(*(JOB + key for key in odd), content=b"x")
    bucket.put(*(JOB + key for key in ("a", "b/c", *LAST)), f"{JOB}empty", content=b"x")
    assert bucket.store.remove(JOB, LAST) == RemovedFiles(
        len([key for key in odd if key[-1] != "/"]) + 3, 3 + len(odd) - 3
    )
    assert bucket.found() == []


@pytest.mark.parametrize("key", ["f/../../job-2/a", "./h", "f/."])
def test_a_key_that_no_url_can_have_is_told_and_leads_to_no_other(bucket: Bucket, key: str) -> None:
    bucket.put(JOB + key, f"{JOB}h", f"{JOB}f", f"{JOB}expiry", JOB.replace("job-1", "job-2") + "a", content=b"x")
    with pytest.raises(StoreError, match="use another tool"):
        bucket.store.remove(JOB, ["expiry"])
    assert sorted(bucket.found()) == sorted([JOB + key, f"{JOB}expiry", JOB.replace("job-1", "job-2") + "a"])


def test_a_key_that_the_server_cannot_tell_is_missed_and_keeps_what_goes_last(
    versitygw: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(versitygw, monkeypatch)
    bucket.put(f"{JOB}x\x01y", f"{JOB}a", f"{JOB}expiry", content=b"x")  # in its listings that is U+FFFD, and not found
    with pytest.raises(StoreError, match="still there"):
        bucket.store.remove(JOB, ["expiry"])
    assert names(bucket.store) == ["expiry", "x\ufffdy"]


def test_the_first_page_of_many_files_costs_one_request_and_so_does_the_next(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    put_past_http(bucket, (f"{JOB}{number:05}" for number in range(2100)))
    for after, recursive in [("", True), ("", False), ("00999", True), ("00321", False)]:
        with requests(caplog) as seen:
            page = list(itertools.islice(bucket.store.list(JOB, after=after, recursive=recursive), 1000))
        assert len(page) == 1000
        assert page[0].name == f"{int(after or -1) + 1:05}"
        assert len(seen) == 1, seen
    assert names(bucket.store) == [f"{number:05}" for number in range(2100)]


def test_folders_of_many_files_cost_no_request_each(bucket: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    put_past_http(bucket, (f"groups/g/jobArtifacts/job-{job}/{number}" for job in range(100) for number in range(20)))
    with requests(caplog) as seen:
        assert len(names(bucket.store, "groups/g/jobArtifacts/", recursive=False)) == 100
    assert len(seen) == 1, seen


def test_a_job_is_removed_with_one_request_a_page_and_one_for_each_file_that_goes_last(
    bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    put_past_http(bucket, (f"{JOB}{number:05}" for number in range(1100)))
    put_past_http(bucket, (JOB + name for name in LAST))
    with requests(caplog) as seen:
        assert bucket.store.remove(JOB, [*LAST, "absent"]) == RemovedFiles(1100, 1100)
    kinds = [request.split(" ")[0] for request in seen]
    assert sorted(kinds) == ["GET"] * 2 + ["POST"] * 4, seen
    assert bucket.found() == []


class Dying:
    """BucketKeys whose owner is killed at the n-th request to delete."""

    def __init__(self, keys: BucketKeys, left: int) -> None:
        self._keys, self._left = keys, left
        self.pages, self.all = keys.pages, keys.all

    def delete(self, keys: list[str]) -> None:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        self._keys.delete(keys)


def test_a_removal_that_is_killed_at_any_request_goes_on_and_loses_the_last_files_last(bucket: Bucket) -> None:
    store = bucket.store
    assert isinstance(store, BucketStore)
    for step in itertools.count():
        bucket.put(*(JOB + name for name in ("a", "b//c", *LAST)), content=b"x")
        bucket.put(f"{JOB}d/")
        dying = BucketStore(store._store, Dying(store._keys, step), store._base)  # type: ignore[arg-type]
        try:
            dying.remove(JOB, LAST)
        except KeyboardInterrupt:
            left = {key.removeprefix(JOB) for key in bucket.found()}
            assert [name for name in LAST if name in left] == LAST[len(LAST) - len(left & set(LAST)) :]
            assert left >= set(LAST) or not left & {"a", "b//c"}
            store.remove(JOB, LAST)
            assert bucket.found() == []
        else:
            break
    assert step == 4
    assert bucket.found() == []


def test_a_large_file_comes_by_ranges_each_of_which_says_which_file_is_meant(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_RANGE", MIB)
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


def test_a_bucket_that_is_not_there_fails_and_is_not_taken_for_an_empty_one(
    moto: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        with pytest.raises(StoreError, match=r"no such bucket|NoSuchBucket"):
            work()


def test_a_part_of_a_bucket_is_a_store_of_its_own(bucket: Bucket) -> None:
    bucket.store.write("a", b"1")
    inner = open_store(f"s3://{BUCKET}/{bucket.base}groups/")
    inner.write("a", b"2")
    assert names(bucket.store, "groups/") == ["a"]
    assert bucket.found() == ["a", "groups/a"]


def test_a_bucket_may_have_a_host_of_its_own(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"{bucket.server.url}/{BUCKET}")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    store = open_store(f"s3://{BUCKET}/{bucket.base}")
    bucket.put(f"{JOB}a//b", f"{JOB}d/", f"{JOB}z")
    store.write(f"{JOB}d/c", b"1")
    assert names(store) == ["d/c", "z"]
    assert store.remove(JOB) == RemovedFiles(3, 1)
    assert bucket.found() == []
