"""Usage is measured on every kind of store; only a directory has a capacity."""

import time

from api.cleanup.usage import measure_usage
from api.store.bucket import BucketStore
from api.store.store import Store


def test_usage_is_the_same_on_every_kind_of_store(store: Store) -> None:
    for group, job in (("a", "job-1"), ("a", "job-2"), ("b-c", "job-1")):
        folder = f"groups/{group}/jobArtifacts/{job}/"
        for name in ("model.bin", "sub/loss.csv", ".primehub/metadata/report.json", ".metadata/expiredAt"):
            store.write(folder + name, b"12345")
    store.write("groups/a/data.bin", b"12345")
    usage = measure_usage(store, time.time, lambda: True)
    assert usage is not None
    assert usage.groups == {"a": (2, 4, 20), "b-c": (1, 2, 10)}
    assert usage.total == (3, 6, 30)


def test_only_a_directory_has_a_capacity(store: Store) -> None:
    assert (store.capacity() is None) == isinstance(store, BucketStore)
